"""Selection of episodes, and the refusal to train on what is evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest
from making import make_episode, write_run

from harness.errors import HarnessError
from harness.trajectory import Outcome
from sad_distill.data import Evaluation, Selection, is_evaluation_split, load_dataset

FAILED = {"outcome": Outcome.FAILURE, "success": False, "score": 0.0}


def ids(folder: Path, **chosen: object) -> list[str]:
    data = load_dataset([folder], Selection(**chosen))  # type: ignore[arg-type]
    return [one.episode.task_id for one in data.episodes]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(
        tmp_path / "teacher",
        [
            make_episode(task_id="a"),
            make_episode(task_id="b", **FAILED),
            make_episode(task_id="c", env_id="sad/HotPotQA-v1", score=0.6),
            make_episode(task_id="d"),
        ],
    )


def test_successes_are_used_unless_asked_otherwise(run: Path) -> None:
    assert ids(run) == ["a", "c", "d"]
    assert ids(run, outcomes=("success", "failure")) == ["a", "b", "c", "d"]


def test_selection_by_score_environment_and_limit(run: Path) -> None:
    assert ids(run, min_score=0.7) == ["a", "d"]
    assert ids(run, envs=("hotpotqa",)) == ["c"]
    assert ids(run, limit=2) == ["a", "c"]


def test_weights_by_environment_and_run(run: Path) -> None:
    data = load_dataset([run], Selection(weights={"alfworld": 2.0, "teacher": 0.5}))
    assert [one.weight for one in data.episodes] == [1.0, 0.5, 1.0]


def test_a_weight_of_something_else_is_refused(run: Path) -> None:
    with pytest.raises(HarnessError, match=r"data\.weights has 'alfword'.*teacher, sad/ALFWorld"):
        load_dataset([run], Selection(weights={"alfword": 2.0}))


def test_report_says_what_was_left_out(run: Path) -> None:
    (report,) = load_dataset([run], Selection(limit=1)).runs
    assert report["episodes"] == 4
    assert report["left_out"] == {"outcome failure": 1, "limit": 2}


def test_nothing_left_is_an_error_that_says_why(run: Path) -> None:
    with pytest.raises(HarnessError, match=r"no episode is left.*teacher: 4 episodes"):
        ids(run, envs=("webshop",))


def test_digest_follows_what_is_trained_on(tmp_path: Path, run: Path) -> None:
    again = write_run(tmp_path / "copy", [make_episode(task_id=t) for t in "ad"])
    alfworld = Selection(envs=("alfworld",))
    assert load_dataset([run], alfworld).digest == load_dataset([again], alfworld).digest
    assert load_dataset([run], Selection()).digest != load_dataset([again], Selection()).digest


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("valid_unseen", True), ("valid_seen", True), ("dev", True), ("test", True),
        ("sample300:dev", True), ("sample300", True), ("react500", True),
        ("train", False), ("sample300:train", False), ("generated:0:3000", False),
    ],
)  # fmt: skip
def test_evaluation_splits_by_name(split: str, expected: bool) -> None:
    assert is_evaluation_split(split) is expected


def test_run_on_an_evaluation_split_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", [make_episode()], split="valid_unseen")
    with pytest.raises(HarnessError, match="split 'valid_unseen', an evaluation split"):
        ids(folder)


@pytest.mark.parametrize("declared", ["generated:0", "generated", "generated:0:9"])
def test_run_on_a_declared_split_is_refused(run: Path, declared: str) -> None:
    with pytest.raises(HarnessError, match="was declared one"):
        load_dataset([run], Selection(), Evaluation(splits=(declared,)))


def test_other_seed_of_a_declared_split_is_fine(run: Path) -> None:
    assert load_dataset([run], Selection(), Evaluation(splits=("generated:1", "generated:0:5")))


def test_task_of_an_evaluation_run_is_refused_by_id_and_by_text(tmp_path: Path, run: Path) -> None:
    by_id = write_run(tmp_path / "by_id", [make_episode(task_id="d", goal="other")])
    known = make_episode(task_id="d")
    renamed = known.model_copy(update={"task_id": "elsewhere"})
    by_text = write_run(tmp_path / "by_text", [renamed])
    for folder in (by_id, by_text):
        with pytest.raises(HarnessError, match="task 'd', which is in the evaluation run"):
            load_dataset([run], Selection(), Evaluation(runs=(folder,)))


def test_unselected_tasks_may_be_in_an_evaluation_run(tmp_path: Path, run: Path) -> None:
    folder = write_run(tmp_path / "eval", [make_episode(task_id="b")])
    assert load_dataset([run], Selection(), Evaluation(runs=(folder,))).episodes


def test_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="expected a run directory"):
        ids(tmp_path)


def test_hold_out_is_by_task(tmp_path: Path) -> None:
    episodes = [make_episode(task_id=f"t{i % 40}", repeat=i // 40) for i in range(80)]
    data = load_dataset([write_run(tmp_path / "r", episodes)], Selection())
    kept, held = data.hold_out(0.25)
    assert len(kept) + len(held) == 80
    assert 8 <= len(held) <= 32
    assert not {o.episode.task_id for o in kept} & {o.episode.task_id for o in held}
