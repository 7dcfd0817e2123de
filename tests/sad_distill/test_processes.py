"""Two processes on one machine, over gloo: the same training as one process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from training import assert_same_weights, make_job

from harness.errors import HarnessError
from sad_distill.checkpoint import checkpoints
from sad_distill.metrics import read_metrics
from sad_distill.processes import joined
from sad_distill.train import train

pytestmark = [
    pytest.mark.models,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("one_thread"),
]

SETTINGS = (
    *("training.rows=1", "training.accumulation=2", "training.pack_length=200"),
    *("training.learning_rate=1e-3", "training.save_every=4", "training.max_steps=8"),
)
PROCESS = """
import os, sys
from pathlib import Path
import torch
from training import SETTINGS, Request, assemble, load_recipe
from sad_distill.checkpoint import checkpoints
from sad_distill.processes import joined, leave
from sad_distill.train import train
torch.set_num_threads(1)
recipe, run, out, student, teacher, stop_at, *settings = sys.argv[1:]
request = Request(
    recipe, load_recipe(recipe, (*SETTINGS, *settings)), (Path(run),), teacher or None, student
)
with joined("cpu") as place:
    job = assemble(request, Path(out), place)
    steps = []
    # The second process alone is asked to stop: both must.
    def stop():
        steps.append(1)
        return place.rank == 1 and len(steps) > int(stop_at)
    found = checkpoints(Path(out))
    train(job, Path(out), stop=stop, resume_from=found[-1] if found else None)
leave(0)
"""


@pytest.fixture(scope="module")
def teacher(run: Path, student: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    train(make_job(run, folder, "imitation", "training.max_steps=4", student=student), folder)
    return folder


@pytest.fixture(scope="module")
def alone(run: Path, student: str, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    job = make_job(run, folder, "sad", *SETTINGS, student=student, teacher=f"hf:{teacher}")
    train(job, folder)
    return folder


def start_two(*arguments: str, **environment: str) -> None:
    """Run `PROCESS` as `torchrun --nproc-per-node 2` would."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    paths = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]
    started = []
    for rank in "01":
        told = {
            "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", PROCESS, *arguments],
                env={**os.environ, **told, **environment},
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        said = [process.communicate(timeout=500)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], "\n".join(said)


@pytest.mark.parametrize("sharded", ["false", "true"], ids=["ddp", "fsdp"])
def test_two_processes_train_as_one(
    sharded: str, run: Path, student: str, teacher: Path, alone: Path, tmp_path: Path
) -> None:
    start_two(
        "sad", str(run), str(tmp_path), student, f"hf:{teacher}", "99", *SETTINGS,
        ACCELERATE_USE_FSDP=sharded,
    )  # fmt: skip
    assert_same_weights(tmp_path, alone, within=2e-5)
    two, one = (read_metrics(folder / "metrics.jsonl") for folder in (tmp_path, alone))
    assert [x["loss"] for x in two] == pytest.approx([x["loss"] for x in one], abs=1e-5)
    assert [x["tokens"] for x in two] == [x["tokens"] for x in one]
    norms = [[line["gradient_norm"] for line in lines] for lines in (two, one)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


def test_sharded_adapters_are_merged_into_a_whole_student(
    run: Path, teacher: Path, tmp_path: Path
) -> None:
    settings = (*SETTINGS, "training.max_steps=3", "student.lora_rank=4")
    spec, two, one = f"hf:{teacher}", tmp_path / "two", tmp_path / "one"
    arguments = ("sad", str(run), str(two), spec, spec, "99", *settings)
    start_two(*arguments, ACCELERATE_USE_FSDP="true")
    train(make_job(run, one, "sad", *settings, student=spec, teacher=spec), one)
    assert_same_weights(two, one, within=2e-5)
    assert (two / "adapter" / "adapter_model.safetensors").is_file()


def test_a_stop_of_one_process_stops_both_and_both_resume(
    run: Path, student: str, teacher: Path, alone: Path, tmp_path: Path
) -> None:
    arguments = ("sad", str(run), str(tmp_path), student, f"hf:{teacher}")
    start_two(*arguments, "3", *SETTINGS, ACCELERATE_USE_FSDP="true")
    assert [folder.name for folder in checkpoints(tmp_path)] == ["step-000003"]
    start_two(*arguments, "99", *SETTINGS, ACCELERATE_USE_FSDP="true")
    assert_same_weights(tmp_path, alone, within=2e-5)
    assert json.loads((tmp_path / "distillation.json").read_text())["steps"] == 8


def test_a_sharded_training_of_one_process_is_refused() -> None:
    with pytest.raises(HarnessError, match="needs several processes"), joined(sharded=True):
        pass
