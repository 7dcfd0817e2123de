"""A training that was stopped or killed goes on as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from training import assert_same_weights, make_job

from harness.errors import HarnessError
from sad_distill.checkpoint import checkpoints, load_state
from sad_distill.metrics import read_metrics
from sad_distill.train import train

pytestmark = [pytest.mark.models, pytest.mark.usefixtures("one_thread")]

KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from training import make_job
from sad_distill.train import train
torch.set_num_threads(1)
run, out, student, teacher, *settings = sys.argv[1:]
job = make_job(Path(run), Path(out), "sad", *settings, student=student, teacher=teacher)
def watch(step, steps, line):
    if step == 7:
        os.kill(os.getpid(), signal.SIGKILL)
train(job, Path(out), watch=watch)
"""


def test_killed_and_resumed_is_as_never_killed(
    run: Path, student: str, teacher: Path, tmp_path: Path
) -> None:
    settings = ("training.save_every=3", "training.learning_rate=1e-3")
    spec = f"hf:{teacher}"
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    paths = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]
    died = subprocess.run(
        [sys.executable, "-c", KILLED, str(run), str(cut), student, spec, *settings],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert not (cut / "config.json").exists()
    assert [line["step"] for line in read_metrics(cut / "metrics.jsonl")][-1] == 7
    (last,) = checkpoints(cut)[-1:]
    assert last.name == "step-000006"
    (cut / "checkpoints" / ".step-000009.draft").mkdir()  # what a kill while writing leaves

    train(make_job(run, whole, "sad", *settings, student=student, teacher=spec), whole)
    job = make_job(run, cut, "sad", *settings, student=student, teacher=spec)
    train(job, cut, resume_from=checkpoints(cut)[-1])
    assert_same_weights(cut, whole)
    one, other = (read_metrics(folder / "metrics.jsonl") for folder in (cut, whole))
    assert [line["loss"] for line in one] == [line["loss"] for line in other]
    assert len(checkpoints(cut)) == 2


def test_resuming_another_training_names_what_differs(
    run: Path, student: str, tmp_path: Path
) -> None:
    settings = ("training.max_steps=2",)
    train(make_job(run, tmp_path, "imitation", *settings, student=student), tmp_path)
    other = make_job(run, tmp_path, "imitation", *settings, "training.seed=3", student=student)
    with pytest.raises(HarnessError, match=r"training\.seed was 0 and is 3"):
        train(other, tmp_path, resume_from=checkpoints(tmp_path)[-1])


def test_a_refused_resume_leaves_the_folder_as_it_was(
    run: Path, student: str, tmp_path: Path
) -> None:
    from harness.cli.distilling import Options, carry_out, read_options

    quick = ("student.vocabulary=400", "training.max_steps=2")
    asked = Options("imitation", quick, None, student, (run,), ())
    carry_out(read_options(asked, tmp_path, resume=False), tmp_path, resume=False, device="cpu")
    other = replace(asked, settings=(*quick, "training.seed=3"))
    with pytest.raises(HarnessError, match=r"training\.seed was 0 and is 3"):
        carry_out(read_options(other, tmp_path, resume=True), tmp_path, resume=True, device="cpu")
    alone = read_options(Options(None, (), None, None, (), ()), tmp_path, resume=True)
    carry_out(alone, tmp_path, resume=True, device="cpu")


@pytest.mark.parametrize("content", [b"", b"torn", b"PK\x03\x04torn"])
def test_a_damaged_checkpoint_gets_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "training.pt").write_bytes(content)
    with pytest.raises(HarnessError, match="delete it to go on from the one before") as refused:
        load_state(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_stop_keeps_a_checkpoint_and_no_student(run: Path, student: str, tmp_path: Path) -> None:
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 3

    ending = train(make_job(run, tmp_path, "imitation", student=student), tmp_path, stop=stop)
    assert (ending.reason, ending.steps) == ("interrupted", 3)
    assert ending.checkpoint.name == "step-000003"
    assert not (tmp_path / "config.json").exists()


def test_lora_resumes_exactly(run: Path, teacher: Path, tmp_path: Path) -> None:
    settings = ("student.lora_rank=4", "training.max_steps=4", "training.learning_rate=1e-2")
    spec = f"hf:{teacher}"
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    train(make_job(run, whole, "imitation", *settings, student=spec), whole)
    asked: list[bool] = []
    train(
        make_job(run, cut, "imitation", *settings, student=spec),
        cut,
        stop=lambda: bool(asked.append(True) or len(asked) > 2),  # type: ignore[func-returns-value]
    )
    job = make_job(run, cut, "imitation", *settings, student=spec)
    train(job, cut, resume_from=checkpoints(cut)[-1])
    assert_same_weights(cut, whole)


def test_tokens_are_counted_across_an_interruption(run: Path, student: str, tmp_path: Path) -> None:
    settings = ("training.max_steps=6", "training.log_every=4")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(make_job(run, whole, "imitation", *settings, student=student), whole)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 3

    train(make_job(run, cut, "imitation", *settings, student=student), cut, stop=stop)
    job = make_job(run, cut, "imitation", *settings, student=student)
    train(job, cut, resume_from=checkpoints(cut)[-1])
    lines = [read_metrics(folder / "metrics.jsonl") for folder in (whole, cut)]
    assert [line["step"] for line in lines[1]] == [1, 3, 4, 6]
    assert lines[0][-1]["tokens"] == lines[1][-1]["tokens"]
