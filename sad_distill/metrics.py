"""What a training reports: `metrics.jsonl`, TensorBoard where it is installed, and the numbers.

A line has, under these names:

| key | |
|---|---|
| `step`, `done`, `seconds` | optimiser steps, share of the training, training time so far |
| `loss` | mean of the steps since the last line |
| `divergence/SPAN` | mean over the span's rows, unweighted |
| `accuracy/SPAN` | share of the rows whose target is the student's likeliest token |
| `accuracy/act` | the same of the tokens of actions, whatever spans there are |
| `learning_rate`, `gradient_norm` | of the last step; the norm before clipping |
| `tokens`, `tokens_per_second`, `rows_per_second` | padding is not counted |
| `mfu` | useful floating-point operations over the device's peak; null where that is unknown |
| `peak_memory_bytes` | of this process: on CUDA what torch allocated, else resident |

Useful operations are those of the products with weights: both bodies on every token, both heads on
supervised rows, nothing for padding or recomputation. Attention scores are left out. The peak is
the data sheet's for a known GPU, and on a CPU the rate of a large matrix product, measured when
the training begins.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sad_distill.heads import causal_model, find_head
from sad_distill.pack import PADDING, PackedBatch
from sad_distill.step import StepReport, summed_over_processes

METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class Work:
    """Useful floating-point operations of a training step.

    Attributes:
        per_token: of both models' bodies.
        per_row: of both heads.
    """

    per_token: float
    per_row: float

    def of(self, tokens: float, rows: float) -> float:
        """Operations for so many tokens and supervised rows."""
        return self.per_token * tokens + self.per_row * rows


def useful_work(student: nn.Module, teacher: nn.Module | None) -> Work:
    """Operations per token and per supervised row; without a teacher that runs, none for it."""
    head = find_head(student).weight
    body = body_parameters(student)
    trained = sum(p.numel() for p in student.parameters() if p.requires_grad and p.ndim > 1) - sum(
        p.numel() for p in embedding_parameters(student) if p.requires_grad
    )
    per_token = 4.0 * body + 2.0 * max(trained, 0)
    per_row = head.numel() * (6.0 if head.requires_grad else 4.0)
    if teacher is not None:
        per_token += 2.0 * body_parameters(teacher)
        per_row += 2.0 * find_head(teacher).weight.numel()
    return Work(per_token, per_row)


def body_parameters(model: nn.Module) -> int:
    """Number of weights every token is multiplied with: matrices between embedding and head."""
    left_out = {id(p) for p in embedding_parameters(model)}
    return sum(p.numel() for p in model.parameters() if p.ndim > 1 and id(p) not in left_out)


def embedding_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Weights of embeddings and of the head, each once."""
    inner = causal_model(model)
    found = {id(m.weight): m.weight for m in inner.modules() if isinstance(m, nn.Embedding)}
    head = inner.get_output_embeddings().weight
    return list((found | {id(head): head}).values())


def peak_memory(device: torch.device) -> int:
    """Most bytes this process has held so far; see the module."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@dataclass
class Meter:
    """Sums over the steps since the last line, kept on the device.

    Args:
        spans: names of the spans.
        work, peak: see `useful_work` and `peak_rate`.
        device: of the sums.
        total_tokens: of the training so far.
    """

    spans: Sequence[str]
    work: Work
    peak: float | None
    device: torch.device
    total_tokens: float = 0.0
    _sums: Tensor | None = None
    _steps: int = 0
    _seconds: float = 0.0
    _norm: Tensor | float = 0.0

    def add(
        self, report: StepReport, batches: Sequence[PackedBatch], norm: Tensor, seconds: float
    ) -> None:
        """One step, with this process's micro-batches of it."""
        own = torch.zeros(3, dtype=torch.float64, device=self.device)
        for batch, hits, met in zip(batches, report.hits, report.met, strict=True):
            acts = batch.acts & met
            own += torch.stack(
                [(batch.sequence_ids != PADDING).sum(), acts.sum(), hits[acts].sum()]
            )
        parts = [own, report.loss[None], report.rows, report.divergence, report.correct]
        found = torch.cat([part.double() for part in parts])
        self._sums = found if self._sums is None else self._sums + found
        self._steps += 1
        self._seconds += seconds
        self._norm = norm.detach()

    @property
    def pending(self) -> bool:
        """Whether there were steps since the last line."""
        return self._sums is not None

    def line(self) -> dict[str, Any]:
        """The numbers since the last line, over all processes; begins anew."""
        assert self._sums is not None
        tokens, acts, act_hits, loss, *rest = summed_over_processes(self._sums).tolist()
        count = len(self.spans)
        rows, divergence, correct = rest[:count], rest[count : 2 * count], rest[2 * count :]
        self.total_tokens += tokens
        line: dict[str, Any] = {"loss": loss / self._steps}
        for name, sums in (("divergence", divergence), ("accuracy", correct)):
            for span, number, total in zip(self.spans, rows, sums, strict=True):
                if number:
                    line[f"{name}/{span}"] = total / number
        if acts:
            line["accuracy/act"] = act_hits / acts
        operations = self.work.of(tokens, sum(rows))
        line |= {
            "gradient_norm": float(self._norm),
            "tokens": int(self.total_tokens),
            "tokens_per_second": tokens / self._seconds,
            "rows_per_second": sum(rows) / self._seconds,
            "mfu": operations / self._seconds / self.peak if self.peak else None,
            "peak_memory_bytes": peak_memory(self.device),
        }
        self._sums, self._steps, self._seconds = None, 0, 0.0
        return line


class MetricsWriter:
    """Appends lines to a file, and to TensorBoard where it is installed.

    Args:
        folder: of the training.
        after: lines of later steps, left by a training that was killed, are cut off.
    """

    def __init__(self, folder: Path, *, after: int = 0) -> None:
        self._path = folder / METRICS
        kept = [line for line in read_metrics(self._path) if line["step"] <= after]
        self._path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        self._board: Any = None
        if find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=after + 1)

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line; it is with the system when this returns."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._board is not None:
            for name, value in line.items():
                if isinstance(value, (int, float)) and name != "step":
                    self._board.add_scalar(name, value, line["step"])
            self._board.flush()

    def close(self) -> None:
        """End the writing to TensorBoard."""
        if self._board is not None:
            self._board.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a file; none when it is missing. A torn last line is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
