"""`harness compare`: two runs on the tasks that both played.

A table over all tasks and per task type: how often each was solved, by which alone, the paired
difference with its interval and p. Then the tasks where the two differ, each with a link to both
trajectories: into a site that `harness view` wrote, or to the line of `episodes.jsonl`. Refused:
different environments or versions of one, and runs without a task in common.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from harness.errors import HarnessError
from harness.store import EPISODES
from leaderboards import statistics
from leaderboards.board_table import env_name
from leaderboards.load import frame_of
from leaderboards.paired import Comparison, compare_results
from leaderboards.players import column_of, players_of
from leaderboards.results import Measure, Result, measures_of, of_type, results_of
from leaderboards.runs import Run, read_runs
from leaderboards.statistics import Floats
from leaderboards.table import (
    NOTHING,
    Cell,
    Column,
    Report,
    Row,
    Table,
    number,
    percent,
    points,
    probability,
    words,
)
from leaderboards.viewer.links import episode_link


@dataclass(frozen=True)
class _Side:
    run: Run
    result: Result


def compare(
    first: str | Path,
    second: str | Path,
    *,
    site: str | Path | None = None,
    beside: str | Path = ".",
) -> Report:
    """The comparison of two runs.

    Args:
        site: a site that `harness view` made of both; links lead into it. Without one they lead to
            the line of `episodes.jsonl`.
        beside: folder from which links are followed, that of the file this is written to.

    Raises:
        HarnessError: a folder is no run, both are the same, they played different environments or
            versions of one, or they have no scored task in common.
    """
    runs = read_runs([first, second])
    if len(runs) < 2:
        raise HarnessError(f"{first} and {second} are the same run; give two")
    one, two = runs
    if column_of(one) != column_of(two):
        raise HarnessError(
            f"{one.name} is of {env_name(column_of(one))} and {two.name} of "
            f"{env_name(column_of(two))}; expected two runs of one environment and split"
        )
    players_of(runs)  # refuses mixed versions
    frame = frame_of(runs)
    sides = [
        _Side(run, results_of(players_of([run]), frame)[0, column_of(run)]) for run in (one, two)
    ]
    common = _common(sides)
    if not common:
        raise HarnessError(f"{one.name} and {two.name} have no scored task in common")
    results = {(i, column_of(one)): side.result for i, side in enumerate(sides)}
    tables = [_summary(sides, measure) for measure in measures_of(results, column_of(one))]
    tables.append(_differing(sides, common, site, Path(beside)))
    return Report(
        f"{one.name} and {two.name}",
        tuple(tables),
        warnings=tuple(_only_one_side(sides, common)),
        notes=(
            f"{env_name(column_of(one))}, {one.env_version}. Differences are {one.name} minus "
            f"{two.name} in percentage points, with 95 % intervals from a bootstrap of tasks. p: "
            "McNemar's exact test where every task was played once and is solved or not, else sign "
            "flips; not adjusted for the number of lines.",
            *_short(sides, common),
        ),
    )


def _short(sides: Sequence[_Side], common: Sequence[str]) -> list[str]:
    """That intervals cover less than they say, where a line has so few tasks."""
    frame = sides[0].result.frame.drop_duplicates("task_id")
    per_type = frame[frame.task_id.isin(common)].task_type.value_counts()
    lines = [n for n in (len(common), *map(int, per_type)) if n > 1]
    reason = statistics.known_short("paired", min(lines), 0) if lines else None
    return [f"Intervals are known to be short: {reason} (docs/coverage.md)."] if reason else []


def _common(sides: Sequence[_Side]) -> list[str]:
    one, two = ({str(task) for task in side.result.frame.task_id} for side in sides)
    return sorted(one & two)


def _summary(sides: Sequence[_Side], measure: Measure) -> Table:
    one, two = sides
    types = sorted({str(t) for side in sides for t in side.result.frame.task_type.unique()})
    lines = [("all tasks", one.result, two.result)]
    if len(types) > 1:
        lines += [(t or "no type", of_type(one.result, t), of_type(two.result, t)) for t in types]
    rows = []
    for name, ours, theirs in lines:
        comparison = compare_results(ours, theirs, measure)
        if comparison is not None:
            rows.append(Row((words(name), *_line(ours, theirs, comparison))))
    columns = (
        Column("tasks", "tasks"),
        Column("common", "in common"),
        Column("first", one.run.name, unit="%", about=f"mean {measure} on these tasks"),
        Column("second", two.run.name, unit="%", about=f"mean {measure} on these tasks"),
        Column("difference", "difference", unit="points", about="with its 95 % interval"),
        Column("only_first", f"better: {one.run.name}", about="tasks"),
        Column("only_second", f"better: {two.run.name}", about="tasks"),
        Column("p", "p", about="two-sided"),
        Column("visible", "visible from", unit="points", about="found in 80 of 100 cases"),
    )
    title = "Success, task by task" if measure == "success" else "Score, task by task"
    return Table(measure, title, columns, tuple(rows)).without_empty_columns()


def _line(ours: Result, theirs: Result, comparison: Comparison) -> tuple[Cell, ...]:
    differences = _differences(ours, theirs, comparison.measure)
    return (
        number(comparison.n_tasks, 0),
        percent(comparison.baseline + comparison.difference),
        percent(comparison.baseline),
        points(comparison.difference, comparison.interval),
        number(float(np.sum(differences > 0)), 0),
        number(float(np.sum(differences < 0)), 0),
        probability(comparison.p),
        percent(comparison.detectable),
    )


def _differences(ours: Result, theirs: Result, measure: Measure) -> Floats:
    one, two = ours.per_task(measure).dropna(), theirs.per_task(measure).dropna()
    common = sorted(set(map(str, one.index)) & set(map(str, two.index)))
    return np.asarray(one[common].to_numpy() - two[common].to_numpy(), dtype=np.float64)


def _differing(
    sides: Sequence[_Side], common: Sequence[str], site: str | Path | None, beside: Path
) -> Table:
    means = [side.result.per_task("score") for side in sides]
    solved = [side.result.per_task("success") for side in sides]
    kinds = dict(zip(sides[0].result.frame.task_id, sides[0].result.frame.task_type, strict=True))
    places = [_places(side, site, beside, other) for side, other in (sides, sides[::-1])]
    apart = [t for t in common if any(m[0][t] != m[1][t] for m in (means, solved))]
    apart.sort(key=lambda task: (float(means[1][task] - means[0][task]), task))
    rows = [
        Row(
            (
                words(task),
                words(kinds[task]),
                *(
                    cell
                    for score, place in zip(means, places, strict=True)
                    for cell in (percent(float(score[task])), place.get(task, NOTHING))
                ),
            )
        )
        for task in apart
    ]
    columns = (
        Column("task", "task"),
        Column("type", "type"),
        *(
            column
            for i, side in enumerate(sides)
            for column in (
                Column(f"score_{i + 1}", f"score: {side.run.name}", unit="%"),
                Column(f"trajectory_{i + 1}", f"trajectory: {side.run.name}"),
            )
        ),
    )
    title = f"The {len(apart)} of {len(common)} tasks where they differ"
    return Table("tasks", title, columns, tuple(rows), n_names=2)


def _places(side: _Side, site: str | Path | None, beside: Path, other: _Side) -> dict[str, Cell]:
    """The first trajectory of every task, as a link."""
    cells: dict[str, Cell] = {}
    frame = side.result.frame
    for place, (task, repeat) in enumerate(zip(frame.task_id, frame.repeat, strict=True)):
        task = str(task)
        if task in cells:
            continue
        if site is not None:
            address = episode_link(side.run.name, task, int(repeat), beside=other.run.name)
            link = f"{quote(os.path.relpath(site, beside))}/{address}"
            cells[task] = Cell("open", link=link)
        else:
            file = side.run.path / EPISODES
            link = quote(os.path.relpath(file, beside.resolve()))
            cells[task] = Cell(f"{EPISODES}:{place + 1}", link=f"{link}#L{place + 1}")
    return cells


def _only_one_side(sides: Sequence[_Side], common: Sequence[str]) -> list[str]:
    """What is left out because one side alone has a score for it."""
    lacking = []
    for side in sides:
        left = side.result.n_tasks - len(common)
        if left:
            lacking.append(f"{left} of {side.run.name}")
    if not lacking:
        return []
    return [f"Tasks that one run alone has scored are left out: {', '.join(lacking)}."]
