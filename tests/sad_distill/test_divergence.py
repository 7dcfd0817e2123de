"""The chunked divergence against the plain formula."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor

from harness.errors import HarnessError
from sad_distill.divergence import HiddenRows, TopKRows, chunked_divergence
from sad_distill.heads import Head
from sad_distill.kinds import Divergence, Kind, dense_divergence

pytestmark = pytest.mark.models
ROWS, VOCABULARY, STUDENT, TEACHER = 13, 37, 8, 12
KINDS = get_args(Kind)


class Case:
    """A student and a teacher in float64, with everything a call needs."""

    def __init__(self, *, bias: bool = False, scale: float = 1.0, softcap: float | None = None):
        random = torch.Generator().manual_seed(0)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=random, dtype=torch.float64)

        self.hidden = draw(ROWS, STUDENT).requires_grad_()
        self.head = Head(
            draw(VOCABULARY, STUDENT).requires_grad_(),
            draw(VOCABULARY).requires_grad_() if bias else None,
            scale,
            softcap,
        )
        teacher_bias = draw(VOCABULARY) if bias else None
        self.teacher = HiddenRows(
            draw(ROWS, TEACHER), Head(draw(VOCABULARY, TEACHER), teacher_bias, scale, softcap)
        )
        self.weights = draw(ROWS).abs()
        self.targets = torch.randint(VOCABULARY, (ROWS,), generator=random)

    def parameters(self) -> list[Tensor]:
        found = [self.hidden, self.head.weight, self.head.bias]
        return [tensor for tensor in found if tensor is not None]

    def chunked(self, divergence: Divergence, chunk: int | None = None) -> Tensor:
        return chunked_divergence(
            self.hidden,
            self.head,
            self.teacher,
            self.weights,
            self.targets,
            divergence=divergence,
            chunk=chunk,
        ).loss

    def dense(self, divergence: Divergence) -> Tensor:
        teacher = self.teacher.head.logits(self.teacher.hidden) / divergence.temperature
        return dense_divergence(
            self.head.logits(self.hidden),
            torch.log_softmax(teacher, -1),
            self.weights,
            self.targets,
            divergence,
        )


def assert_same(case: Case, ours: Tensor, plain: Tensor) -> None:
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-10 * max(1.0, abs(plain.item())))
    ours_gradients = torch.autograd.grad(ours, case.parameters())
    plain_gradients = torch.autograd.grad(plain, case.parameters())
    for got, expected in zip(ours_gradients, plain_gradients, strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("chunk", [1, 4, ROWS, 100])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_plain_formula(kind: Kind, temperature: float, chunk: int) -> None:
    case, divergence = Case(), Divergence(kind, beta=0.3, alpha=0.2, temperature=temperature)
    assert_same(case, case.chunked(divergence, chunk), case.dense(divergence))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "case", [Case(bias=True), Case(scale=0.25), Case(bias=True, scale=0.5, softcap=3.0)]
)
def test_equals_the_plain_formula_for_heads_with_bias_scale_and_cap(case: Case, kind: Kind) -> None:
    divergence = Divergence(kind, temperature=2.0)
    assert_same(case, case.chunked(divergence, 5), case.dense(divergence))


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(kind: Kind) -> None:
    case, divergence = Case(bias=True, softcap=4.0), Divergence(kind, temperature=1.5)

    def loss(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        changed = replace(case.head, weight=weight, bias=bias)
        return chunked_divergence(
            hidden,
            changed,
            case.teacher,
            case.weights,
            case.targets,
            divergence=divergence,
            chunk=5,
        ).loss

    assert torch.autograd.gradcheck(loss, tuple(case.parameters()))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ce"])
def test_is_zero_for_the_same_distribution_and_positive_otherwise(kind: Kind) -> None:
    case = Case()
    same = chunked_divergence(
        case.teacher.hidden,
        case.teacher.head,
        case.teacher,
        case.weights,
        case.targets,
        divergence=Divergence(kind),
    )
    assert same.rows.abs().max() < 1e-12
    assert case.chunked(Divergence(kind)) > 0.1


def test_forward_and_reverse_kl_point_where_their_names_say() -> None:
    # A teacher sure of token 0 and a uniform student: KL(teacher ‖ student) is log 4, the reverse
    # is large because the student spends mass where the teacher has none.
    teacher = HiddenRows(torch.tensor([[20.0, 0, 0, 0]]).double(), Head(torch.eye(4).double()))
    student = torch.zeros(1, 4, dtype=torch.float64)
    divergences = {
        kind: chunked_divergence(
            student,
            Head(torch.eye(4).double()),
            teacher,
            torch.ones(1),
            torch.zeros(1, dtype=torch.long),
            divergence=Divergence(kind),
        ).loss.item()
        for kind in ("fkl", "rkl")
    }
    assert divergences["fkl"] == pytest.approx(1.386, abs=1e-3)
    assert divergences["rkl"] == pytest.approx(13.61, abs=1e-2)


def test_padded_vocabularies_share_their_prefix() -> None:
    case = Case()
    padding = torch.full((5, STUDENT), 9.0, dtype=torch.float64)
    padded = torch.cat([case.head.weight.detach(), padding]).requires_grad_()
    result = chunked_divergence(
        case.hidden,
        Head(padded),
        case.teacher,
        case.weights,
        case.targets,
        divergence=Divergence(),
    )
    torch.testing.assert_close(result.loss, case.dense(Divergence()), rtol=0, atol=1e-10)
    (gradient,) = torch.autograd.grad(result.loss, padded)
    assert gradient[VOCABULARY:].abs().max() == 0


def test_a_frozen_head_gets_no_gradient_and_the_hidden_states_the_same() -> None:
    case = Case()
    (expected, _) = torch.autograd.grad(case.chunked(Divergence()), case.parameters())
    case.head = replace(case.head, weight=case.head.weight.detach())
    loss = case.chunked(Divergence())
    (got,) = torch.autograd.grad(loss, [case.hidden])
    torch.testing.assert_close(got, expected)


def test_no_rows_give_no_loss_and_zero_gradients() -> None:
    case = Case()
    loss = chunked_divergence(
        case.hidden[:0],
        case.head,
        HiddenRows(case.teacher.hidden[:0], case.teacher.head),
        case.weights[:0],
        case.targets[:0],
        divergence=Divergence(),
    ).loss
    loss.backward()
    assert loss == 0
    assert case.head.weight.grad is not None
    assert case.head.weight.grad.abs().max() == 0


def test_hits_count_the_likeliest_token() -> None:
    case = Case()
    best = case.head.logits(case.hidden).argmax(-1)
    targets = torch.where(torch.arange(ROWS) < 4, best, (best + 1) % VOCABULARY)
    result = chunked_divergence(
        case.hidden, case.head, case.teacher, case.weights, targets, divergence=Divergence()
    )
    assert result.correct.tolist() == [True] * 4 + [False] * (ROWS - 4)


def top_k(case: Case, k: int, temperature: float = 1.0, *, tail: bool = True) -> TopKRows:
    logits = case.teacher.head.logits(case.teacher.hidden) / temperature
    log_probs, ids = torch.log_softmax(logits, -1).topk(k)
    rest = torch.log1p(-log_probs.exp().sum(-1))
    return TopKRows(ids, log_probs, rest if tail else torch.full_like(rest, -60.0))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ce"])
def test_top_k_equals_the_plain_formula_over_its_outcomes(kind: Kind) -> None:
    case, divergence = Case(), Divergence(kind, temperature=1.5)
    rows = top_k(case, 6, 1.5)
    ours = chunked_divergence(
        case.hidden, case.head, rows, case.weights, case.targets, divergence=divergence, chunk=4
    ).loss
    # The same outcomes spelt out: the student's tail is the sum of what is left.
    q = torch.softmax(case.head.logits(case.hidden) / 1.5, -1)
    shown = q.gather(-1, rows.ids)
    outcomes = torch.cat([shown, 1 - shown.sum(-1, keepdim=True)], -1)
    log_p = torch.cat([rows.log_probs, rows.tail[:, None]], -1)
    plain = dense_divergence(1.5 * outcomes.log(), log_p, case.weights, case.targets, divergence)
    assert_same(case, ours, plain)


def test_the_tail_keeps_the_gradient_of_top_k_close_to_the_full_one() -> None:
    # A flat teacher of 2,000 tokens and a student near it, where the tail holds a fifth.
    random = torch.Generator().manual_seed(1)
    weight = torch.randn(2000, 16, generator=random, dtype=torch.float64)
    states = 0.85 * torch.randn(64, 16, generator=random, dtype=torch.float64)
    near = states + 0.2 * torch.randn(64, 16, generator=random, dtype=torch.float64)
    case = Case()
    case.teacher = HiddenRows(states, Head(weight))

    def gradient(teacher: HiddenRows | TopKRows) -> Tensor:
        hidden = near.clone().requires_grad_()
        targets = torch.zeros(64, dtype=torch.long)
        chunked_divergence(
            hidden, Head(weight), teacher, torch.ones(64), targets, divergence=Divergence()
        ).loss.backward()
        assert hidden.grad is not None
        return hidden.grad.flatten()

    full = gradient(case.teacher)
    with_tail, without = (
        torch.cosine_similarity(gradient(top_k(case, 32, tail=tail)), full, 0).item()
        for tail in (True, False)
    )
    assert 0.1 < top_k(case, 32).tail.exp().mean() < 0.3
    assert with_tail > 0.97
    assert without < with_tail - 0.03


def test_float32_stays_close_to_float64_when_the_divergence_is_small() -> None:
    case = Case()
    near = HiddenRows(
        case.hidden.detach() + 1e-3 * torch.ones_like(case.hidden),
        replace(case.head, weight=case.head.weight.detach()),
    )

    def gradient(dtype: torch.dtype) -> Tensor:
        hidden = case.hidden.detach().to(dtype).requires_grad_()
        head = Head(case.head.weight.detach().to(dtype))
        teacher = HiddenRows(near.hidden.to(dtype), head)
        chunked_divergence(
            hidden, head, teacher, case.weights, case.targets, divergence=Divergence()
        ).loss.backward()
        assert hidden.grad is not None
        return hidden.grad.double()

    exact = gradient(torch.float64)
    assert (gradient(torch.float32) - exact).norm() < 1e-3 * exact.norm()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "kl"}, "unknown divergence 'kl'; expected one of fkl"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"kind": "jsd", "beta": 1.0}, "beta of jsd is 1.0"),
        ({"kind": "sfkl", "alpha": 0.0}, "alpha of sfkl is 0.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        Divergence(**settings)  # type: ignore[arg-type]


def test_rows_that_do_not_belong_together_are_refused() -> None:
    case = Case()
    case.weights = case.weights[1:]
    with pytest.raises(HarnessError, match="the student has 13 rows, weights 12"):
        case.chunked(Divergence())
