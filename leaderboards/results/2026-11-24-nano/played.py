"""The runs of the done cells as results of the package: read from their files once.

What is asked for is told by what a cell is about. Runs that are put together differ in the training
seed alone; where they differ in a setting they are refused, for their mean would be of no method.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from decide import Primary
from plan import METHODS, Cell, Scale, without_hope
from state import Records

from harness.errors import HarnessError
from leaderboards.load import frame_of
from leaderboards.players import players_of
from leaderboards.results import Result, results_of
from leaderboards.runs import Run, read_runs


@dataclass(frozen=True)
class Standing:
    """How far the board is.

    Attributes:
        plan: all cells in their order.
        done, failed: records by the cell's name; `failed` those that are not tried again.
        mended: reasons of failures whose cause was mended, by the cell's name.
        steps: optimiser steps of a student and of a trial, where they are known.
    """

    scale: Scale
    plan: Sequence[Cell]
    done: Records
    failed: Records
    primary: Primary
    steps: tuple[int | None, int | None] = (None, None)
    mended: dict[str, list[str]] = field(default_factory=dict)

    @cached_property
    def lost(self) -> set[str]:
        """Names of cells that will not be done."""
        return without_hope(self.plan, self.failed)

    def plays(self, **about: str) -> list[Cell]:
        """The plays whose cells say all of `about` of themselves; `stage` is among it."""
        return [
            cell
            for cell in self.plan
            if not cell.trains
            and all(
                (cell.stage if key == "stage" else cell.about.get(key)) == value
                for key, value in about.items()
            )
        ]

    def complete_seeds(self, size: str, choice: str, methods: Sequence[str]) -> tuple[int, ...]:
        """Training seeds of a scale of which none of `methods` is still to be played."""
        left = {
            cell.about["seed"]
            for method in methods
            for cell in self.plays(stage="main", size=size, choice=choice, method=method)
            if cell.name not in self.done and cell.name not in self.lost
        }
        return tuple(seed for seed in self.scale.seeds if str(seed) not in left)


class Played:
    """Results by what their cells are about."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        cells = [cell for cell in standing.plan if cell.name in standing.done and _is_run(cell)]
        runs = read_runs([cell.out for cell in cells]) if cells else []
        self._runs: dict[str, Run] = dict(zip((cell.name for cell in cells), runs, strict=True))

    @cached_property
    def _frame(self) -> Any:
        return frame_of(self._runs.values())

    def cells(self, **about: str) -> list[Cell]:
        """The done plays of `Standing.plays`."""
        return [cell for cell in self.standing.plays(**about) if cell.name in self._runs]

    def result(self, **about: str) -> Result | None:
        """The result of the done plays about something; None where there is none.

        Raises:
            HarnessError: they differ in more than their seeds.
        """
        return self.of(self.cells(**about))

    def of(self, cells: Iterable[Cell]) -> Result | None:
        """The result of some done plays."""
        runs = [self._runs[cell.name] for cell in cells]
        if not runs:
            return None
        players = players_of(runs)
        results = results_of(players, self._frame)
        if len(results) != 1:
            names = ", ".join(player.name for player in players)
            raise HarnessError(f"expected runs that differ in their seeds alone, found {names}")
        return next(iter(results.values()))

    def main(self, method: str, size: str, choice: str, seeds: Sequence[int]) -> Result | None:
        """A method at a scale, over some training seeds."""
        wanted = {str(seed) for seed in seeds}
        found = self.cells(stage="main", method=method, size=size, choice=choice)
        return self.of(cell for cell in found if cell.about["seed"] in wanted)


def _is_run(cell: Cell) -> bool:
    return not cell.trains and not cell.name.startswith("expert-")


def in_order(sizes: Iterable[str], primary: str) -> list[tuple[str, str]]:
    """(scale, method) of every row, the scale of the primary comparison first."""
    ordered = sorted(sizes, key=lambda size: size != primary)
    return [(size, method) for size in ordered for method in METHODS]
