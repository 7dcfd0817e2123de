"""One token from one row of logits.

The distribution is `softmax(logits / temperature)` in float64, cut to the `top_k` most likely
tokens, then to the smallest set of the most likely ones whose share is at least `top_p`; among
equally likely tokens the lower id counts as the more likely. One uniform number from the request's
own generator is then looked up in the cumulative sum, in the order of ids. So every token costs
exactly one random number, a request's draws do not depend on its batch, and a rounding error in
the logits changes a token only when the number falls that close to a border.
"""

from __future__ import annotations

import torch

from harness.models.base import Sampling


def make_generator(seed: int) -> torch.Generator:
    """A CPU generator for any Python integer, negative and large ones included."""
    return torch.Generator().manual_seed(seed % 2**63)


def draw(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """The id of the next token.

    Args:
        logits: [vocabulary], float64 on the CPU.
        sampling: temperature 0 takes the largest logit, the lowest id among equals.
        generator: advanced by one number, unless greedy.

    Raises:
        FloatingPointError: when the largest logit is NaN or infinite.
    """
    top = logits.max()
    if not torch.isfinite(top):
        raise FloatingPointError(f"the largest logit is {top.item()}")
    if sampling.temperature == 0:
        return int(logits.argmax())
    shares = token_shares(logits, sampling)
    cumulative = shares.cumsum(0)
    at = torch.rand((), dtype=torch.float64, generator=generator) * cumulative[-1]
    chosen = int(torch.searchsorted(cumulative, at, right=True))
    return min(chosen, int(shares.nonzero()[-1]))


def token_shares(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Probabilities [vocabulary] that tokens are drawn with, float64; they sum to 1.

    `logits` is [vocabulary], float64, its maximum finite; the temperature is positive.
    """
    # Shifting before dividing keeps a tiny temperature from making infinities of large logits.
    shares = torch.softmax((logits - logits.max()) / sampling.temperature, dim=0)
    if 0 < sampling.top_k < shares.numel():
        order = torch.sort(shares, descending=True, stable=True).indices
        shares[order[sampling.top_k :]] = 0.0
        shares /= shares.sum()
    if sampling.top_p < 1:
        ordered, order = torch.sort(shares, descending=True, stable=True)
        before = ordered.cumsum(0) - ordered
        shares[order[before >= sampling.top_p]] = 0.0
        shares /= shares.sum()
    return shares
