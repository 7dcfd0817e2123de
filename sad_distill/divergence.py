"""Weighted divergences between teacher and student on selected rows, chunk by chunk.

`chunked_divergence` equals `kinds.dense_divergence`, the plain form, for every kind, temperature
and chunk size; it never holds more than a few [chunk, vocabulary] buffers. The gradient is taken in
the forward pass: each chunk makes both models' float32 logits, the divergence, its gradient with
respect to the student's logits, and from that the gradients of the hidden states and, summed in
float32, of the head. Nothing of vocabulary size but the head's own gradient outlives a chunk, and a
frozen head has none.

A teacher is given by its hidden states and head (the exact divergence over the vocabulary), or by
its k likeliest tokens and a tail: then the divergence is over k + 1 outcomes, the last of which is
"any other token", for both models. Leaving the tail out biases the gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.errors import HarnessError
from sad_distill.capabilities import chunk_rows, matmul, product_dtype
from sad_distill.heads import Head
from sad_distill.kinds import KINDS, Divergence


@dataclass(frozen=True)
class HiddenRows:
    """A teacher's final hidden states [rows, hidden] and its head."""

    hidden: Tensor
    head: Head

    def log_probs(self, rows: slice, vocabulary: int, temperature: float) -> Tensor:
        """Log-probabilities [chunk, vocabulary] over the first `vocabulary` tokens."""
        logits = _logits(self.hidden[rows], self.head.narrow(vocabulary))
        return torch.log_softmax(logits.div_(temperature), -1)

    def select(self, keep: Tensor) -> HiddenRows:
        """The rows where `keep` [rows] is true."""
        return HiddenRows(self.hidden[keep], self.head)

    def ready(self) -> HiddenRows:
        """With hidden states and weights in the dtype of the products."""
        dtype = product_dtype(self.hidden, self.head.weight)
        head = replace(self.head, weight=self.head.weight.detach().to(dtype))
        return HiddenRows(self.hidden.detach().to(dtype), head)


@dataclass(frozen=True)
class TopKRows:
    """A teacher's k likeliest tokens, and the probability of all others together.

    Attributes:
        ids: [rows, k] token ids, distinct within a row.
        log_probs: [rows, k], at the temperature of the divergence.
        tail: [rows], logarithm of the probability that is left.
    """

    ids: Tensor
    log_probs: Tensor
    tail: Tensor

    def select(self, keep: Tensor) -> TopKRows:
        """The rows where `keep` [rows] is true."""
        return TopKRows(self.ids[keep], self.log_probs[keep], self.tail[keep])


TeacherRows: TypeAlias = HiddenRows | TopKRows


@dataclass(frozen=True)
class DivergenceResult:
    """What one call gives.

    Attributes:
        loss: scalar, connected to the student: the weighted sum of `rows`.
        rows: [rows] divergence of each row, times τ²; detached.
        correct: [rows] whether the target is the student's likeliest token (ties count); detached.
    """

    loss: Tensor
    rows: Tensor
    correct: Tensor


def chunked_divergence(
    hidden: Tensor,
    head: Head,
    teacher: TeacherRows | None,
    weights: Tensor,
    target_ids: Tensor,
    *,
    divergence: Divergence,
    vocabulary: int | None = None,
    chunk: int | None = None,
) -> DivergenceResult:
    """The weighted divergence of the selected rows, with its gradient.

    Args:
        hidden: [rows, hidden] the student's hidden states that predict the targets.
        head: the student's head; it gets a gradient when its weight requires one.
        teacher: the teacher's distributions of the same rows; None for `ce`.
        weights: [rows] factor of each row in the loss.
        target_ids: [rows] the tokens of the trajectory.
        divergence: kind and temperature.
        vocabulary: restrict both distributions to the first so many tokens; by default to what
            both heads have. See `sad_distill.heads`.
        chunk: rows of logits held at a time; by default what suits the device.

    Raises:
        HarnessError: the rows do not fit together, or the teacher is missing.
    """
    rows = hidden.shape[0]
    lengths = {"weights": weights.shape[0], "target_ids": target_ids.shape[0]}
    if divergence.needs_teacher:
        if teacher is None:
            raise HarnessError(f"divergence '{divergence.kind}' needs a teacher; there is none")
        first = teacher.hidden if isinstance(teacher, HiddenRows) else teacher.ids
        lengths["the teacher"] = first.shape[0]
    for name, length in lengths.items():
        if length != rows:
            raise HarnessError(f"the student has {rows} rows, {name} {length}; expected as many")
    if vocabulary is None:
        vocabulary = head.vocabulary
        if divergence.needs_teacher and isinstance(teacher, HiddenRows):
            vocabulary = min(vocabulary, teacher.head.vocabulary)
    narrow = head.narrow(vocabulary)
    plan = _Plan(
        head=narrow,
        teacher=_teacher_of(divergence, teacher),
        weights=weights,
        target_ids=target_ids,
        divergence=divergence,
        chunk=chunk or chunk_rows(vocabulary, hidden.device),
        dtype=product_dtype(hidden, narrow.weight),
    )
    apply: Any = _ChunkedDivergence.apply
    loss, divergences, correct = apply(hidden, narrow.weight, narrow.bias, plan)
    return DivergenceResult(loss, divergences, correct)


def _teacher_of(divergence: Divergence, teacher: TeacherRows | None) -> TeacherRows | None:
    if not divergence.needs_teacher:
        return None
    return teacher.ready() if isinstance(teacher, HiddenRows) else teacher


@dataclass(frozen=True)
class _Plan:
    """What the forward pass needs besides the tensors with a gradient."""

    head: Head
    teacher: TeacherRows | None
    weights: Tensor
    target_ids: Tensor
    divergence: Divergence
    chunk: int
    dtype: torch.dtype


class _ChunkedDivergence(torch.autograd.Function):
    """Loss, divergences and hits; the gradients are made on the way forward."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, plan: _Plan
    ) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(hidden.device.type, enabled=False):
            return _forward(ctx, hidden, weight, bias, plan)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        dtypes = ctx.dtypes
        # The usual case is the loss itself; then the head's gradient is not copied.
        factor = None if bool(grad == 1) else grad
        scaled = [
            value if value is None or factor is None else value * factor for value in ctx.gradients
        ]
        cast = [None if v is None else v.to(d) for v, d in zip(scaled, dtypes, strict=True)]
        return (*cast, None)


def _forward(
    ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, plan: _Plan
) -> tuple[Tensor, Tensor, Tensor]:
    dtype = plan.dtype
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    temperature = plan.divergence.temperature
    needs_hidden, needs_weight, needs_bias, _ = ctx.needs_input_grad
    inputs = hidden.to(dtype)
    head = replace(plan.head, weight=weight.to(dtype), bias=bias)
    d_hidden = torch.empty_like(inputs, dtype=wide) if needs_hidden else None
    d_weight = torch.zeros_like(weight, dtype=wide) if needs_weight else None
    d_bias = torch.zeros_like(bias, dtype=wide) if needs_bias and bias is not None else None
    divergences = torch.empty(hidden.shape[0], dtype=wide, device=hidden.device)
    correct = torch.empty(hidden.shape[0], dtype=torch.bool, device=hidden.device)
    for start in range(0, hidden.shape[0], plan.chunk):
        rows = slice(start, start + plan.chunk)
        target = plan.target_ids[rows, None]
        logits = _logits(inputs[rows], head)
        correct[rows] = logits.gather(-1, target)[:, 0] >= logits.amax(-1)
        # ∂cap(x)/∂x, kept before the logits are overwritten.
        slope = None if head.softcap is None else 1 - (logits / head.softcap) ** 2
        log_q = torch.log_softmax(logits.div_(temperature), -1)
        divergences[rows], d_logits = _chunk(log_q, rows, target, plan)
        if not any(ctx.needs_input_grad[:3]):
            continue
        # τ² from the loss, 1/τ from the logits.
        factor = (plan.weights[rows].to(wide) * (temperature * head.scale))[:, None]
        d_logits.mul_(factor)
        if slope is not None:
            d_logits.mul_(slope)
        if d_bias is not None:
            d_bias.add_(d_logits.sum(0))
        narrow = d_logits.to(dtype)
        if d_hidden is not None:
            d_hidden[rows] = matmul(narrow, head.weight)
        if d_weight is not None:
            if dtype == wide:
                d_weight.addmm_(narrow.T, inputs[rows])
            else:
                d_weight.add_(matmul(narrow.T, inputs[rows]))
    divergences.mul_(temperature**2)
    loss = torch.dot(plan.weights.double(), divergences.double()).to(wide)
    ctx.gradients = (d_hidden, d_weight, d_bias)
    ctx.dtypes = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
    ctx.mark_non_differentiable(divergences, correct)
    return loss, divergences, correct


def _chunk(log_q: Tensor, rows: slice, target: Tensor, plan: _Plan) -> tuple[Tensor, Tensor]:
    """Divergence [chunk] and its gradient [chunk, vocabulary] for the logits over τ."""
    divergence, teacher = plan.divergence, plan.teacher
    if teacher is None:
        surprise = -log_q.gather(-1, target)[:, 0]
        gradient = log_q.exp_()
        return surprise, gradient.scatter_add_(
            -1, target, -torch.ones_like(target, dtype=log_q.dtype)
        )
    kind = KINDS[divergence.kind]
    if isinstance(teacher, HiddenRows):
        log_p = teacher.log_probs(rows, log_q.shape[1], divergence.temperature)
        return kind(log_p.to(log_q.dtype), log_q, divergence)
    ids = teacher.ids[rows].long()
    log_p = torch.cat([teacher.log_probs[rows], teacher.tail[rows, None]], -1).to(log_q.dtype)
    shown = log_q.gather(-1, ids)
    rest = log_q.scatter_(-1, ids, -math.inf)
    tail = torch.logsumexp(rest, -1, keepdim=True)
    result, d_outcomes = kind(log_p, torch.cat([shown, tail], -1), divergence)
    # Within the tail every token gets its share, q(token) / q(tail), of the tail's gradient.
    gradient = rest.sub_(tail).exp_().mul_(d_outcomes[:, -1:])
    return result, gradient.scatter_(-1, ids, d_outcomes[:, :-1])


def _logits(hidden: Tensor, head: Head) -> Tensor:
    """`head.logits(hidden)` in float32 or float64, with one buffer."""
    logits = matmul(hidden, head.weight.T)
    if head.bias is not None:
        logits.add_(head.bias)
    if head.scale != 1:
        logits.mul_(head.scale)
    if head.softcap is not None:
        logits.div_(head.softcap).tanh_().mul_(head.softcap)
    return logits
