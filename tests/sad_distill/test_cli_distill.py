"""`harness distill`, as typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from signals import heed_interrupts
from training import assert_same_weights, student_spec

from harness.errors import HarnessError
from harness.store import read_episodes

pytestmark = pytest.mark.models

HARNESS = [sys.executable, "-c", "from harness.cli import main; main()", "distill"]
QUICK = ("--set", "training.max_steps=6", "--set", "training.log_every=1")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def distill(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HARNESS, *map(str, arguments)],
        capture_output=True, text=True, timeout=240, check=False, env=ENVIRONMENT,
    )  # fmt: skip


def test_a_training_begins_with_an_example_and_ends_with_the_folder(
    run: Path, student: str, tmp_path: Path
) -> None:
    out = tmp_path / "student"
    done = distill(
        "--recipe", "imitation", "--student", student, "--runs", run, "--out", out, *QUICK
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"student: {out}\n"
    assert "You are in a room. Find task 0." in done.stderr
    assert "generated" in done.stderr
    assert "6 episodes, 18 turns, 18 supervised; 100.0% fit" in done.stderr
    assert "6 steps on cpu" in done.stderr
    assert "step 6/6: loss " in done.stderr
    assert json.loads((out / "distillation.json").read_text())["recipe"] == "imitation"
    again = distill("--recipe", "imitation", "--student", student, "--runs", run, "--out", out)
    assert again.returncode == 2
    assert "holds a student already; choose another --out, or --resume" in again.stderr


@pytest.mark.slow
def test_an_interrupt_ends_in_good_order_and_resumes_by_the_folder_alone(
    run: Path, student: str, tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    asked = ("--recipe", "imitation", "--student", student, "--runs", run)
    more = ("--set", "training.epochs=100", "--set", "training.log_every=1")
    started = subprocess.Popen(
        [*HARNESS, *map(str, (*asked, *more, "--out", cut))],
        stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, preexec_fn=heed_interrupts,
    )  # fmt: skip
    assert started.stderr is not None
    for line in started.stderr:
        if line.startswith("step "):
            break
    started.send_signal(signal.SIGINT)
    said = started.communicate(timeout=240)[1]
    assert started.returncode == 130, said
    assert f"harness distill --resume --out {cut}" in said
    assert not (cut / "config.json").exists()
    resumed = distill("--resume", "--out", cut)
    assert resumed.returncode == 0, resumed.stderr
    assert distill(*asked, *more, "--out", whole).returncode == 0
    assert_same_weights(cut, whole)


def test_trainings_share_what_is_kept_of_a_teacher(
    run: Path, student: str, teacher: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    asked = ("--recipe", "token-kd-masked", "--teacher", f"hf:{teacher}", "--runs", run)
    asked += ("--student", student, "--teacher-cache", kept, "--set", "training.epochs=1")
    refused = distill(*asked, "--out", tmp_path / "online")
    assert refused.returncode == 2
    assert "nothing is kept with teacher.source online" in refused.stderr
    states = []
    for seed in (0, 1):
        more = ("--set", "teacher.source=cached", "--set", f"training.seed={seed}")
        done = distill(*asked, *more, "--out", tmp_path / str(seed))
        assert done.returncode == 0, done.stderr
        files = [path for path in kept.rglob("*") if path.is_file()]
        states.append({path.relative_to(kept): path.stat().st_mtime_ns for path in files})
    assert states[0]
    assert states[0] == states[1]  # nothing was computed again


@pytest.mark.slow
def test_a_student_of_one_episode_plays_it_again(tmp_path: Path) -> None:
    def harness(*arguments: object) -> None:
        done = subprocess.run(
            [*HARNESS[:-1], *map(str, arguments)],
            capture_output=True, text=True, timeout=290, check=False, env=ENVIRONMENT,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    taught, student, played = (tmp_path / name for name in ("taught", "student", "played"))
    game = ("--env", "alfworld", "--split", "generated:0:1")
    shape = student_spec(tmp_path, hidden_size=64, intermediate_size=128, num_attention_heads=4)
    settings = ("epochs=220", "learning_rate=8e-3", "weight_decay=0")
    harness("run", "--agent", "expert", *game, "--out", taught)
    harness(
        "distill", "--recipe", "imitation", "--student", shape, "--runs", taught, "--out", student,
        *(part for one in settings for part in ("--set", f"training.{one}")),
    )  # fmt: skip
    harness("run", "--agent", "react", "--model", f"hf:{student}", *game, "--out", played)
    (line,) = (student / "metrics.jsonl").read_text().splitlines()[-1:]
    assert json.loads(line)["loss"] < 0.01
    shown = [next(iter(read_episodes(folder))).turns for folder in (taught, played)]
    assert [turn.spans for turn in shown[0]] == [turn.spans for turn in shown[1]]


def test_the_self_test_prints_every_comparison() -> None:
    done = distill("--self-test", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "fkl float64" in done.stdout
    assert "FAIL" not in done.stdout


def test_a_bad_argument_gets_one_line() -> None:
    done = distill("--recipe", "sda")
    assert done.returncode == 2
    assert "there is no recipe 'sda'; did you mean 'sad'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("recipe", "student", "out", "resume", "said"),
    [
        (None, None, None, False, "name a --recipe"),
        ("imitation", None, None, False, "name a --student"),
        ("imitation", "nano:S", None, False, "name the folder of the student"),
        ("imitation", "nano:S", "nowhere", True, "nowhere has no checkpoint to go on from"),
        ("imitation", "nano:S", "nowhere", False, "there are no runs to train on"),
    ],
)
def test_what_is_missing_is_named(
    recipe: str | None, student: str | None, out: str | None, resume: bool, said: str
) -> None:
    from harness.cli.distilling import Options, carry_out, read_options

    folder = None if out is None else Path(out)

    def ask() -> None:
        request = read_options(Options(recipe, (), None, student, (), ()), folder, resume=resume)
        carry_out(request, folder, resume=resume, device="cpu")

    with pytest.raises(HarnessError, match=said):
        ask()
