"""The tables of the page, as the package's `Table`s: every number from the runs' files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from family import FIRST, Declared
from plan import ABLATIONS, CHOICES, METHODS, WITHOUT_LIST, Scale
from played import Played, Standing, in_order

from leaderboards.agreements import agreement_of
from leaderboards.paired import compare_results
from leaderboards.results import Result, of_type
from leaderboards.table import (
    NOTHING,
    Cell,
    Column,
    Row,
    Table,
    number,
    percent,
    points,
    probability,
    size,
    span,
    words,
)

CHOSEN = {"likelihood": "likelihood", "generate": "free"}
"""How a heading says how actions are chosen."""

DIFFERS = {
    "sad-act-1": "λ of the act span 1",
    "sad-act-2": "λ of the act span 2",
    "sad-act-4": "λ of the act span 4",
    "sad-unnormalised": "no normalisation by span",
    "sad-no-curriculum": "no curriculum, shuffled",
    "sad-reversed-curriculum": "hardest first",
    "sad-random-spans": "random spans of the same sizes",
    "sad-reason-only": "reasoning alone",
    "sad-act-only": "actions alone",
}


def main_table(played: Played) -> Table:
    """Every method at every scale and its teacher, both ways of choosing side by side."""
    standing = played.standing
    names = (Column("method", "method"), Column("scale", "scale"), Column("parameters", "size"))
    headings = [
        heading
        for choice in CHOICES
        for heading in (
            Column("success", "success", CHOSEN[choice], "%"),
            Column("over_seeds", "over seeds", CHOSEN[choice], "%"),
            Column("seeds", "seeds", CHOSEN[choice]),
        )
    ]
    rows = []
    teacher = played.result(stage="teacher, alfworld", method="teacher")
    if teacher is not None:
        found = [teacher if choice == CHOICES[0] else None for choice in CHOICES]
        rows.append(_main_row("teacher", standing.scale.teacher, found, "reference"))
    for scale_name, method in in_order(standing.scale.students, standing.primary.size):
        found = [
            played.result(stage="main", method=method, size=scale_name, choice=choice)
            for choice in CHOICES
        ]
        if any(found):
            rows.append(_main_row(method, scale_name, found, "student"))
    return Table("main", "Main table", (*names, *headings), tuple(rows), len(names))


def _main_row(method: str, scale: str, found: Sequence[Result | None], kind: str) -> Row:
    parameters = next((r.player.parameters for r in found if r is not None), None)
    cells = [words(method), words(scale), size(parameters)]
    for result in found:
        rate = None if result is None else result.rate("success")
        if result is None or rate is None:
            cells += [NOTHING] * 3
            continue
        seeds = number(result.player.seeds, 0) if kind == "student" else NOTHING
        cells += [
            percent(rate.value, rate.interval, n=result.n),
            span(rate.over_seeds),
            seeds,
        ]
    return Row(tuple(cells), "reference" if kind == "reference" else "student")


def family_table(found: Sequence[Declared], scale: Scale, primary: str) -> Table:
    """The secondary comparisons: a row per scale and other method, both ways of choosing."""
    names = (Column("minus", f"{FIRST} minus"), Column("scale", "scale"))
    headings = [
        heading
        for choice in CHOICES
        for heading in (
            Column("difference", "difference", CHOSEN[choice], "points"),
            Column("p_games", "p games", CHOSEN[choice]),
            Column("p_seeds", "p seeds", CHOSEN[choice]),
        )
    ]
    by_key = {(one.size, one.method, one.choice): one for one in found}
    rows = []
    for name, method in in_order(scale.students, primary):
        if method == FIRST:
            continue
        pair = [by_key[name, method, choice] for choice in CHOICES]
        if any(one.found for one in pair if not one.primary):
            cells = [cell for one in pair for cell in _declared_cells(one)]
            rows.append(Row((words(method), words(name), *cells)))
    return Table("secondary", "Secondary comparisons", (*names, *headings), tuple(rows), 2)


def _declared_cells(one: Declared) -> tuple[Cell, Cell, Cell]:
    if one.primary:
        return Cell("primary, above"), NOTHING, NOTHING
    if one.found is None:
        return NOTHING, NOTHING, NOTHING
    return (
        points(one.found.difference, one.found.interval),
        probability(one.p_games),
        probability(one.p_seeds),
    )


def descriptive_table(played: Played) -> Table:
    """What the students of the primary scale do, without tests."""
    scale_name = played.standing.primary.size
    headings = [
        heading
        for choice in CHOICES
        for heading in (
            Column("steps", "steps", CHOSEN[choice]),
            Column("invalid", "invalid", CHOSEN[choice], "%"),
            Column("reasoning", "reasoning", CHOSEN[choice], "tokens"),
            Column("tokens", "episode", CHOSEN[choice], "tokens"),
            Column("cot_match", "CoT match", CHOSEN[choice], "%"),
            Column("action_match", "action match", CHOSEN[choice], "%"),
        )
    ]
    rows = []
    for method in METHODS:
        found = [
            played.result(stage="main", method=method, size=scale_name, choice=choice)
            for choice in CHOICES
        ]
        if any(found):
            cells = [cell for result in found for cell in _descriptive_cells(result)]
            rows.append(Row((words(method), *cells)))
    table = Table(
        "descriptive", "Descriptive", (Column("method", "method"), *headings), tuple(rows)
    )
    return table.without_empty_columns()


def _descriptive_cells(result: Result | None) -> list[Cell]:
    if result is None:
        return [NOTHING] * 6
    steps = int(result.frame.n_steps.sum())
    reasoning, agreement = result.reasoning, agreement_of(result)
    return [
        number(result.steps),
        percent(float(result.frame.n_invalid.sum()) / steps if steps else None),
        number(reasoning[0]) if reasoning else NOTHING,
        number(result.tokens, 0),
        percent(agreement.cot_match) if agreement else NOTHING,
        percent(agreement.action_match) if agreement else NOTHING,
    ]


def types_table(played: Played) -> Table:
    """Success by the type of the task, at the primary scale, by likelihood."""
    scale_name = played.standing.primary.size
    found = {
        method: played.result(stage="main", method=method, size=scale_name, choice=CHOICES[0])
        for method in METHODS
    }
    known = {method: result for method, result in found.items() if result is not None}
    types = sorted({str(t) for r in known.values() for t in r.frame.task_type.unique()})
    rows = []
    for method, result in known.items():
        rates = [of_type(result, one).rate("success") for one in types]
        rows.append(Row((words(method), *(percent(r.value) if r else NOTHING for r in rates))))
    games = {t: of_type(r, t).n_tasks for r in known.values() for t in types}
    headings = (Column(one, f"{one} ({games[one]} games)", unit="") for one in types)
    return Table("types", "By type of task", (Column("method", "method"), *headings), tuple(rows))


def ablation_table(played: Played) -> Table:
    """The ablations of one seed beside `sad` and the rival of the same seed."""
    standing = played.standing
    middle, seed = standing.scale.middle, str(standing.scale.seeds[0])
    base = {
        choice: played.result(stage="main", method=FIRST, size=middle, choice=choice, seed=seed)
        for choice in CHOICES
    }
    rows = []
    for stage, method in (("main", FIRST), *(("ablation", name) for name in ABLATIONS)):
        found = {
            choice: played.result(stage=stage, method=method, size=middle, choice=choice, seed=seed)
            for choice in CHOICES
        }
        if not any(found.values()):
            continue
        cells = [words(method), words(DIFFERS.get(method, "as tuned"))]
        for choice in CHOICES:
            cells += _against(found[choice], base[choice] if method != FIRST else None)
        rows.append(Row(tuple(cells)))
    headings = [
        heading
        for choice in CHOICES
        for heading in (
            Column("success", "success", CHOSEN[choice], "%"),
            Column("difference", f"minus {FIRST}", CHOSEN[choice], "points"),
        )
    ]
    names = (Column("method", "method"), Column("differs", "differs from sad in"))
    return Table("ablations", "Ablations", (*names, *headings), tuple(rows), 2)


def _against(result: Result | None, base: Result | None) -> list[Cell]:
    rate = None if result is None else result.rate("success")
    if result is None or rate is None:
        return [NOTHING, NOTHING]
    compared = None if base is None else compare_results(result, base, "success")
    difference = points(compared.difference, compared.interval) if compared else NOTHING
    return [percent(rate.value, n=result.n), difference]


def others_table(played: Played) -> Table:
    """The other environments, one seed."""
    standing = played.standing
    envs = [env for env in standing.scale.splits if env != "alfworld"]
    columns = [
        (e, c) for e in envs for c in CHOICES if not (c == "likelihood" and e in WITHOUT_LIST)
    ]
    rows = []
    for method in ("teacher", *METHODS):
        cells = [words(method)]
        for env, choice in columns:
            stage = f"teacher, {env}" if method == "teacher" else env
            result = played.result(stage=stage, method=method, choice=choice)
            success = None if result is None else result.rate("success")
            score = None if result is None else result.rate("score")
            cells.append(percent(success.value, success.interval) if success else NOTHING)
            cells.append(percent(score.value) if score else NOTHING)
        if any(cell is not NOTHING for cell in cells[1:]):
            rows.append(Row(tuple(cells), "reference" if method == "teacher" else "student"))
    headings = [
        heading
        for env, choice in columns
        for heading in (
            Column("success", "success", f"{env}, {CHOSEN[choice]}", "%"),
            Column("score", "score", f"{env}, {CHOSEN[choice]}", "%"),
        )
    ]
    table = Table(
        "others", "Other environments", (Column("method", "method"), *headings), tuple(rows)
    )
    return table.without_empty_columns()


def tuning_table(choices: Mapping[str, Mapping[str, object]]) -> Table:
    """Every trial of every method, and which was taken.

    Args:
        choices: by method what `decide.choose` gives.
    """
    rows = []
    width = max(len(_tried(one)) for one in choices.values())
    for method, one in choices.items():
        trials = [words(_trial(trial)) for trial in _tried(one)]
        taken = one["chosen"]
        assert isinstance(taken, dict)
        rows.append(
            Row(
                (
                    words(method),
                    *trials,
                    *[NOTHING] * (width - len(trials)),
                    words(f"{_settings(taken)}"),
                )
            )
        )
    headings = [Column(f"trial_{n}", f"trial {n}") for n in range(1, width + 1)]
    columns = (Column("method", "method"), *headings, Column("taken", "taken"))
    return Table("tuning", "Tuning", columns, tuple(rows))


def _tried(one: Mapping[str, object]) -> list[dict[str, object]]:
    tried = one["tried"]
    assert isinstance(tried, list)
    return tried


def _settings(trial: Mapping[str, object]) -> str:
    act = f", λ {trial['act']}" if trial["method"] == FIRST else ""
    return f"{trial['rate']}{act}"


def _trial(trial: Mapping[str, object]) -> str:
    return f"{_settings(trial)}: {100 * float(str(trial['success'])):.1f}"


def cost_table(standing: Standing) -> Table:
    """What every part took, and what of it is planned."""
    rows = []
    for stage in dict.fromkeys(cell.stage for cell in standing.plan):
        cells = [cell for cell in standing.plan if cell.stage == stage]
        done = [standing.done[cell.name] for cell in cells if cell.name in standing.done]
        lost = sum(cell.name in standing.lost for cell in cells)
        minutes = sum(float(record["seconds"]) for record in done) / 60
        busy = sum(float(record["cpu_seconds"]) for record in done) / 60
        left = len(cells) - len(done) - lost
        rows.append(
            Row(
                (
                    words(stage),
                    number(minutes if done else None, 0),
                    number(busy if done else None, 0),
                    number(len(done), 0),
                    number(lost or None, 0),
                    number(left or None, 0),
                )
            )
        )
    columns = (
        Column("part", "part"),
        Column("minutes", "minutes"),
        Column("cpu_minutes", "CPU minutes"),
        Column("done", "cells done"),
        Column("failed", "failed"),
        Column("planned", "planned, not run"),
    )
    return Table("cost", "Cost", columns, tuple(rows)).without_empty_columns()
