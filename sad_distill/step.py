"""The loss of one optimiser step, and its gradients.

With the rows of span s carrying weights w (1, or the weight of their episode), the loss is

    Σ_s λ_s · Σ_{rows of s} w · D(row) / N,    N = Σ w over the rows of s      (normalise = "span")
                                               N = Σ w over all rows           (normalise = "none")

where N counts the whole optimiser step: every micro-batch, on every process. So the split of a
step into micro-batches and processes changes nothing but rounding. A span without rows adds
nothing. With `none`, rows of spans with λ = 0 still count, so that the losses of the
spans add up to the whole; they never meet the head. A term besides (`LossTerm`) takes the place of
the token rows of one span: its rows are something else, and are weighted and counted as rows of
that span.

`SpanDistillation` is the module to wrap in DDP or FSDP: student, row selection, head and divergence
are one forward pass, so the head's weights are gathered and synchronised like all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from harness.errors import HarnessError
from sad_distill.attention import forward_packed, prepare
from sad_distill.branches import Branches
from sad_distill.divergence import TeacherRows, chunked_divergence
from sad_distill.heads import Head, find_head, read_head
from sad_distill.kinds import Divergence
from sad_distill.teacher import PackedRows, Teacher


class TrainingBatch(PackedRows, Protocol):
    """A packed batch as `sad_distill.pack` makes it.

    Attributes:
        input_ids, position_ids, sequence_ids: [length] or [rows, length].
        row_index: [rows] index into the hidden states of the flattened tokens; the one that
            predicts the target.
        target_ids: [rows].
        span_ids: [rows] number of the span.
        weights: [rows] weight of a row within its span.
    """

    @property
    def target_ids(self) -> Tensor: ...

    @property
    def span_ids(self) -> Tensor: ...

    @property
    def weights(self) -> Tensor: ...


@dataclass(frozen=True)
class Objective:
    """What is minimised.

    Attributes:
        divergence: kind and temperature.
        span_weights: λ of each span, by number; 0 leaves the span out.
        normalise: `span` or `none`; see the module.
        vocabulary: tokens both distributions are restricted to; None for what both heads have.
        chunk: rows of logits held at a time; None for what suits the device.
    """

    divergence: Divergence
    span_weights: tuple[float, ...]
    normalise: Literal["span", "none"] = "span"
    vocabulary: int | None = None
    chunk: int | None = None

    def __post_init__(self) -> None:
        if not self.span_weights or min(self.span_weights) < 0 or max(self.span_weights) == 0:
            raise HarnessError(
                f"span weights are {list(self.span_weights)}; expected none below 0, one above 0"
            )
        if self.normalise not in ("span", "none"):
            raise HarnessError(f"normalise is '{self.normalise}'; expected 'span' or 'none'")


@dataclass(frozen=True)
class StepReport:
    """Sums over one process's share of an optimiser step; tensors, so that nothing waits.

    Attributes:
        loss: scalar; the processes' shares add up to the loss of the step.
        rows: [spans] supervised rows that met the head.
        divergence: [spans] sum of the divergences of those rows, unweighted.
        correct: [spans] of those rows, how many have the target as the student's likeliest token.
        tokens: number of tokens the student read, padding included.
        hits: for every micro-batch [its rows], whether a row's target is the likeliest token.
        met: for every micro-batch [its rows], whether a row met the head.
    """

    loss: Tensor
    rows: Tensor
    divergence: Tensor
    correct: Tensor
    tokens: int
    hits: tuple[Tensor, ...] = ()
    met: tuple[Tensor, ...] = ()


class LossTerm(Protocol):
    """What stands in place of a span's token rows: rows of its own, from the same forward pass.

    Attributes:
        span: number of the span.
    """

    @property
    def span(self) -> int: ...

    def branches(self, batch: Any) -> Branches | None:
        """What the student reads behind the batch."""
        ...

    def weights(self, batch: Any) -> Tensor:
        """[rows] weight of every row of the term, as `TrainingBatch.weights`."""
        ...

    def target(self, batch: Any) -> Tensor | None:
        """What the rows are compared with, without a gradient."""
        ...

    def rows(
        self, hidden: Tensor, head: Head, batch: Any, target: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Divergence [rows], connected to the student, and whether each row is right.

        Args:
            hidden: of the batch's tokens and of the branches behind them.
        """
        ...

    def flush(self) -> None:
        """Write what it keeps on the disk and has not written yet."""
        ...

    def release(self) -> None:
        """Let go of the teacher: the targets of the first pass are all there will be."""
        ...


class TermShare(NamedTuple):
    """A micro-batch's part in a term: [rows] their factors in the loss, and the term's target."""

    factors: Tensor
    target: Tensor | None


class SpanDistillation(nn.Module):
    """A student with its objective.

    Args:
        student: a causal language model; LoRA on its body is fine, on its head refused.
        objective: what is minimised.
        term: what stands in place of a span's token rows; None for none.

    Raises:
        HarnessError: the student's head or attention is not supported.
    """

    def __init__(
        self, student: nn.Module, objective: Objective, term: LossTerm | None = None
    ) -> None:
        super().__init__()
        self.student = student
        self.objective = objective
        self.term = term
        read_head(student)
        prepare(student)

    def forward(
        self,
        batch: TrainingBatch,
        teacher: TeacherRows | None,
        row_weights: Tensor,
        share: TermShare | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Loss, and per row the divergence and whether the target is the likeliest token.

        The last two are the same of the term's rows.

        Args:
            batch: tokens and rows.
            teacher: distributions of the batch's rows; None for `ce`.
            row_weights: [rows] as from `row_weights`; for rows of weight 0 the outputs are 0.
            share: the term's, where there is one.
        """
        branches = None if self.term is None else self.term.branches(batch)
        keep = row_weights != 0
        index = batch.row_index[keep]
        wanted = index if self.term is None else None  # a term reads what it likes
        hidden = forward_packed(self.student, batch, branches, wanted)
        head = find_head(self.student)
        result = chunked_divergence(
            hidden.index_select(0, index),
            head,
            None if teacher is None else teacher.select(keep),
            row_weights[keep],
            batch.target_ids[keep],
            divergence=self.objective.divergence,
            vocabulary=self.objective.vocabulary,
            chunk=self.objective.chunk,
        )
        rows = torch.zeros_like(row_weights).masked_scatter_(keep, result.rows.to(row_weights))
        correct = torch.zeros_like(keep).masked_scatter_(keep, result.correct)
        if self.term is None or share is None:
            none = hidden.new_zeros(0)
            return result.loss, rows, correct, none, none
        term_rows, term_correct = self.term.rows(hidden, head, batch, share.target)
        loss = result.loss + torch.dot(share.factors.to(term_rows), term_rows)
        return loss, rows, correct, term_rows.detach(), term_correct


def span_masses(
    batches: Sequence[TrainingBatch], objective: Objective, term: LossTerm | None = None
) -> Tensor:
    """Sum of the row weights of each span over the optimiser step, all processes: [spans]."""
    device = batches[0].weights.device
    masses = torch.zeros(len(objective.span_weights), dtype=torch.float64, device=device)
    for batch in batches:
        _check_spans(batch, objective)
        weights = batch.weights.double()
        if term is not None:
            weights = weights * (batch.span_ids != term.span)
            masses[term.span] += term.weights(batch).double().sum()
        masses.index_add_(0, batch.span_ids, weights)
    return summed_over_processes(masses)


def summed_over_processes(values: Tensor) -> Tensor:
    """The sum over all processes, in place; the values themselves when there is one."""
    if processes() > 1:
        torch.distributed.all_reduce(values)
    return values


def span_factors(objective: Objective, masses: Tensor) -> Tensor:
    """Factor of a row of weight 1 in the step's loss: λ / N, float64 [spans]."""
    weights = torch.tensor(objective.span_weights, dtype=torch.float64, device=masses.device)
    if objective.normalise == "none":
        return weights / masses.sum()
    return torch.where(masses > 0, weights / masses, 0.0)


def row_weights(
    batch: TrainingBatch, objective: Objective, masses: Tensor, term: LossTerm | None = None
) -> Tensor:
    """Factor of every row in the step's loss: λ · w / N, float32 [rows]; 0 where the term is."""
    factors = span_factors(objective, masses)
    if term is not None:
        factors[term.span] = 0
    return (factors[batch.span_ids] * batch.weights.double()).float()


def distil_step(
    module: nn.Module,
    objective: Objective,
    teacher: Teacher | None,
    batches: Sequence[TrainingBatch],
    *,
    autocast: torch.dtype | None = None,
    term: LossTerm | None = None,
    backward: Callable[[Tensor], None] = Tensor.backward,
) -> StepReport:
    """Add the gradients of one optimiser step to the student's parameters.

    Args:
        module: a `SpanDistillation`, possibly in DDP or FSDP.
        objective: that of the module.
        teacher: source of the teacher's distributions; None for `ce`.
        batches: this process's micro-batches of the step, on the device.
        autocast: precision of the forward passes; None for that of the weights.
        term: the module's own.
        backward: called with each micro-batch's loss.

    Raises:
        HarnessError: there are no batches, or one has a span the objective does not know.
    """
    if not batches:
        raise HarnessError("an optimiser step has no micro-batches; expected at least one")
    if objective.divergence.needs_teacher and teacher is None:
        raise HarnessError(f"divergence '{objective.divergence.kind}' needs a teacher")
    masses = span_masses(batches, objective, term)
    device = batches[0].input_ids.device
    spans = len(objective.span_weights)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    rows, divergence, correct = torch.zeros(3, spans, dtype=torch.float64, device=device)
    all_hits: list[Tensor] = []
    all_met: list[Tensor] = []
    for number, batch in enumerate(batches):
        weights = row_weights(batch, objective, masses, term)
        with _synchronised(module, last=number == len(batches) - 1):
            with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
                known = objective.divergence.needs_teacher and teacher is not None
                distributions = teacher.rows(batch) if known and teacher is not None else None
                term_share = None
                if term is not None:
                    factor = span_factors(objective, masses)[term.span]
                    factors = (factor * term.weights(batch).double()).float()
                    term_share = TermShare(factors, term.target(batch))
                share, row_divergence, hits, term_rows, term_hits = module(
                    batch, distributions, weights, term_share
                )
            # DDP and FSDP average the gradients of the processes; the loss is a sum over them.
            backward(share * processes())
        loss += share.detach()
        met = weights != 0
        rows.index_add_(0, batch.span_ids, met.double())
        divergence.index_add_(0, batch.span_ids, row_divergence.double())
        correct.index_add_(0, batch.span_ids, hits.double())
        all_hits.append(hits)
        all_met.append(met)
        if term is not None and term_share is not None:
            counted = (term_share.factors != 0).double()
            rows[term.span] += counted.sum()
            divergence[term.span] += (counted * term_rows).sum()
            correct[term.span] += (counted * term_hits).sum()
    tokens = sum(batch.input_ids.numel() for batch in batches)
    return StepReport(loss, rows, divergence, correct, tokens, tuple(all_hits), tuple(all_met))


def processes() -> int:
    """How many processes train together."""
    distributed = torch.distributed
    ready = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if ready else 1


@contextmanager
def _synchronised(module: nn.Module, *, last: bool) -> Iterator[None]:
    """Exchange gradients between processes in the last micro-batch only."""
    if isinstance(module, nn.parallel.DistributedDataParallel) and not last:
        with module.no_sync():
            yield
        return
    set_sync: Callable[[bool], None] | None = getattr(module, "set_requires_gradient_sync", None)
    if set_sync is not None:  # FSDP
        set_sync(last)
    yield


def _check_spans(batch: TrainingBatch, objective: Objective) -> None:
    if len(batch.span_ids) and int(batch.span_ids.max()) >= len(objective.span_weights):
        raise HarnessError(
            f"a batch has span {int(batch.span_ids.max())}, the objective weights for "
            f"{len(objective.span_weights)} spans; expected a weight for every span"
        )
