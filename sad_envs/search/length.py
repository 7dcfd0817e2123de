"""Numbers as Lucene stores and combines them: lengths in one byte, arithmetic in 32 bits.

A field's length is exact below 40 and has three bits of mantissa from there on; scoring uses the
lower end of the range that shares a byte.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_EXACT = 24
"""Lengths below it are their own byte; above it, the rest is a small float."""


def length_byte(length: int) -> int:
    """The byte that stands for a field's number of terms."""
    rest = length - _EXACT
    if rest < 8:
        return length
    shift = rest.bit_length() - 4
    return _EXACT + ((rest >> shift) & 7 | (shift + 1) << 3)


def _byte_length(byte: int) -> int:
    rest = byte - _EXACT
    if rest < 8:
        return byte
    shift = (rest >> 3) - 1
    return _EXACT + ((rest & 7 | 8) << shift)


def inverse_norms(k1: float, b: float, mean_length: float) -> NDArray[np.float32]:
    """`1 / (k1 * (1 - b + b * length / mean))` for each length byte; float32 [256]."""
    lengths = np.array([_byte_length(byte) for byte in range(256)], np.float32)
    one, k, share = np.float32(1), np.float32(k1), np.float32(b)
    return one / (k * ((one - share) + share * lengths / np.float32(mean_length)))


def idf(documents: int, having: int) -> np.float32:
    """Inverse document frequency of a term that `having` of `documents` have."""
    return np.float32(math.log(1 + (documents - having + 0.5) / (having + 0.5)))
