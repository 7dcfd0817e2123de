"""The board's rows against a baseline, task by task."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import HarnessError
from leaderboards import statistics
from leaderboards.board_table import NAMES, env_name, names_of
from leaderboards.paired import Comparison, compare_results
from leaderboards.players import ColumnKey, Player
from leaderboards.results import MEASURES, Measure, Results, measures_of
from leaderboards.table import (
    NOTHING,
    Cell,
    Column,
    Row,
    Table,
    join,
    number,
    percent,
    points,
    probability,
    span,
)


def baseline_table(
    players: Sequence[Player], results: Results, columns: Sequence[ColumnKey], base: Player
) -> tuple[Table, list[str]]:
    """The table of every row against `base`, and what has to be said of it.

    Raises:
        HarnessError: the baseline shares no scored task with any other row.
    """
    place = players.index(base)
    found: dict[tuple[int, ColumnKey, Measure], Comparison] = {}
    for column in columns:
        against = results.get((place, column))
        for i in range(len(players)):
            result = results.get((i, column))
            if i == place or result is None or against is None:
                continue
            for measure in measures_of(results, column):
                comparison = compare_results(result, against, measure)
                if comparison is not None:
                    found[i, column, measure] = comparison
    if not found:
        raise HarnessError(
            f"the baseline {base.name} shares no scored task with any other run; give a baseline "
            "that played the same split"
        )
    tested = [key for key, comparison in found.items() if comparison.p is not None]
    adjusted = dict(
        zip(tested, statistics.holm([found[key].p or 0.0 for key in tested]), strict=True)
    )
    shown = [(c, m) for c in columns for m in MEASURES if _has(found, c, m)]
    rows = [
        Row(
            names_of(player)
            + tuple(
                cell
                for column, measure in shown
                for cell in _comparison_cells(
                    found.get((i, column, measure)), adjusted.get((i, column, measure))
                )
            ),
            player.kind,
        )
        for i, player in enumerate(players)
        if i != place
    ]
    headings = [c for column, measure in shown for c in _comparison_columns(column, measure)]
    table = Table(
        "baseline",
        f"Against {base.name}, task by task",
        (*NAMES, *headings),
        tuple(rows),
        len(NAMES),
    ).without_empty_columns()
    notes = [
        "Differences are in percentage points on the tasks that both played. p: McNemar's exact "
        "test where every task was played once and is solved or not, else sign flips of the "
        "differences per task; where a side has several training seeds, the larger of that and "
        f"Welch's t over seed means. Holm: adjusted over the {_number_of(tested)} of this table.",
        *_short(found, columns),
        *_detectable(found, columns),
        *_single_seeds(players, place),
    ]
    return table, notes


def _number_of(tested: Sequence[object]) -> str:
    return "one comparison" if len(tested) == 1 else f"{len(tested)} comparisons"


def _has(
    found: dict[tuple[int, ColumnKey, Measure], Comparison], column: ColumnKey, measure: str
) -> bool:
    return any(key[1:] == (column, measure) for key in found)


def _comparison_columns(column: ColumnKey, measure: str) -> list[Column]:
    group = env_name(column) + ("" if measure == "success" else ", score")
    return [
        Column("tasks", "tasks", group, about="played by both"),
        Column("baseline", "baseline", group, "%", "the baseline's mean on these tasks"),
        Column("difference", "difference", group, "points", "with its 95 % interval about tasks"),
        Column("over_seeds", "over seeds", group, "points", "95 % interval about training seeds"),
        Column("p", "p", group, about="the larger of the test about tasks and that about seeds"),
        Column("p_holm", "p (Holm)", group, about="adjusted over the whole table"),
        Column("visible", "visible from", group, "points", "found in 80 of 100 cases"),
    ]


def _comparison_cells(comparison: Comparison | None, adjusted: float | None) -> tuple[Cell, ...]:
    if comparison is None:
        return (NOTHING,) * 7
    c = comparison
    return (
        number(c.n_tasks, 0),
        percent(c.baseline),
        points(c.difference, c.interval),
        span(c.over_seeds, signed=True),
        probability(c.p),
        probability(adjusted),
        percent(c.detectable),
    )


def _short(
    found: dict[tuple[int, ColumnKey, Measure], Comparison], columns: Sequence[ColumnKey]
) -> list[str]:
    """Where the intervals of differences cover less than they say."""
    sentences = []
    for column in columns:
        tasks = [c.n_tasks for (_, where, _), c in found.items() if where == column and c.interval]
        reason = statistics.known_short("paired", min(tasks), 0) if tasks else None
        if reason:
            sentences.append(
                f"{env_name(column)}: intervals of differences are known to be short: {reason} "
                "(docs/coverage.md)."
            )
    return sentences


def _detectable(
    found: dict[tuple[int, ColumnKey, Measure], Comparison], columns: Sequence[ColumnKey]
) -> list[str]:
    """A sentence per environment on what could not have been seen."""
    sentences = []
    for column in columns:
        known = [
            c
            for (_, where, measure), c in found.items()
            if where == column and measure == "success" and c.detectable is not None
        ]
        if known:
            least = max(known, key=lambda c: c.detectable or 0.0)
            sentences.append(
                f"{env_name(column)}: with {least.n_tasks} tasks a difference under "
                f"{100 * (least.detectable or 0):.1f} points is not visible in the least "
                "favourable of these comparisons (80 % power, two-sided 5 %, before Holm)."
            )
    return sentences


def _single_seeds(players: Sequence[Player], place: int) -> list[str]:
    """That a test on tasks cannot tell a method from the luck of one training."""
    single = [p.name for i, p in enumerate(players) if p.seeds == 1 and i != place]
    names = "every row" if players[place].seeds == 1 else join(single) if single else ""
    if not names:
        return []
    return [
        f"One training seed on a side: p of {names} is about the students at hand. Read as a test "
        "of methods it finds differences that are not there, in a quarter of cases with 134 tasks "
        "where seeds spread by 5 points (docs/coverage.md)."
    ]


def visible_differences(results: Results, columns: Sequence[ColumnKey]) -> list[str]:
    """The same without a baseline, for the least favourable pair of rows."""
    sentences = []
    for column in columns:
        tasks = [r.n_tasks for (_, where), r in results.items() if where == column and r.n]
        n = min(tasks, default=0)
        if n >= 2:
            detectable = statistics.minimum_detectable_difference((0.5 / n) ** 0.5)
            sentences.append(
                f"{env_name(column)}: with {n} tasks a difference under "
                f"{min(100.0, 100 * detectable):.1f} points is not visible between two rows at "
                "50 % that succeed independently of each other (80 % power, two-sided 5 %); "
                "--baseline measures it for the rows at hand."
            )
    return sentences
