"""What is decided by rule from the tuning, never by hand: the settings of a method and the scale of
the primary comparison.

Both look at success on the split to choose on and at nothing else. A trial that failed for good is
not chosen from. The numbers that decided are kept: `choice/METHOD.json` and `primary.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from plan import METHODS, PRIMARY, Cell, Scale
from state import Records, State

FLOOR, CEILING = 0.05, 0.95
"""Where no trial of the two methods reaches the one, or both exceed the other, at the scale of the
tuning, they cannot be told apart there."""


@dataclass(frozen=True)
class Primary:
    """The scale of the primary comparison.

    Attributes:
        rule: `floor` or `ceiling` when that moved it from the scale of the tuning; else empty.
        best: success of the best trial of each of the two methods; empty while not decided.
    """

    size: str
    rule: str
    best: Mapping[str, float]

    @property
    def decided(self) -> bool:
        return bool(self.best)


def trials_of(method: str, cells: Sequence[Cell]) -> list[Cell]:
    """The plays of a method's trials, in the order they are tried."""
    return [
        cell
        for cell in cells
        if cell.stage == "tuning" and not cell.trains and cell.about["method"] == method
    ]


def choose(method: str, cells: Sequence[Cell], done: Records) -> dict[str, Any]:
    """The method's best trial, and all that were tried; the first of equals.

    Raises:
        ValueError: none is done.
    """
    tried = [
        {**done[cell.name]["about"], "success": done[cell.name]["success"]}
        for cell in trials_of(method, cells)
        if cell.name in done
    ]
    if not tried:
        raise ValueError(f"no trial of {method} is done")
    return {"chosen": max(tried, key=lambda one: float(one["success"])), "tried": tried}


def primary_scale(scale: Scale, best: Mapping[str, float]) -> Primary:
    """The rule on floor and ceiling, from the best success of each of the two methods."""
    values = [best[method] for method in PRIMARY]
    rule = ""
    if all(value < FLOOR for value in values):
        rule = "floor"
    elif all(value > CEILING for value in values):
        rule = "ceiling"
    return Primary(scale.larger if rule else scale.middle, rule, dict(best))


def known_primary(scale: Scale, state: State) -> Primary:
    """What was decided, or the scale of the tuning while nothing was."""
    found = state.read("", "primary")
    if found is None:
        return Primary(scale.middle, "", {})
    return Primary(found["size"], found["rule"], found["best"])


def decide(scale: Scale, cells: Sequence[Cell], state: State) -> None:
    """Decide and record what can be decided now and was not before."""
    done, lost = state.done(cells), state.lost(cells)
    for method in METHODS:
        left = [c for c in trials_of(method, cells) if c.name not in done and c.name not in lost]
        if left or not any(c.name in done for c in trials_of(method, cells)):
            continue
        if state.read("choice", method) is None:
            state.write("choice", method, choose(method, cells, done))
    choices = {method: state.read("choice", method) for method in PRIMARY}
    if state.read("", "primary") is None and all(choices.values()):
        best = {m: float(found["chosen"]["success"]) for m, found in choices.items() if found}
        decided = asdict(primary_scale(scale, best))
        state.write("", "primary", decided | {"floor": FLOOR, "ceiling": CEILING})
