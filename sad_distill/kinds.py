"""The kinds of divergence: their settings, their formulas, and the plain form they must equal.

With p the teacher's and q the student's distribution, both at temperature τ, a row's divergence is

    fkl       KL(p ‖ q)
    rkl       KL(q ‖ p)
    jsd       β KL(p ‖ m) + (1-β) KL(q ‖ m),  m = β p + (1-β) q       (arXiv 2306.13649)
    sfkl      KL(p ‖ α p + (1-α) q)                                   (arXiv 2402.03898)
    srkl      KL(q ‖ (1-α) p + α q)                                   (arXiv 2402.03898)
    ce        -log q(target), no teacher

and the loss is τ² Σ weight · divergence. A kind is one function from (log p, log q) to the
divergence and its gradient with respect to the logits of q; terms are never clamped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from harness.errors import HarnessError

Kind = Literal["fkl", "rkl", "jsd", "sfkl", "srkl", "ce"]


@dataclass(frozen=True)
class Divergence:
    """Which divergence.

    Attributes:
        kind: see the module.
        beta: weight of the teacher in the mixture of `jsd`, between 0 and 1, both excluded.
        alpha: skew of `sfkl` and `srkl`, between 0 and 1, both excluded.
        temperature: divides the logits of both models; more than 0.
    """

    kind: Kind = "fkl"
    beta: float = 0.5
    alpha: float = 0.1
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            kinds = ", ".join(get_args(Kind))
            raise HarnessError(f"unknown divergence '{self.kind}'; expected one of {kinds}")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise HarnessError(f"temperature is {self.temperature}; expected a number above 0")
        for name, used in (("beta", "jsd"), ("alpha", "sfkl srkl")):
            value = getattr(self, name)
            if self.kind in used.split() and not 0 < value < 1:
                raise HarnessError(
                    f"{name} of {self.kind} is {value}; expected a number between 0 and 1 "
                    "(at the ends it is fkl or rkl)"
                )

    @property
    def needs_teacher(self) -> bool:
        """Whether there is a teacher's distribution in it."""
        return self.kind != "ce"


def dense_divergence(
    student_logits: Tensor,
    teacher_log_probs: Tensor | None,
    weights: Tensor,
    target_ids: Tensor,
    divergence: Divergence,
) -> Tensor:
    """The plain form, differentiated by autograd: what `chunked_divergence` must equal.

    Args:
        student_logits: [rows, vocabulary].
        teacher_log_probs: [rows, vocabulary], at the temperature.
        weights, target_ids: [rows].
    """
    log_q = torch.log_softmax(student_logits / divergence.temperature, -1)
    q = log_q.exp()
    log_p = teacher_log_probs if teacher_log_probs is not None else torch.zeros_like(log_q)
    p = log_p.exp()
    alpha, beta = divergence.alpha, divergence.beta

    def kl(left: Tensor, right: Tensor) -> Tensor:
        return (left * (left.log() - right.log())).sum(-1)

    mixture = beta * p + (1 - beta) * q
    rows = {
        "fkl": lambda: (p * (log_p - log_q)).sum(-1),
        "rkl": lambda: (q * (log_q - log_p)).sum(-1),
        "jsd": lambda: beta * kl(p, mixture) + (1 - beta) * kl(q, mixture),
        "sfkl": lambda: kl(p, alpha * p + (1 - alpha) * q),
        "srkl": lambda: kl(q, (1 - alpha) * p + alpha * q),
        "ce": lambda: -log_q.gather(-1, target_ids[:, None])[:, 0],
    }[divergence.kind]()
    return divergence.temperature**2 * (weights * rows).sum()


# From log p and log q [rows, outcomes]: the divergence [rows], and its gradient with respect to the
# logits of q. For ∂D/∂q = g the latter is q · (g - Σ q g). The arguments may be overwritten.


def _fkl(log_p: Tensor, log_q: Tensor, _: Divergence) -> tuple[Tensor, Tensor]:
    p = log_p.exp()
    rows = _dot(p, log_p.sub_(log_q))
    return rows, log_q.exp_().sub_(p)


def _rkl(log_p: Tensor, log_q: Tensor, _: Divergence) -> tuple[Tensor, Tensor]:
    ratio = log_p.neg_().add_(log_q)
    q = log_q.exp_()
    rows = _dot(q, ratio)
    return rows, ratio.sub_(rows[:, None]).mul_(q)


def _jsd(log_p: Tensor, log_q: Tensor, divergence: Divergence) -> tuple[Tensor, Tensor]:
    beta = divergence.beta
    log_m = torch.logaddexp(log_p + math.log(beta), log_q + math.log1p(-beta))
    p = log_p.exp()
    teacher = _dot(p, log_p.sub_(log_m))
    ratio = log_q - log_m
    q = log_q.exp_()
    student = _dot(q, ratio)
    gradient = ratio.sub_(student[:, None]).mul_(q).mul_(1 - beta)
    return beta * teacher + (1 - beta) * student, gradient


def _sfkl(log_p: Tensor, log_q: Tensor, divergence: Divergence) -> tuple[Tensor, Tensor]:
    alpha = divergence.alpha
    log_m = torch.logaddexp(log_p + math.log(alpha), log_q + math.log1p(-alpha))
    p = log_p.exp()
    ratio = log_p.sub_(log_m)
    rows = _dot(p, ratio)
    slope = ratio.exp_().mul_(alpha - 1)
    q = log_q.exp_()
    return rows, slope.sub_(_dot(q, slope)[:, None]).mul_(q)


def _srkl(log_p: Tensor, log_q: Tensor, divergence: Divergence) -> tuple[Tensor, Tensor]:
    alpha = divergence.alpha
    log_m = torch.logaddexp(log_p + math.log1p(-alpha), log_q + math.log(alpha))
    ratio = log_q - log_m
    q = log_q.exp_()
    rows = _dot(q, ratio)
    slope = ratio - alpha * ratio.exp()
    return rows, slope.sub_(_dot(q, slope)[:, None]).mul_(q)


KINDS: dict[str, Callable[[Tensor, Tensor, Divergence], tuple[Tensor, Tensor]]] = {
    "fkl": _fkl,
    "rkl": _rkl,
    "jsd": _jsd,
    "sfkl": _sfkl,
    "srkl": _srkl,
}
"""`ce` has no teacher and is not among them."""


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """Row-wise sum of products, without a buffer for the products."""
    products: Tensor = torch.linalg.vecdot(left, right)
    return products
