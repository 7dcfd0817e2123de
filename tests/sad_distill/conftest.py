"""What tests of whole trainings share. Nothing here imports torch before a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Sums in one order, whatever the machine: trainings are compared bit by bit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run of six episodes."""
    from training import make_run

    return make_run(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The spec of a tiny student from scratch."""
    from training import student_spec

    return student_spec(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="module")
def teacher(one_thread: None, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of its own right, a little trained by imitation."""
    from training import make_job, student_spec

    from sad_distill.train import train

    folder = tmp_path_factory.mktemp("teacher")
    spec = student_spec(folder, hidden_size=48)
    job = make_job(run, folder, "imitation", "training.learning_rate=5e-3", student=spec)
    assert train(job, folder / "out").reason == "done"
    return folder / "out"
