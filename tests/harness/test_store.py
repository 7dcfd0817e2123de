"""The run directory: append, torn lines, resume, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.store import RunStore, read_episodes
from harness.trajectory import Episode, Outcome

CONFIG = {"decides": {"agent": "x", "sampling": {"temperature": 0.0}}}


def episode(task: str, outcome: Outcome = Outcome.FAILURE) -> Episode:
    score = 0.0 if outcome.scored else None
    return Episode(
        env_id="e", env_version="1", task_id=task, agent="x", outcome=outcome, score=score
    )


def test_scored_and_unscored_rows_go_to_their_files(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "run", CONFIG, resume=False)
    store.append(episode("a"))
    store.append(episode("b", Outcome.ENV_ERROR))
    store.close()
    assert store.done() == {("e", "a", 0)}
    assert [e.task_id for e in read_episodes(tmp_path / "run", "errors.jsonl")] == ["b"]


def test_torn_last_line_is_cut_and_owed_again(tmp_path: Path) -> None:
    store = RunStore(tmp_path, CONFIG, resume=False)
    store.append(episode("a"))
    store.close()
    whole = (tmp_path / "episodes.jsonl").read_bytes()
    for cut in (1, 10, len(whole) - 1):
        (tmp_path / "episodes.jsonl").write_bytes(whole + whole[:cut])
        assert [e.task_id for e in read_episodes(tmp_path)] == ["a"]
        store = RunStore(tmp_path, CONFIG, resume=True)
        store.append(episode("b"))
        store.close()
        assert [e.task_id for e in read_episodes(tmp_path)] == ["a", "b"]


def test_resume_with_another_configuration_names_the_keys(tmp_path: Path) -> None:
    RunStore(tmp_path, CONFIG, resume=False).close()
    other = {"decides": {"agent": "x", "sampling": {"temperature": 1.0}}}
    with pytest.raises(HarnessError, match=r"sampling\.temperature"):
        RunStore(tmp_path, other, resume=True)


def test_existing_run_needs_resume(tmp_path: Path) -> None:
    RunStore(tmp_path, CONFIG, resume=False).close()
    with pytest.raises(HarnessError, match="--resume"):
        RunStore(tmp_path, CONFIG, resume=False)


def test_two_runs_cannot_share_a_directory(tmp_path: Path) -> None:
    store = RunStore(tmp_path, CONFIG, resume=False)
    with pytest.raises(HarnessError, match="in use"):
        RunStore(tmp_path, CONFIG, resume=True)
    store.close()


def test_row_of_a_newer_schema_is_refused(tmp_path: Path) -> None:
    row = json.loads(episode("a").model_dump_json()) | {"schema_version": 99}
    (tmp_path / "episodes.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(HarnessError, match="update the package"):
        list(read_episodes(tmp_path))


def test_unknown_fields_of_a_row_are_kept(tmp_path: Path) -> None:
    row = json.loads(episode("a").model_dump_json()) | {"mine": {"note": 1}}
    (tmp_path / "episodes.jsonl").write_text(json.dumps(row) + "\n")
    (read,) = read_episodes(tmp_path)
    assert json.loads(read.model_dump_json())["mine"] == {"note": 1}


def test_unscored_outcomes_have_no_score() -> None:
    with pytest.raises(ValueError, match="score"):
        Episode(
            env_id="e",
            env_version="1",
            task_id="t",
            agent="x",
            outcome=Outcome.ENV_ERROR,
            score=0.0,
        )


def test_full_disk_is_one_line(tmp_path: Path) -> None:
    store = RunStore(tmp_path, CONFIG, resume=False)
    (tmp_path / "episodes.jsonl").symlink_to("/dev/full")
    with pytest.raises(HarnessError, match="the disk is full"):
        store.append(episode("a"))
    store.close()
