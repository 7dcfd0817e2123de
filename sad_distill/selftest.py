"""Every branch that a device can take, against the plain form on the same device.

`self_test` needs no data and no downloads: tiny random models in the device's own precision. It
covers what tests on one machine cannot: the branches that only a GPU has. What a device lacks is
reported as the plain path it takes instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, get_args

import torch
from torch import Tensor

from sad_distill import attention
from sad_distill.capabilities import capabilities, matmul
from sad_distill.divergence import HiddenRows, chunked_divergence
from sad_distill.heads import Head
from sad_distill.kinds import Divergence, Kind, dense_divergence
from sad_distill.step import Objective, SpanDistillation, distil_step
from sad_distill.teacher import OnlineTeacher, TopK, top_k_rows

VOCABULARY, ROWS = 512, 48
HALF_TOLERANCE = 2e-2
"""Relative gradient error when the products take bfloat16 inputs; the logits stay float32."""


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        name: what was compared.
        deviation: largest difference, relative to the largest value.
        tolerance: the most it may be.
    """

    name: str
    deviation: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the deviation is a number within the tolerance."""
        return self.deviation <= self.tolerance


def self_test(device: str = "cpu") -> list[Check]:
    """Run every comparison on a device, `cpu`, `cuda` or `cuda:1`."""
    state = torch.random.get_rng_state()
    try:
        torch.manual_seed(0)
        return [*_divergences(device), *_products(device), *_attention(device), *_steps(device)]
    finally:
        torch.random.set_rng_state(state)


def _relative(got: Tensor, expected: Tensor) -> float:
    scale = float(expected.double().abs().max()) or 1.0
    return float((got.double() - expected.double()).abs().max()) / scale


def _divergences(device: str) -> Iterator[Check]:
    """The chunked divergence and its gradients against autograd of the formula."""
    double: dict[str, Any] = {"dtype": torch.float64, "device": device}
    hidden = torch.randn(ROWS, 32, **double)
    weight = torch.randn(VOCABULARY, 32, **double) / 4
    teacher = HiddenRows(
        torch.randn(ROWS, 48, **double), Head(torch.randn(VOCABULARY, 48, **double) / 5)
    )
    weights = torch.rand(ROWS, **double)
    targets = torch.randint(VOCABULARY, (ROWS,), device=device)

    def both(divergence: Divergence, dtype: torch.dtype, chunked: bool) -> tuple[Tensor, ...]:
        h, w = (t.detach().to(dtype).requires_grad_() for t in (hidden, weight))
        if chunked:
            rows = HiddenRows(
                teacher.hidden.to(dtype),
                replace(teacher.head, weight=teacher.head.weight.to(dtype)),
            )
            loss = chunked_divergence(
                h, Head(w), rows, weights, targets, divergence=divergence, chunk=20
            ).loss
        else:
            log_p = torch.log_softmax(
                teacher.head.logits(teacher.hidden) / divergence.temperature, -1
            )
            loss = dense_divergence(Head(w).logits(h), log_p, weights, targets, divergence)
        return (loss.detach(), *torch.autograd.grad(loss, [h, w]))

    for kind in get_args(Kind):
        divergence = Divergence(kind, temperature=1.5)
        exact = both(divergence, torch.float64, False)
        for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
            got = both(divergence, dtype, True)
            worst = max(_relative(a, b) for a, b in zip(got, exact, strict=True))
            yield Check(f"{kind} {str(dtype).removeprefix('torch.')}", worst, tolerance)
    if capabilities(device).wide_matmul:
        # The inputs are rounded for both, so what is left is the rounding of the gradient.
        hidden, weight = hidden.bfloat16().double(), weight.bfloat16().double()
        teacher = HiddenRows(
            teacher.hidden.bfloat16().double(),
            replace(teacher.head, weight=teacher.head.weight.bfloat16().double()),
        )
        exact = both(Divergence(), torch.float64, False)
        got = both(Divergence(), torch.bfloat16, True)
        worst = max(_relative(a, b) for a, b in zip(got, exact, strict=True))
        yield Check("fkl bfloat16 inputs", worst, HALF_TOLERANCE)


def _products(device: str) -> Iterator[Check]:
    """Half-precision inputs, float32 result."""
    left, right = (torch.randn(64, 64, device=device).bfloat16() for _ in range(2))
    expected = left.double() @ right.double()
    name = "one GEMM" if capabilities(device).wide_matmul else "inputs raised to float32"
    yield Check(
        f"float32 product of bfloat16 ({name})", _relative(matmul(left, right), expected), 1e-5
    )


def _attention(device: str) -> Iterator[Check]:
    """Packed attention in every form against one sequence at a time in float64."""
    starts = torch.tensor([0, 33, 40, 128], dtype=torch.int32, device=device)
    query = torch.randn(1, 4, 128, 64, device=device)
    key, value = torch.randn(2, 1, 2, 128, 64, device=device)

    def outcome(
        function: Callable[..., Tensor], dtype: torch.dtype, window: int | None
    ) -> list[Tensor]:
        tensors = [t.to(dtype).requires_grad_() for t in (query, key, value)]
        out = function(tensors, window)
        return [out.detach(), *torch.autograd.grad(out.double().cumsum(1).sum(), tensors)]

    def blocks(tensors: list[Tensor], window: int | None) -> Tensor:
        return attention._blocks(tensors[0], tensors[1], tensors[2], starts, 0.0, 0.125, window)

    def varlen(tensors: list[Tensor], window: int | None) -> Tensor:
        return attention._varlen(tensors[0], tensors[1], tensors[2], starts, 88, 0.125, window)

    def plain(tensors: list[Tensor], window: int | None) -> Tensor:
        q, k, v = tensors
        k, v = (t.repeat_interleave(2, 1) for t in (k, v))
        at = torch.arange(128, device=device)
        sequence = torch.bucketize(at, starts[1:].long(), right=True)
        seen = (at[:, None] >= at) & (sequence[:, None] == sequence)
        if window is not None:
            seen &= at[:, None] - at < window
        scores = (q @ k.transpose(-1, -2) * 0.125).masked_fill(~seen, -torch.inf)
        return (torch.softmax(scores, -1) @ v).transpose(1, 2)

    for window in (None, 16):
        label = "attention" if window is None else "windowed attention"
        exact = outcome(plain, torch.float64, window)
        forms: list[tuple[str, Callable[..., Tensor], torch.dtype, float]] = [
            ("per sequence", blocks, torch.float32, 1e-4)
        ]
        if capabilities(device).varlen:
            forms.append(("varlen", varlen, torch.bfloat16, HALF_TOLERANCE))
        for name, function, dtype, tolerance in forms:
            got = outcome(function, dtype, window)
            worst = max(_relative(a, b) for a, b in zip(got, exact, strict=True))
            yield Check(f"{label} {name}", worst, tolerance)


def _steps(device: str) -> Iterator[Check]:
    """A whole step of packed sequences against a dense loop over the sequences."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
    )
    models = [LlamaForCausalLM(config).to(device) for _ in range(2)]
    student, teacher = models
    sequences = [torch.randint(VOCABULARY, (length,), device=device) for length in (31, 12, 40)]
    batch = _packed(sequences)
    loss = torch.zeros((), device=device)
    for ids in sequences:
        with torch.no_grad():
            log_p = torch.log_softmax(teacher(input_ids=ids[None]).logits[0, :-1], -1)
        logits = student(input_ids=ids[None]).logits[0, :-1]
        ones = torch.full((len(ids) - 1,), 1 / len(batch.row_index), device=device)
        loss = loss + dense_divergence(logits, log_p, ones, ids[1:], Divergence())
    torch.autograd.backward(loss)
    expected = student.get_input_embeddings().weight.grad.clone()
    objective = Objective(Divergence(), (1.0,))
    module, source = SpanDistillation(student, objective), OnlineTeacher(teacher)
    settings: list[tuple[str, torch.dtype | None, float]] = [
        ("float32", None, 1e-3),
        ("bfloat16 autocast", torch.bfloat16, 10 * HALF_TOLERANCE),
    ]
    for name, autocast, tolerance in settings:
        student.zero_grad()
        distil_step(module, objective, source, [batch], autocast=autocast)
        got = student.get_input_embeddings().weight.grad
        yield Check(f"packed step {name}", _relative(got, expected), tolerance)
    rows = top_k_rows(source.rows(batch), TopK(16))
    total = rows.log_probs.exp().sum(-1) + rows.tail.exp()
    yield Check("top-k and tail sum to one", _relative(total, torch.ones_like(total)), 1e-5)


def _packed(sequences: list[Tensor]) -> Any:
    """All tokens but the first of each sequence supervised."""
    first = torch.cat([torch.arange(len(ids)) for ids in sequences]).to(sequences[0].device)
    supervised = first.nonzero()[:, 0]
    ids = torch.cat(sequences)
    return SimpleNamespace(
        input_ids=ids,
        position_ids=first,
        sequence_ids=(first == 0).long().cumsum(0),
        row_index=supervised - 1,
        target_ids=ids[supervised],
        span_ids=torch.zeros_like(supervised),
        weights=torch.ones(len(supervised), device=ids.device),
    )
