"""The board itself: a row per method and scale, columns per environment, then what it cost."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboards.agreements import Agreement, agreement_of
from leaderboards.players import ColumnKey, Player, teacher_of
from leaderboards.results import Measure, Result, Results, measures_of
from leaderboards.table import (
    NOTHING,
    Cell,
    Column,
    Row,
    Table,
    count,
    number,
    percent,
    size,
    span,
    words,
)

NAMES = (
    Column("method", "method", about="distillation method of a student, else the agent"),
    Column("model", "model", about="the student's specification, else the model's name"),
    Column("parameters", "parameters", about="read from the model itself"),
)
"""The columns that name a row."""


def names_of(player: Player) -> tuple[Cell, ...]:
    """The cells that name a row: those of `NAMES`."""
    teacher = "teacher" if player.kind == "reference" and player.model_name else ""
    said = ", ".join(filter(None, (teacher, player.variant)))
    method = f"{player.method} ({said})" if said else player.method
    return words(method), words(player.model_name), size(player.parameters)


def env_name(column: ColumnKey) -> str:
    """A column's heading: `ALFWorld, valid_unseen`."""
    env_id, split = column
    name = env_id.rpartition("/")[2] or "unknown environment"
    stem, dash, version = name.rpartition("-v")
    return f"{stem if dash and version.isdigit() else name}, {split}"


def board_table(players: Sequence[Player], results: Results, columns: Sequence[ColumnKey]) -> Table:
    """The board; columns that no row has a value for are left out."""
    seeds = Column("seeds", "seeds", about="training seeds that the row aggregates")
    headings = [NAMES[0], NAMES[1], NAMES[2], seeds]
    for column in columns:
        headings += _env_columns(column, measures_of(results, column))
    for column in columns:
        headings += _cost_columns(column)
    rows = []
    for i, player in enumerate(players):
        cells = [*names_of(player), number(player.seeds or None, 0)]
        for column in columns:
            cells += _env_cells(results.get((i, column)), measures_of(results, column))
        teacher = teacher_of(player, players)
        for column in columns:
            taught = None if teacher is None else results.get((teacher, column))
            whole = None if teacher is None else players[teacher]
            cells += _cost_cells(player, whole, results.get((i, column)), taught)
        rows.append(Row(tuple(cells), player.kind))
    table = Table("board", "Results", tuple(headings), tuple(rows), n_names=len(NAMES) + 1)
    return table.without_empty_columns()


def _env_columns(column: ColumnKey, measures: Sequence[Measure]) -> list[Column]:
    group = env_name(column)
    rates = [
        heading
        for measure in measures
        for heading in (
            Column(measure, measure, group, "%", "with its 95 % interval about tasks"),
            Column(
                f"{measure}_over_seeds",
                "over seeds" if measure == "success" else "score over seeds",
                group,
                "%",
                "95 % interval about training seeds: t, seeds - 1 degrees of freedom",
            ),
        )
    ]
    return [
        *rates,
        Column("scored", "scored/planned", group, about="episodes"),
        Column("reasoning", "reasoning", group, "tokens", "mean length of a turn's reasoning"),
        Column("cot_match", "CoT match", group, "%", "turns with ROUGE-L F1 of at least 0.5"),
        Column("action_match", "action match", group, "%", "turns with the teacher's action"),
        Column("steps", "steps", group, about="mean turns per episode"),
        Column("over_optimal", "steps/optimal", group, about="on solved tasks, 1 at best"),
    ]


def _env_cells(result: Result | None, measures: Sequence[Measure]) -> list[Cell]:
    if result is None:
        return [NOTHING] * (2 * len(measures) + 6)
    cells = []
    for measure in measures:
        rate = result.rate(measure)
        if rate is None:
            cells += [NOTHING, NOTHING]
        else:
            cells += [percent(rate.value, rate.interval, n=result.n), span(rate.over_seeds)]
    reasoning = result.reasoning
    agreement: Agreement | None = agreement_of(result)
    return [
        *cells,
        count(result.n, result.planned),
        number(reasoning[0], n=reasoning[1]) if reasoning else NOTHING,
        percent(agreement.cot_match, n=agreement.n_turns) if agreement else NOTHING,
        percent(agreement.action_match, n=agreement.n_turns) if agreement else NOTHING,
        number(result.steps),
        number(result.steps_over_optimal, 2),
    ]


def _cost_columns(column: ColumnKey) -> list[Column]:
    group = f"Cost in {env_name(column)}"
    return [
        Column("compression", "compression", group, "×", "teacher's parameters over its own"),
        Column("retention", "retention", group, "%", "success as a share of the teacher's"),
        Column("tokens", "tokens", group, "per episode", "read and generated"),
        Column("seconds", "seconds", group, "per episode"),
    ]


def _cost_cells(
    player: Player, teacher: Player | None, result: Result | None, taught: Result | None
) -> list[Cell]:
    if result is None:
        return [NOTHING] * 4
    own, whole = player.parameters, teacher.parameters if teacher else None
    return [
        number(whole / own, 1) if whole and own else NOTHING,
        _retention(result, taught),
        number(result.tokens, 0),
        number(result.seconds, 2),
    ]


def _retention(result: Result, teacher: Result | None) -> Cell:
    if teacher is None:
        return NOTHING
    ours, theirs = result.rate("success"), teacher.rate("success")
    if ours is None or theirs is None or theirs.value == 0:
        return NOTHING
    return percent(ours.value / theirs.value)
