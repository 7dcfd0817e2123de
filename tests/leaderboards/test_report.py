"""The report: who is a row, what is a column, what is refused and what is said beside it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from board_runs import owed, play, result, student, write_run

from harness.errors import HarnessError
from harness.trajectory import Outcome
from leaderboards.report import make_report
from leaderboards.table import Cell, Report, Row, Table

ALFWORLD = "ALFWorld, valid_unseen"
WEBSHOP = {"env_id": "sad/WebShop-v1", "env_version": "webshop-1+a", "split": "test"}


def outcomes(n: int, solved: int, seed: int = 0) -> list[bool]:
    chosen = [i < solved for i in range(n)]
    random.Random(seed).shuffle(chosen)
    return chosen


def table(report: Report, key: str) -> Table:
    return next(t for t in report.tables if t.key == key)


def row(report: Report, *names: str, key: str = "board") -> Row:
    found = [
        r
        for r in table(report, key).rows
        if set(names) <= {c.text for c in r.cells[: table(report, key).n_names]}
    ]
    assert len(found) == 1, f"{len(found)} rows are called {names}"
    return found[0]


def cell(report: Report, *names: str, column: str, key: str = "board", group: str = "") -> Cell:
    columns = table(report, key).columns
    places = [
        i for i, c in enumerate(columns) if c.key == column and (not group or c.group == group)
    ]
    assert places, f"no column {column} in {[c.key for c in columns]}"
    return row(report, *names, key=key).cells[places[0]]


def test_success_is_shown_with_wilsons_interval_and_planned_numbers(tmp_path: Path) -> None:
    made = make_report([play(tmp_path / "a", outcomes(134, 58), agent="random")])
    assert cell(made, "random", column="success").text == "43.3 [35.2, 51.7]"
    assert cell(made, "random", column="scored").text == "134/134"


def test_one_episode_has_no_interval(tmp_path: Path) -> None:
    made = make_report([play(tmp_path / "a", [True], agent="random")])
    assert cell(made, "random", column="success").text == "100.0"


def test_seeds_of_one_method_share_a_row_with_a_t_interval_beside(tmp_path: Path) -> None:
    runs = [student(tmp_path / f"s{s}", outcomes(50, 20 + 5 * s, s), seed=s) for s in range(3)]
    made = make_report(runs)
    assert cell(made, "sad", column="seeds").text == "3"
    assert cell(made, "sad", column="success").value == pytest.approx(50.0)
    assert cell(made, "sad", column="scored").text == "150/150"
    over = cell(made, "sad", column="success_over_seeds")
    # Means 40, 50, 60: 50 ± 4.303 · 10/√3.
    assert (over.low, over.high) == pytest.approx((25.16, 74.84), abs=0.01)


@pytest.mark.parametrize(("ended", "rows"), [("done", 1), ("time", 3)])
def test_steps_tell_seeds_apart_only_where_a_training_was_cut_short(
    ended: str, rows: int, tmp_path: Path
) -> None:
    runs = [
        student(tmp_path / f"s{seed}", [True, False], seed=seed, ended=ended, steps=690 + seed)
        for seed in range(3)
    ]
    assert len(table(make_report(runs), "board").rows) == rows


def test_one_seed_has_no_interval_over_seeds(tmp_path: Path) -> None:
    made = make_report([student(tmp_path / "a", outcomes(50, 20))])
    assert "success_over_seeds" not in {c.key for c in table(made, "board").columns}


def test_repeats_do_not_narrow_the_interval_as_tasks_would(tmp_path: Path) -> None:
    solved = [s for s in outcomes(40, 20) for _ in range(4)]
    repeated = make_report([play(tmp_path / "a", solved, agent="random", repeats=4)])
    wide = cell(repeated, "random", column="success")
    assert wide.high is not None
    assert wide.low is not None
    assert wide.high - wide.low > 28  # 160 independent episodes would give 15


def test_runs_with_another_setting_are_rows_of_their_own(tmp_path: Path) -> None:
    one = play(tmp_path / "a", [True, False], model="smollm2", settings={"shots": 0})
    two = play(tmp_path / "b", [True, True], model="smollm2", settings={"shots": 2})
    made = make_report([one, two])
    assert cell(made, "react (shots=0)", column="success").value == 50
    assert cell(made, "react (shots=2)", column="success").value == 100


def test_students_made_with_other_settings_are_rows_of_their_own(tmp_path: Path) -> None:
    runs = [
        student(tmp_path / f"{rate}-{seed}", [True, False], seed=seed, settings={"rate": rate})
        for rate in (1, 2)
        for seed in (0, 1)
    ]
    made = make_report(runs)
    assert cell(made, "sad (rate=1)", column="seeds").text == "2"


def test_a_setting_of_another_environment_does_not_split_a_row(tmp_path: Path) -> None:
    one = play(tmp_path / "a", [True, False], model="smollm2", settings={"shots": 0})
    two = play(tmp_path / "b", [True, True], model="smollm2", settings={"shots": 2}, **WEBSHOP)
    made = make_report([one, two])
    assert len(table(made, "board").rows) == 1


def test_mixed_versions_are_refused_by_name(tmp_path: Path) -> None:
    one = play(tmp_path / "one", [True], agent="expert", env_version="v+1", max_steps=50)
    two = play(tmp_path / "two", [True], agent="random", env_version="v+2", max_steps=4)
    with pytest.raises(HarnessError) as error:
        make_report([one, two])
    for part in ("v+1 (one)", "v+2 (two)", "max_steps is 50 or 4"):
        assert part in str(error.value)


def test_other_splits_are_other_columns(tmp_path: Path) -> None:
    one = play(tmp_path / "one", [True], agent="expert", env_version="v+1", split="valid_seen")
    two = play(tmp_path / "two", [True], agent="expert", env_version="v+2", split="valid_unseen")
    assert table(make_report([one, two]), "board").groups[:2] == (
        "ALFWorld, valid_seen",
        "ALFWorld, valid_unseen",
    )


def test_the_same_run_twice_is_refused(tmp_path: Path) -> None:
    one = play(tmp_path / "one", [True], agent="expert")
    two = play(tmp_path / "two", [True], agent="expert")
    with pytest.raises(HarnessError, match="one and two are the same run twice"):
        make_report([one, two])


def test_two_halves_of_a_run_aggregate(tmp_path: Path) -> None:
    rows = [result(f"t{i}", i % 2 == 0, agent="expert", model=None) for i in range(4)]
    runs = [write_run(tmp_path / n, r) for n, r in (("one", rows[:2]), ("two", rows[2:]))]
    assert cell(make_report(runs), "expert", column="scored").text == "4/4"


def test_compression_and_retention_are_relative_to_the_teacher(tmp_path: Path) -> None:
    teacher = play(tmp_path / "t", outcomes(50, 40), model="hf:teachers/big", parameters=10**7)
    pupil = student(tmp_path / "s", outcomes(50, 20), parameters=10**6)
    made = make_report([teacher, pupil])
    assert cell(made, "sad", column="compression").text == "10.0"
    assert cell(made, "sad", column="retention").text == "50.0"
    assert row(made, "react (teacher)").kind == "reference"


def test_retention_is_relative_to_the_teacher_that_chose_actions_alike(tmp_path: Path) -> None:
    big: dict[str, Any] = {"model": "hf:teachers/big", "parameters": 10**7}
    runs = []
    for choice, taught, learned in (("generate", 10, 5), ("likelihood", 40, 30)):
        how = {"action_choice": choice}
        runs.append(play(tmp_path / f"t-{choice}", outcomes(50, taught), settings=how, **big))
        runs.append(student(tmp_path / f"s-{choice}", outcomes(50, learned), playing=how))
    made = make_report(runs)
    kept = {
        choice: cell(made, f"sad (action_choice={choice})", column="retention").text
        for choice in ("generate", "likelihood")
    }
    assert kept == {"generate": "50.0", "likelihood": "75.0"}
    assert not any("two ways" in warning for warning in made.warnings)
    mixed = make_report([runs[0], runs[3]])
    assert [w for w in mixed.warnings if "two ways" in w] == [
        "Retention of sad nano:S mixes two ways of choosing actions: it was played with "
        "action_choice=likelihood, its teacher with action_choice=generate."
    ]


def test_rows_that_chose_actions_in_different_ways_are_said_to(tmp_path: Path) -> None:
    runs = [
        student(tmp_path / choice, [True, False], method=method, playing={"action_choice": choice})
        for method, choice in (("sad", "likelihood"), ("token", "generate"))
    ]
    assert any(
        "rows chose actions in different ways, action_choice=likelihood (sad nano:S) and "
        "action_choice=generate (token nano:S)" in warning
        for warning in make_report(runs).warnings
    )
    assert not any("different ways" in w for w in make_report(runs[:1]).warnings)


def test_references_come_first(tmp_path: Path) -> None:
    runs = [
        student(tmp_path / "s", [True, False]),
        play(tmp_path / "r", [False, False], agent="random"),
        play(tmp_path / "e", [True, True], agent="expert"),
    ]
    names = [r.cells[0].text for r in table(make_report(runs), "board").rows]
    assert names == ["expert", "random", "sad"]


def test_score_is_shown_where_it_differs_from_success(tmp_path: Path) -> None:
    run = play(tmp_path / "w", [True, False], agent="random", scores=[1.0, 0.5], **WEBSHOP)
    made = make_report([run])
    assert cell(made, "random", column="score").value == 75
    plain = make_report([play(tmp_path / "a", [True, False], agent="random")])
    assert "score" not in {c.key for c in table(plain, "board").columns}


def test_behaviour_and_cost_are_per_episode(tmp_path: Path) -> None:
    made = make_report([play(tmp_path / "a", [True, False], model="smollm2", n_steps=6)])
    for column, text in (("reasoning", "6.0"), ("steps", "6.0"), ("tokens", "120"),
                         ("seconds", "1.50")):  # fmt: skip
        assert cell(made, "react", column=column).text == text


def test_agreement_is_shown_where_it_was_measured(tmp_path: Path) -> None:
    run = student(tmp_path / "a", [True, False])
    measured = {"cot_match": 0.25, "action_match": 0.5, "n_turns": 40}
    (run / "agreement.json").write_text(json.dumps(measured))
    made = make_report([run])
    assert cell(made, "sad", column="cot_match").text == "25.0"
    assert cell(made, "sad", column="action_match").text == "50.0"


def test_steps_are_held_against_the_optimum_on_solved_tasks(tmp_path: Path) -> None:
    rows = [
        result("t0", True, n_steps=6, optimal_steps=4, agent="expert", model=None),
        result("t1", False, n_steps=50, optimal_steps=4, agent="expert", model=None),
    ]
    made = make_report([write_run(tmp_path / "a", rows)])
    assert cell(made, "expert", column="over_optimal").text == "1.50"


def test_what_was_not_scored_is_said(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "a",
        [result("t0", True), result("t1", False)],
        attempts=[owed("t2", Outcome.ENV_ERROR)],
        planned={"put": 5},
    )
    (caution,) = make_report([run]).warnings
    assert "3 of 5 episodes of react a are not scored (1 env_error, 2 not tried)" in caution


def test_a_run_without_a_score_has_no_rate(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", [], attempts=[owed("t0", agent="expert", model=None)])
    (warning,) = make_report([run]).warnings
    assert warning.endswith(
        "1 of 1 episodes of expert are not scored (1 provider_error); it has no rate."
    )


def test_rows_scored_on_different_tasks_are_said_to_be(tmp_path: Path) -> None:
    one = play(tmp_path / "a", [True] * 4, agent="expert")
    two = play(tmp_path / "b", [True] * 3, agent="random")
    assert any("scored on different tasks" in w for w in make_report([one, two]).warnings)


def test_short_intervals_are_said_to_be(tmp_path: Path) -> None:
    one = make_report([student(tmp_path / "a", outcomes(134, 60))])
    assert any("one training seed" in w for w in one.warnings)
    expert = make_report([play(tmp_path / "b", outcomes(134, 60), agent="expert")])
    assert expert.warnings == ()


def test_short_intervals_of_scores_differences_and_types_are_said_to_be(tmp_path: Path) -> None:
    scores = [i / 40 for i in range(40)]
    one = play(tmp_path / "one", [False] * 40, scores=scores, agent="random", **WEBSHOP)
    two = play(tmp_path / "two", [False] * 40, scores=scores[::-1], agent="expert", **WEBSHOP)
    made = make_report([one, two], baseline=one)
    over = "a bootstrap over 40 tasks covers less than 95 %"
    assert any(", score: the interval of expert and random" in w for w in made.warnings)
    assert any("intervals of differences" in n and over in n for n in made.notes)
    twice = play(tmp_path / "twice", outcomes(60, 30), agent="random", repeats=2)
    made = make_report([twice], by_type=True)
    (types,) = [t for t in made.tables if t.key.startswith("types")]
    assert any("a bootstrap over 10 tasks" in note for note in types.notes)


def test_baseline_is_compared_on_common_tasks_with_holm(tmp_path: Path) -> None:
    base = play(tmp_path / "base", [False] * 20, agent="random")
    better = play(tmp_path / "better", [True] * 10 + [False] * 5, agent="expert")
    same = play(tmp_path / "same", [False] * 20, model="smollm2")
    made = make_report([base, better, same], baseline=base)
    assert cell(made, "expert", column="tasks", key="baseline").text == "15"
    assert cell(made, "expert", column="difference", key="baseline").value == pytest.approx(200 / 3)
    p = cell(made, "expert", column="p", key="baseline").value
    assert p == pytest.approx(2 / 2**10)
    adjusted = cell(made, "expert", column="p_holm", key="baseline").value
    assert adjusted == pytest.approx(2 * 2 / 2**10)
    assert cell(made, "react", column="p", key="baseline").text == "1.000"


def test_baseline_of_several_seeds_counts_them(tmp_path: Path) -> None:
    base = [
        student(tmp_path / f"b{s}", outcomes(50, 20 + s, s), seed=s, method="a") for s in range(3)
    ]
    ours = [
        student(tmp_path / f"o{s}", outcomes(50, 30 + 5 * s, s), seed=s, method="b")
        for s in range(3)
    ]
    made = make_report([*base, *ours], baseline=base[0])
    assert cell(made, "b", column="over_seeds", key="baseline").low is not None
    p = cell(made, "b", column="p", key="baseline").value
    # Welch over 40, 42, 44 and 60, 70, 80: about 0.03, far above what sign flips of 50 tasks say.
    assert p == pytest.approx(0.032, abs=0.005)


def test_baseline_is_added_to_the_runs(tmp_path: Path) -> None:
    base = play(tmp_path / "base", [False] * 4, agent="random")
    made = make_report([play(tmp_path / "a", [True] * 4, agent="expert")], baseline=base)
    assert len(table(made, "board").rows) == 2


def test_baseline_without_a_common_task_is_refused(tmp_path: Path) -> None:
    base = play(tmp_path / "base", [False], agent="random", **WEBSHOP)
    with pytest.raises(HarnessError, match="shares no scored task"):
        make_report([play(tmp_path / "a", [True], agent="expert")], baseline=base)


def test_a_difference_that_cannot_be_seen_is_stated(tmp_path: Path) -> None:
    base = play(tmp_path / "base", outcomes(134, 60, 1), agent="random")
    other = play(tmp_path / "other", outcomes(134, 62, 2), agent="expert")
    paired = make_report([base, other], baseline=base)
    assert any("with 134 tasks a difference under" in n for n in paired.notes)
    alone = make_report([base])
    assert any("with 134 tasks a difference under 17.1 points" in n for n in alone.notes)


def test_no_difference_beyond_what_there_can_be_is_asked_for(tmp_path: Path) -> None:
    runs = [
        play(tmp_path / "a", outcomes(6, 3, 1), agent="expert"),
        play(tmp_path / "b", [not won for won in outcomes(6, 3, 1)], agent="random"),
    ]
    made = make_report(runs, baseline=runs[1])
    assert cell(made, "expert", column="visible", key="baseline").value == 100
    assert any("over the one comparison of this table" in note for note in made.notes)


def test_one_training_seed_is_no_test_of_methods(tmp_path: Path) -> None:
    base = student(tmp_path / "base", outcomes(50, 20, 1), method="a")
    other = student(tmp_path / "other", outcomes(50, 30, 2), method="b")
    expert = play(tmp_path / "expert", outcomes(50, 49), agent="expert")
    made = make_report([base, other], baseline=base)
    assert any("One training seed on a side: p of every row" in note for note in made.notes)
    made = make_report([other, expert], baseline=expert)
    assert any("p of b nano:S is about the students" in note for note in made.notes)
    random = play(tmp_path / "random", outcomes(50, 2), agent="random")
    made = make_report([expert, random], baseline=expert)
    assert not any("One training seed" in note for note in made.notes)


def test_task_types_are_shown_on_request(tmp_path: Path) -> None:
    run = play(tmp_path / "a", [True, False, True] * 2, agent="expert")
    assert not any(t.key.startswith("types") for t in make_report([run]).tables)
    made = make_report([run], by_type=True)
    key = f"types {ALFWORLD}"
    assert cell(made, "expert", key=key, column="success", group="clean").value == 0
    assert cell(made, "expert", key=key, column="scored", group="clean").text == "2/2"


def test_published_numbers_are_apart_and_only_beside_students(tmp_path: Path) -> None:
    made = make_report([student(tmp_path / "a", [True, False])])
    published = table(made, "published")
    assert "not comparable" in published.title
    assert "splits" in published.notes[0]
    assert {r.kind for r in published.rows} == {"published"}
    assert "published" not in {r.kind for r in table(made, "board").rows}
    expert = make_report([play(tmp_path / "b", [True], agent="expert")])
    assert "published" not in {t.key for t in expert.tables}


def test_order_of_the_runs_does_not_matter(tmp_path: Path) -> None:
    runs = [student(tmp_path / f"s{s}", outcomes(20, 8, s), seed=s) for s in range(3)]
    runs.append(play(tmp_path / "e", outcomes(20, 19), agent="expert"))
    assert make_report(runs) == make_report(runs[::-1])
