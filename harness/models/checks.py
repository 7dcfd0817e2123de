"""Refuse a request that no backend could honour, before any of its batch is computed."""

from __future__ import annotations

import math

from harness.errors import HarnessError
from harness.models.base import Request


def check_request(request: Request) -> None:
    """Raise `HarnessError` when a field of `request` is outside its range."""
    sampling = request.sampling
    if not (math.isfinite(sampling.temperature) and sampling.temperature >= 0):
        raise HarnessError(
            f"temperature is {sampling.temperature}; expected 0 (greedy) or a positive number"
        )
    if not 0 < sampling.top_p <= 1:
        raise HarnessError(f"top_p is {sampling.top_p}; expected more than 0 and at most 1")
    if sampling.top_k < 0:
        raise HarnessError(f"top_k is {sampling.top_k}; expected 0 (all tokens) or more")
    if sampling.max_tokens < 1:
        raise HarnessError(f"max_tokens is {sampling.max_tokens}; expected at least 1")
    if "" in request.stop:
        raise HarnessError("a stop string is empty, so nothing could be written; leave it out")
