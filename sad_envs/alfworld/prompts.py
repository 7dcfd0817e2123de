"""Prompts for ALFWorld: an instruction and worked examples of the task's own type.

Two styles. In `thought-action` every turn has a thought and an action. `react-original` is the
protocol of the ReAct code: a thought is a turn of its own, written `think: …`, answered `OK.`, and
costs a step like any other; its examples think where the plan moves on, not at every turn.

The examples are episodes of the expert on generated tasks whose seed no split has by default, kept
in `examples.json` with their task ids; a test replays each in both dialects and compares every
observation. They are made by `benchmarks/alfworld_examples.py`. No evaluation game is in them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from typing import Any

from sad_envs.alfworld.dialect import synonyms
from sad_envs.alfworld.game import TASK_TYPES
from sad_envs.base import EnvError, Example, PromptParts, did_you_mean

STYLES = {"thought-action": "thought-action", "react-original": "react-alfworld"}
"""Prompt style to the name of its turn protocol."""

DEFAULT_SHOTS = {"thought-action": 1, "react-original": 2}
MAX_SHOTS = 2
DIALECTS = ("move", "put")

_COMMANDS = """\
- go to RECEPTACLE
- open RECEPTACLE
- close RECEPTACLE
- take OBJECT from RECEPTACLE
- {placing}
- clean OBJECT with RECEPTACLE (a sinkbasin)
- heat OBJECT with RECEPTACLE (a microwave)
- cool OBJECT with RECEPTACLE (a fridge)
- use OBJECT (turns on a lamp)
- slice OBJECT with OBJECT (a knife that you hold)
- examine OBJECT or examine RECEPTACLE
- look
- inventory"""

_PLACING = {"move": "move OBJECT to RECEPTACLE", "put": "put OBJECT in/on RECEPTACLE"}

_RULES = """\
Names carry a number, as in mug 1 or drawer 2; use only names that you have read. You see what is \
in or on a receptacle once you are there, and open if it is closed. You can hold one object at a \
time. "Nothing happens." means that the command was not possible: check its wording, where you \
are, and what you hold. The number of turns is limited."""

_THOUGHT_ACTION = """\
You are an agent in a home and solve a household task by giving text commands, one per turn. \
After each command you are told what you observe.

Commands:
{commands}

{rules}

Reply with one thought and one action, and then stop:
Thought: one or two sentences about what you know and what to do next
Action: one command"""

_REACT_EXPLAINED = """\
Solve a household task by giving text commands, one line at a time; each line is answered.

Commands:
{commands}
- think: ANY TEXT (notes a plan or a conclusion; the answer is OK.)

{rules} A line that thinks counts as a turn."""

_REACT_SHOWN = {
    1: "Act in a household to solve a task. One example comes first.",
    2: "Act in a household to solve a task. Two examples come first.",
}

_MOVES_ON = ("", "take", "clean", "heat", "cool", "move", "put")
"""Verbs after which, and an empty one before the first, the plan moves on."""

_MOVED = re.compile(r"You move the (\w+ \d+) to the (\w+ \d+)\.")
_ARRIVED = re.compile(r"You arrive at (\w+ \d+)\. ")


def prompt_parts(
    task_type: str, style: str, shots: int | None, *, dialect: str = "move"
) -> PromptParts:
    """The prompt for a task of `task_type` in `style`, with `shots` examples.

    Args:
        task_type: put, examine, clean, heat, cool or puttwo.
        style: `thought-action` or `react-original`.
        shots: 0, 1 or 2; None for one example in `thought-action`, two in `react-original`.
        dialect: the command dialect of the game, `move` or `put`.

    Raises `EnvError` for a value that is not among these.
    """
    for what, value, known in (
        ("task type", task_type, tuple(TASK_TYPES.values())),
        ("prompt style", style, tuple(STYLES)),
        ("dialect", dialect, DIALECTS),
    ):
        if value not in known:
            raise EnvError(
                f"ALFWorld prompts have no {what} {value!r}" + did_you_mean(value, known)
            )
    if shots is None:
        shots = DEFAULT_SHOTS[style]
    if not 0 <= shots <= MAX_SHOTS:
        raise EnvError(f"shots is {shots}; ALFWorld has 0 to {MAX_SHOTS} examples per task type")
    return PromptParts(
        instruction=_instruction(style, shots, dialect),
        examples=tuple(
            _example(stored, style, dialect) for stored in stored_examples()[task_type][:shots]
        ),
        style=STYLES[style],
    )


@lru_cache(maxsize=1)
def stored_examples() -> dict[str, list[dict[str, Any]]]:
    """Per task type, the stored episodes: `task_id`, `locations`, `task`, `turns`.

    Texts are those of the `move` dialect; `locations` gives for each receptacle visited the name
    that an arrival has in the `put` dialect.
    """
    text = resources.files("sad_envs.alfworld").joinpath("examples.json").read_text("utf-8")
    examples: dict[str, list[dict[str, Any]]] = json.loads(text)
    return examples


def _instruction(style: str, shots: int, dialect: str) -> str:
    if style == "react-original" and shots:
        return _REACT_SHOWN[shots]
    template = _THOUGHT_ACTION if style == "thought-action" else _REACT_EXPLAINED
    commands = _COMMANDS.format(placing=_PLACING[dialect])
    return template.format(commands=commands, rules=_RULES)


def _example(stored: dict[str, Any], style: str, dialect: str) -> Example:
    turns: list[tuple[str, str, str]] = [(t, a, o) for t, a, o in stored["turns"]]
    if dialect == "put":
        turns = [(t, *_in_put_dialect(a, o, stored["locations"])) for t, a, o in turns]
    if style == "react-original":
        turns = list(_thinking_apart(turns))
    return Example(task=stored["task"], turns=tuple(turns))


def _in_put_dialect(action: str, observation: str, locations: dict[str, str]) -> tuple[str, str]:
    """A turn of the `move` dialect as the `put` dialect has it."""
    observation = _MOVED.sub(r"You put the \1 in/on the \2.", observation)
    observation = _ARRIVED.sub(lambda m: f"You arrive at {locations[m[1]]}. ", observation)
    return next(synonyms(action), action), observation


def _thinking_apart(turns: list[tuple[str, str, str]]) -> Iterator[tuple[str, str, str]]:
    """Turns that have a thought or an action; thoughts only where the plan moves on."""
    previous = ""
    for thought, action, observation in turns:
        verb = action.split()[0]
        if verb == "take" or previous in _MOVES_ON:
            yield thought, "", "OK."
        yield "", action, observation
        previous = verb
