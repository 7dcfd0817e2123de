"""A game file: what is read from it, and what is refused before anything is made of it.

A `game.tw-pddl` file is JSON with a PDDL domain, a text grammar, a PDDL problem, whether the game
can be won, and in newer releases a walkthrough. Reading promises only that the parts are there,
have the right types and a sane size; their meaning is the engine's business. The digest is that of
the bytes and says nothing of where the file lay, so it names the same game on every machine.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from sad_envs.base import EnvError

MAX_BYTES = 2_000_000
"""Largest game file accepted; the largest of the release has 138 kB."""

TASK_TYPES = {
    "pick_and_place": "put",
    "pick_clean_then_place": "clean",
    "pick_heat_then_place": "heat",
    "pick_cool_then_place": "cool",
    "look_at_obj": "examine",
    "pick_two_obj": "puttwo",
}
"""Prefix of a task folder to its short name, in the order in which the prefixes are tried."""


class GameError(EnvError):
    """A game file that cannot be played; the message is one line and quotes the cause."""


@dataclass(frozen=True)
class Game:
    """The parts of one game file.

    `walkthrough` is a list of commands that wins the game; None where the release has none.
    `digest` is the sha256 of the file's bytes, in hexadecimal.
    """

    pddl_domain: str
    grammar: str
    pddl_problem: str
    walkthrough: tuple[str, ...] | None
    solvable: bool
    digest: str


def read_game(path: Path) -> Game:
    """Read a game file. Raises `GameError` naming the file when it cannot be played."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise GameError(f"{size} bytes; a game file has at most {MAX_BYTES}")
        return parse_game(path.read_bytes())
    except OSError as error:
        raise GameError(f"cannot read game file {path}: {error.strerror}") from error
    except GameError as error:
        raise GameError(f"game file {path}: {error}") from error


def parse_game(data: bytes) -> Game:
    """The game in `data`, the bytes of a `game.tw-pddl` file."""
    if len(data) > MAX_BYTES:
        raise GameError(f"{len(data)} bytes; a game file has at most {MAX_BYTES}")
    try:
        parts = json.loads(data)
    except RecursionError as error:
        raise GameError("not a game: JSON nested too deeply") from error
    except ValueError as error:
        raise GameError(f"not a game: invalid JSON ({error})") from error
    if not isinstance(parts, dict):
        raise GameError(f"not a game: expected a JSON object, found {type(parts).__name__}")
    walkthrough = parts.get("walkthrough")
    if walkthrough is not None:
        if not isinstance(walkthrough, list) or not all(isinstance(c, str) for c in walkthrough):
            raise GameError("'walkthrough' is not a list of commands")
        walkthrough = tuple(walkthrough)
    solvable = parts.get("solvable")
    if not isinstance(solvable, bool):
        raise GameError("'solvable' is missing or not true or false")
    return Game(
        pddl_domain=_text(parts, "pddl_domain"),
        grammar=_text(parts, "grammar"),
        pddl_problem=_text(parts, "pddl_problem"),
        walkthrough=walkthrough,
        solvable=solvable,
        digest=hashlib.sha256(data).hexdigest(),
    )


def task_type_of(task_id: str) -> str:
    """The short name of a task's type, from the start of its folder name.

    One of put, examine, clean, heat, cool, puttwo: the keys of the ReAct prompts.
    """
    for prefix, task_type in TASK_TYPES.items():
        if task_id.startswith(prefix):
            return task_type
    raise GameError(f"task {task_id[:80]!r} is of no known type; expected {', '.join(TASK_TYPES)}")


def _text(parts: dict[str, object], key: str) -> str:
    value = parts.get(key)
    if not isinstance(value, str):
        raise GameError(f"{key!r} is missing or not a string")
    return value
