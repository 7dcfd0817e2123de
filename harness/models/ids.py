"""Which sampled ids a completion's text needs, once the text was cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_TAIL = 8
"""Prompt tokens decoded before the sampled ones, so that a blank the first carries is kept."""


def shortest_ids(
    tokenizer: Any, prompt: Sequence[int], sampled: Sequence[int], text: str
) -> tuple[int, ...]:
    """The shortest run of `sampled`, from its start, whose text reaches to the end of `text`."""
    tail = list(prompt[-_TAIL:])

    def length(count: int) -> int:
        ids = [*tail, *sampled[:count]]
        return len(tokenizer.decode(ids, skip_special_tokens=True)) - before

    before = len(tokenizer.decode(tail, skip_special_tokens=True))
    count = len(sampled)
    while count and length(count - 1) >= len(text):
        count -= 1
    return tuple(sampled[:count])
