"""The declared comparisons: the primary one alone, the secondary ones as one family.

Every comparison is `sad` minus another method at a scale and a way of choosing actions: outcomes
averaged over the seeds, paired by game, sign flips (`leaderboards.paired`). The primary one is not
adjusted. The p-values of all others that can be tested are adjusted by Holm as one family, those
about games and those about training seeds each. Only training seeds count of which both methods
are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from plan import CHOICES, METHODS, PRIMARY
from played import Played

from leaderboards.paired import Comparison, compare_results
from leaderboards.statistics import holm

FIRST = PRIMARY[0]
"""The method that every other is subtracted from."""
PRIMARY_CHOICE = CHOICES[0]


@dataclass(frozen=True)
class Declared:
    """One declared comparison.

    Attributes:
        method: the other one.
        seeds: training seeds that count.
        found: None where it is not tested.
        p_games, p_seeds: of secondary ones, adjusted over the family; of the primary one as found.
    """

    method: str
    size: str
    choice: str
    primary: bool
    seeds: tuple[int, ...]
    found: Comparison | None
    p_games: float | None = None
    p_seeds: float | None = None


def declared(played: Played) -> list[Declared]:
    """All declared comparisons, the primary one among them, in the order of the design."""
    standing = played.standing
    found = []
    for choice in CHOICES:
        for size in standing.scale.students:
            for method in METHODS:
                if method != FIRST:
                    seeds = standing.complete_seeds(size, choice, (FIRST, method))
                    found.append(_compared(played, method, size, choice, seeds))
    return _adjusted(found)


def _compared(
    played: Played, method: str, size: str, choice: str, seeds: Sequence[int]
) -> Declared:
    primary = (method, size, choice) == (PRIMARY[1], played.standing.primary.size, PRIMARY_CHOICE)
    there = [_seeds_of(played, one, size, choice) for one in (FIRST, method)]
    common = tuple(seed for seed in seeds if all(str(seed) in one for one in there))
    ours = played.main(FIRST, size, choice, common)
    theirs = played.main(method, size, choice, common)
    comparison = None
    if ours is not None and theirs is not None:
        comparison = compare_results(ours, theirs, "success")
    return Declared(
        method,
        size,
        choice,
        primary,
        common,
        comparison,
        None if comparison is None else comparison.p_tasks,
        None if comparison is None else comparison.p_seeds,
    )


def _seeds_of(played: Played, method: str, size: str, choice: str) -> set[str]:
    found = played.cells(stage="main", method=method, size=size, choice=choice)
    return {cell.about["seed"] for cell in found}


def _adjusted(found: Sequence[Declared]) -> list[Declared]:
    """The same with the p-values of the secondary comparisons adjusted."""
    secondary = [i for i, one in enumerate(found) if not one.primary]
    result = list(found)
    games = [(i, p) for i in secondary if (p := found[i].p_games) is not None]
    for (i, _), p in zip(games, holm([p for _, p in games]), strict=True):
        result[i] = replace(result[i], p_games=p)
    seeds = [(i, p) for i in secondary if (p := found[i].p_seeds) is not None]
    for (i, _), p in zip(seeds, holm([p for _, p in seeds]), strict=True):
        result[i] = replace(result[i], p_seeds=p)
    return result
