"""Aggregates are computed from rows."""

from __future__ import annotations

import pytest

from harness.summary import summarise, wilson
from harness.trajectory import Episode, Outcome


def row(task: str, kind: str, outcome: Outcome, steps: int = 4, invalid: int = 1) -> Episode:
    score = float(outcome == Outcome.SUCCESS) if outcome.scored else None
    return Episode(
        env_id="e", env_version="1", task_id=task, task_type=kind, agent="x", outcome=outcome,
        success=None if score is None else bool(score), score=score, n_steps=steps,
        n_invalid=invalid,
    )  # fmt: skip


def test_wilson_interval_of_known_values() -> None:
    interval = wilson(81, 263)
    assert interval == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_interval_of_fewer_than_two_is_none() -> None:
    assert wilson(1, 1) is None


def test_rows_per_type_and_in_all() -> None:
    scored = [row("a", "put", Outcome.SUCCESS), row("b", "heat", Outcome.TRUNCATED_STEPS)]
    failed = [row("c", "heat", Outcome.ENV_ERROR), row("a", "put", Outcome.ENV_ERROR)]
    heat, put, total = summarise(scored, failed, [""] * 5)
    assert (heat.task_type, heat.scored, heat.planned) == ("heat", 1, 2)
    assert (put.task_type, put.scored, put.planned) == ("put", 1, 1)
    assert (total.scored, total.planned, total.success_rate) == (2, 5, 0.5)
    assert total.invalid_rate == 0.25


def test_nothing_scored_has_no_rate() -> None:
    (total,) = summarise([], [], [""] * 3)
    assert total.success_rate is None
    assert total.planned == 3


def test_planned_types_count_what_was_not_begun() -> None:
    scored = [row("a", "put", Outcome.SUCCESS)]
    heat, put, total = summarise(scored, [], ["put", "put", "heat"])
    assert (heat.scored, heat.planned) == (0, 1)
    assert (put.scored, put.planned) == (1, 2)
    assert (total.scored, total.planned) == (1, 3)


def test_repeats_of_a_task_do_not_narrow_its_interval() -> None:
    once = [row(f"t{i}", "put", Outcome.SUCCESS if i < 5 else Outcome.FAILURE) for i in range(10)]
    thrice = [e.model_copy(update={"repeat": k}) for e in once for k in range(3)]
    (single,), (repeated,) = summarise(once, [], [""] * 10), summarise(thrice, [], [""] * 30)
    assert repeated.interval == single.interval == wilson(5, 10)
    (alone,) = summarise([e for e in thrice if e.task_id == "t0"], [], [""] * 3)
    assert alone.interval is None
