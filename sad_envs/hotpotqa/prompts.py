"""Prompts for HotPotQA: an instruction and up to six worked examples, in two styles.

In `thought-action` actions are written as the environment takes them. `react-original` is the
protocol of the ReAct code: numbered lines, actions with a capital that the harness lowers, and six
examples by default.

The examples are episodes of the expert on generated questions whose seed no split has by default,
kept in `examples.json` with their task ids; a test replays each and compares every observation.
They are made by `benchmarks/hotpotqa_examples.py`. No evaluation question is in them.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any

from sad_envs.base import EnvError, Example, PromptParts, did_you_mean

STYLES = {"thought-action": "thought-action", "react-original": "react-hotpotqa"}
"""Prompt style to the name of its turn protocol."""

DEFAULT_SHOTS = {"thought-action": 2, "react-original": 6}
MAX_SHOTS = 6

_TASK = """\
Answer the question with the help of an encyclopaedia. The answer takes facts from two articles. \
There are three actions:
- {search}[ENTITY] opens the article on the entity and shows its first sentences. If there is no \
such article, titles that are like it are shown, and one of them can be searched for.
- {lookup}[KEYWORD] shows the next sentence with the keyword in the article that was opened last.
- {finish}[ANSWER] ends the task with the answer: a name, a number, a few words, or yes or no.

The number of turns is limited to seven."""

_FORMS = {
    "thought-action": """\
Reply with one thought and one action, and then stop:
Thought: one or two sentences about what you know and what to do next
Action: one action""",
    "react-original": """\
Think, act and observe in turns. Every turn is numbered: a thought, then one action, then what is \
observed.""",
}


def prompt_parts(style: str, shots: int | None, *, faithful: bool = False) -> PromptParts:
    """The prompt in `style` with `shots` examples, 0 to 6; None for the style's default.

    With `faithful` the observations of the examples end sentences as upstream does. Raises
    `EnvError` for another style or number.
    """
    if style not in STYLES:
        raise EnvError(f"HotPotQA prompts have no style {style!r}" + did_you_mean(style, STYLES))
    if shots is None:
        shots = DEFAULT_SHOTS[style]
    if not 0 <= shots <= MAX_SHOTS:
        raise EnvError(f"shots is {shots}; HotPotQA has 0 to {MAX_SHOTS} examples")
    names = ("search", "lookup", "finish")
    shown = {name: name if style == "thought-action" else name.capitalize() for name in names}
    return PromptParts(
        instruction=f"{_TASK.format(**shown)}\n\n{_FORMS[style]}",
        examples=tuple(
            Example(
                task=stored["task"],
                turns=tuple(
                    (thought, action, upstreams if faithful else clean)
                    for thought, action, clean, upstreams in stored["turns"]
                ),
            )
            for stored in stored_examples()[:shots]
        ),
        style=STYLES[style],
    )


@lru_cache(maxsize=1)
def stored_examples() -> list[dict[str, Any]]:
    """The stored episodes: `task_id`, `task`, and `turns`.

    A turn is a thought, an action, and its observation, clean and in the faithful form.
    """
    text = resources.files("sad_envs.hotpotqa").joinpath("examples.json").read_text("utf-8")
    examples: list[dict[str, Any]] = json.loads(text)
    return examples
