"""Prompts for WebShop: an instruction and up to three worked examples, in two styles.

In `thought-action` every turn has a thought and an action. `react-original` is the protocol of the
ReAct code: one line per turn, and a thought is a line of its own, `think[…]`, which is answered
`OK.` and costs a step; its examples think before a product is opened and once it is open.

The examples are episodes of the expert on generated tasks whose seed no split has by default, kept
in `examples.json` with their task ids and with the observations of modes `react`, `text` and
`text_rich`; a test replays each. They are made by `benchmarks/webshop_examples.py`. Modes `html`
and `url` have no examples. Nothing in them is from the release.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

from sad_envs.base import EnvError, Example, PromptParts, did_you_mean

STYLES = {"thought-action": "thought-action", "react-original": "react-webshop"}
"""Prompt style to the name of its turn protocol."""

EXAMPLE_MODES = ("react", "text", "text_rich")
DEFAULT_SHOTS = 1
MAX_SHOTS = 3

_TASK = """\
You shop on a web site. Find a product that has everything the instruction asks for, at a price \
that it allows, choose its options, and buy it.

Actions:
- search[WORDS] searches for products{where}
- click[LABEL] clicks what the page shows{how}: a button, the code of a product, or the value of \
an option. LABEL is written as on the page, for example click[Features], click[< Prev] or \
click[Back to Search].
- click[Buy Now], on the page of a product, buys it and ends the task.
{thinking}
The score is the part of the request that is met: kind of product, attributes, options, price. \
Click every option that is asked for before you buy. A product's attributes are in its title, \
under Description and under Features. {refused} The number of turns is limited."""

_WHERE = {"react": "; only on the page with [Search]"}
_HOW = {"react": " in brackets", "text_rich": " between [button] marks"}
_REFUSED = {"react": '"Invalid action!" means that the page has no such label.'}
_SAME_PAGE = "An action that is not possible shows the page again."
_THINKING = "- think[TEXT] notes a plan or a comparison; the answer is OK.\n"

_THOUGHT_ACTION = """

Reply with one thought and one action, and then stop:
Thought: one or two sentences that compare what you see with what is asked for
Action: one action"""

_REACT = """

Reply with one action on one line."""

_SHOWN = "Shop on a web site: find what the instruction asks for, and buy it. {} first."
_NUMBERS = ("", "An example comes", "Two examples come", "Three examples come")


def prompt_parts(style: str, shots: int | None, *, mode: str = "react") -> PromptParts:
    """The prompt in `style` with `shots` examples, 0 to 3; None for one, or none without examples.

    Raises `EnvError` for another style or number, and for examples in a mode that has none.
    """
    if style not in STYLES:
        raise EnvError(f"WebShop prompts have no style {style!r}" + did_you_mean(style, STYLES))
    most = MAX_SHOTS if mode in EXAMPLE_MODES else 0
    if shots is None:
        shots = min(DEFAULT_SHOTS, most)
    if not 0 <= shots <= most:
        raise EnvError(f"shots is {shots}; WebShop has 0 to {most} examples in mode {mode}")
    return PromptParts(
        instruction=_instruction(style, shots, mode),
        examples=tuple(_example(stored, style, mode) for stored in stored_examples()[:shots]),
        style=STYLES[style],
    )


@lru_cache(maxsize=1)
def stored_examples() -> list[dict[str, Any]]:
    """The stored episodes: `task_id`, `task`, and `turns`.

    A turn is a thought, an action, and its observation; `task` and observations are by mode.
    """
    text = resources.files("sad_envs.webshop").joinpath("examples.json").read_text("utf-8")
    examples: list[dict[str, Any]] = json.loads(text)
    return examples


def _instruction(style: str, shots: int, mode: str) -> str:
    original = style == "react-original"
    if original and shots:
        return _SHOWN.format(_NUMBERS[shots])
    task = _TASK.format(
        where=_WHERE.get(mode, ""),
        how=_HOW.get(mode, ""),
        refused=_REFUSED.get(mode, _SAME_PAGE),
        thinking=_THINKING if original else "",
    )
    return task + (_REACT if original else _THOUGHT_ACTION)


def _example(stored: dict[str, Any], style: str, mode: str) -> Example:
    turns = [(thought, action, seen[mode]) for thought, action, seen in stored["turns"]]
    if style == "react-original":
        turns = list(_thinking_apart(turns))
    return Example(task=stored["task"][mode], turns=tuple(turns))


def _thinking_apart(
    turns: Sequence[tuple[str, str, str]],
) -> Iterator[tuple[str, str, str]]:
    """Turns that have a thought or an action; thoughts only around the opening of a product."""
    previous = ""
    for thought, action, observation in turns:
        if _opens(action) or _opens(previous):
            yield thought, "", "OK."
        yield "", action, observation
        previous = action


def _opens(action: str) -> bool:
    return action.startswith("click[B0")
