"""What is counted as useful work, and a file that a kill has torn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_models import make_model

from sad_distill.gpus import GPUS, peak_rate
from sad_distill.metrics import MetricsWriter, read_metrics, useful_work

pytestmark = pytest.mark.models

LAYER = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64
"""Weights of a layer of the tiny LLaMA: queries and outputs, two key heads of four, the MLP."""


def test_useful_work_is_that_of_the_products_with_weights() -> None:
    student, teacher = make_model("llama"), make_model("llama", width=48)
    own = useful_work(student, None)
    assert own.per_token == 6 * 2 * LAYER
    assert own.per_row == 6 * 61 * 32
    both = useful_work(student, teacher)
    assert both.per_row - own.per_row == 2 * 61 * 48
    assert both.of(10, 3) == 10 * both.per_token + 3 * both.per_row


def test_frozen_weights_need_no_gradient_of_their_own() -> None:
    student = make_model("llama").requires_grad_(False)
    work = useful_work(student, None)
    assert work.per_token == 4 * 2 * LAYER
    assert work.per_row == 4 * 61 * 32


def test_a_cpu_is_measured_alone_in_float32() -> None:
    cpu = torch.device("cpu")
    rate = peak_rate(cpu, None)
    assert rate is not None
    assert rate > 1e8
    assert peak_rate(cpu, torch.bfloat16) is None
    assert peak_rate(cpu, None, processes=2) is None


@pytest.mark.parametrize(
    ("driver", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA A100-SXM4-40GB", "a100-80gb"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA A10", "a10"),
        ("NVIDIA GeForce GTX 970", None),
    ],
)
def test_a_gpu_is_known_by_what_its_driver_calls_it(
    driver: str, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: driver)
    expected = 2 * GPUS[name].peak if name else None
    assert peak_rate(torch.device("cuda"), torch.bfloat16, processes=2) == expected


def test_lines_after_the_checkpoint_and_torn_ones_are_cut(tmp_path: Path) -> None:
    writer = MetricsWriter(tmp_path)
    for step in (1, 2, 3):
        writer.write({"step": step, "loss": 1.0})
    writer.close()
    path = tmp_path / "metrics.jsonl"
    with path.open("a") as file:
        file.write('{"step": 4, "lo')
    assert [line["step"] for line in read_metrics(path)] == [1, 2, 3]
    MetricsWriter(tmp_path, after=2).close()
    assert path.read_text() == '{"step": 1, "loss": 1.0}\n{"step": 2, "loss": 1.0}\n'
