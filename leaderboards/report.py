"""`harness report`: runs in, one report out; from files only, the same bytes every time.

The board's rows are methods at a student scale (`leaderboards.players`), its columns environments
with their splits, then what it cost. Beside it, when asked for: every row against a baseline, and
results per task type. What a reader might get wrong is said in `warnings`, next to the numbers.
Refused: environment versions mixed in one column, and the same run twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from leaderboards import statistics
from leaderboards.baseline_table import baseline_table, visible_differences
from leaderboards.board_table import NAMES, board_table, env_name, names_of
from leaderboards.cautions import cautions_of
from leaderboards.curves import curves_of
from leaderboards.figures import figures_for
from leaderboards.load import frame_of
from leaderboards.players import ColumnKey, Player, players_of
from leaderboards.published import published_table
from leaderboards.results import Results, of_type, results_of
from leaderboards.runs import Run, read_run, read_runs
from leaderboards.table import NOTHING, Column, Report, Row, Table, count, number, percent, words


def make_report(
    runs: Iterable[str | Path],
    *,
    baseline: str | Path | None = None,
    by_type: bool = False,
    figures: bool = False,
    title: str = "Leaderboard",
) -> Report:
    """The report on some runs.

    Args:
        runs: run directories, in any order; the order does not matter.
        baseline: a run, added if it is not among them; its row is what others are compared with.
        by_type: add a table per environment with a column per task type.
        figures: add the figures, as inline SVG.

    Raises:
        HarnessError: a folder is no run, versions of an environment are mixed in a column, a run
            is there twice, or the baseline shares no task with any other row.
    """
    described = read_runs([*runs, *([baseline] if baseline is not None else [])])
    described.sort(key=lambda run: (run.name, run.digest))
    frame = frame_of(described)
    players = players_of(described)
    results = results_of(players, frame)
    columns = sorted({column for _, column in results}, key=lambda c: (env_name(c), c))
    tables = [board_table(players, results, columns)]
    notes = [about_intervals()]
    base = None if baseline is None else _row_of(read_run(Path(baseline).resolve()), players)
    if base is not None:
        paired, sentences = baseline_table(players, results, columns, base)
        tables.append(paired)
        notes += sentences
    else:
        notes += visible_differences(results, columns)
    if by_type:
        tables += [table for c in columns if (table := _type_table(players, results, c))]
    published = published_table(players, columns)
    if published is not None:
        tables.append(published)
    tables.append(_runs_table(described, results))
    return Report(
        title=title,
        tables=tuple(tables),
        warnings=tuple(cautions_of(players, results, columns)),
        notes=tuple(notes),
        figures=figures_for(players, results, columns, curves_of(described)) if figures else (),
    )


def _row_of(run: Run, players: Sequence[Player]) -> Player:
    return next(p for p in players if any(run.path == member.path for member in p.runs))


def _type_table(players: Sequence[Player], results: Results, column: ColumnKey) -> Table | None:
    mine = {i: r for (i, where), r in results.items() if where == column}
    types = sorted({str(t) for r in mine.values() for t in r.frame.task_type.unique()})
    if len(types) < 2:
        return None
    rows, short = [], []
    for i, result in mine.items():
        cells = list(names_of(players[i]))
        for task_type in types:
            part = of_type(result, task_type)
            rate = part.rate("success")
            if rate is not None and statistics.known_short(rate.kind, part.n_tasks, 0):
                short.append(part.n_tasks)
            cells += [
                percent(rate.value, rate.interval, n=part.n) if rate else NOTHING,
                count(part.n, part.planned) if part.n or part.planned else NOTHING,
            ]
        rows.append(Row(tuple(cells), players[i].kind))
    headings = [
        heading
        for task_type in types
        for heading in (
            Column("success", "success", task_type or "no type", "%", "with its 95 % interval"),
            Column("scored", "scored/planned", task_type or "no type"),
        )
    ]
    title = f"{env_name(column)}, by task type"
    key = f"types {env_name(column)}"
    reason = statistics.known_short("bootstrap", min(short), 0) if short else None
    notes = (f"Intervals of several seeds or repeats are known to be short: {reason}.",)
    table = Table(key, title, (*NAMES, *headings), tuple(rows), len(NAMES), notes if reason else ())
    return table.without_empty_columns()


def _runs_table(runs: Sequence[Run], results: Results) -> Table:
    scored = {}
    for result in results.values():
        for name, n in result.frame.groupby("run").size().items():
            scored[str(name)] = int(n)
    columns = (
        Column("run", "run"),
        Column("environment", "environment"),
        Column("version", "version", about="of the environment, its arguments and its data"),
        Column("digest", "digest", about="of the run's configuration"),
        Column("seed", "seed", about="of the run"),
        Column("training_seed", "training seed"),
        Column("scored", "scored/planned"),
    )
    rows = tuple(
        Row(
            (
                words(run.name),
                words(env_name((run.env_id, run.split))),
                words(run.env_version),
                words(run.digest),
                number(run.run_seed, 0),
                number(run.training_seed, 0),
                count(scored.get(run.name, 0), None if run.planned is None else
                      sum(run.planned.values())),
            )
        )
        for run in runs
    )  # fmt: skip
    return Table("runs", "Runs", columns, rows, n_names=4).without_empty_columns()


def about_intervals() -> str:
    """What every bracket of a table is, in a paragraph."""
    return (
        "95 % intervals in brackets. Success rates of one episode a task: Wilson. Repeats, several "
        f"training seeds, and scores: bootstrap of whole tasks ({statistics.RESAMPLES:,} draws, "
        f"seed {statistics.SEED}). Over seeds: Student's t over the means of the training seeds, "
        "k - 1 degrees of freedom. The first kind is about other tasks, the second about other "
        "seeds; neither contains what the other is about. From ten training seeds on tasks and "
        "seeds are drawn together. Rates are over scored episodes; – is not known."
    )
