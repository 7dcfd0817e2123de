"""`harness spans` and `harness import`, as typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from making import make_episode, write_run

pytestmark = pytest.mark.models


def harness(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; main()", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(
        tmp_path / "teacher", [make_episode(9, task_id=t) for t in "abc"], split="valid_unseen"
    )


def test_spans_shows_an_example_and_statistics(run: Path) -> None:
    done = harness("spans", run)
    assert done.returncode == 0, done.stderr
    assert "You are in a room. Find a." in done.stdout
    assert "3 episodes, 27 turns, 27 supervised; 100.0% fit" in done.stdout
    assert "0 straddling tokens" in done.stdout


def test_spans_of_a_short_context_as_json(run: Path) -> None:
    window = ("--history", "last-k-turns", "--last-k", 2)
    done = harness("spans", run, "--max-length", 400, *window, "--json")
    counts = json.loads(done.stdout)
    assert counts["windows"] > 3
    assert counts["turns_supervised"] == 27
    assert counts["tokens_per_window"]["longest"] <= 400


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--scheme", "resaon"), "did you mean"),
        (("--tokenizer", "gpt2"), "expected own, smollm2 or hf:PATH_OR_ID"),
        (("--example", "7"), "there are 3 episodes"),
        (("--history", "some"), "expected full or last-k-turns"),
    ],
)
def test_bad_options_get_one_line(run: Path, options: tuple[str, str], said: str) -> None:
    done = harness("spans", run, *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_import_writes_a_run_and_says_what_it_left_out(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("Task.\nThought: a\nAction: b\nObservation: c\nThought: cut off\n")
    problems = tmp_path / "problems.json"
    done = harness("import", log, "--out", tmp_path / "run", "--report", problems)
    assert done.returncode == 0, done.stderr
    assert "1 records, 1 episodes, 1 turns, 1 with a thought" in done.stdout
    assert "a thought without an action: 1" in done.stdout
    assert json.loads(problems.read_text())[0]["excerpt"] == "cut off"
    assert harness("spans", tmp_path / "run").returncode == 0
    again = harness("import", log, "--out", tmp_path / "run")
    assert again.returncode == 2
    assert "choose another --out" in again.stderr
