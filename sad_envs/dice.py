"""Draws that come out the same in every process and on every Python.

Of the standard generator only what Python promises to keep is used: the sequence of `random()` for
an integer seed. The seed is a digest of its parts, so that neighbouring seeds have nothing in
common; weights are integers, so that no sum depends on rounding.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A stream of draws, named by its parts: `Dice("home", seed, index)`."""

    def __init__(self, *parts: int | str) -> None:
        digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()
        self._random = random.Random(int.from_bytes(digest, "big"))

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""
        return int(self._random.random() * n)

    def chance(self, percent: int) -> bool:
        """True in `percent` of a hundred draws."""
        return self.below(100) < percent

    def one_of(self, items: Sequence[T]) -> T:
        """One of the items, each as likely."""
        return items[self.below(len(items))]

    def weighted(self, weights: Mapping[T, int]) -> T:
        """One of the keys, each as likely as its weight says; the order of keys matters."""
        left = self.below(sum(weights.values()))
        for key, weight in weights.items():
            left -= weight
            if left < 0:
                return key
        raise ValueError("there is nothing to draw from: no weight is positive")
