"""Small functions of upstream's code that the environment itself has no use for.

For analyses that are to agree with published ones: which colours and kinds of sizes options have,
which goal a random session gets, and the code that a worker was paid for.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from random import Random

from sad_envs.webshop.reward import COLOURS

NOT_MATCHED, NUMERIC_SIZE = "not_matched", "numeric_size"

SIZE_PATTERNS = (
    *("xx-large", "3x-large", "4x-large", "5x-large", "x-large", "x-small", "medium", "large"),
    *("small", "queen", "twin", "full", "king", "one size", "pack"),
    *(r"(.*)neck(.*)sleeve", r"(.*) women \| (.*) men", r"(.*)w x(.*)l", r"(.*)w by (.*)l"),
    *(r"(.*)w x(.*)h", r"(.*)wide", r"(.*)x-wide", r"(.*)narrow", r"(.*)petite", r"(.*)inch"),
    *(r"(.*)plus", r"(.*)mm", r"women(.*)", r"(.*)x(.*)", r"(.*)ft", r"(.*)feet", r"(.*)meter"),
    *(r"(.*)yards", r"(.*)\*(.*)", r"(.*)\-(.*)", r'(\d+)"$', r"(\d+)f$", r"(\d+)m$"),
    *(r"(\d+)cm$", r"(\d+)g$"),
)
"""In the order in which they are tried."""

_COMPILED = tuple(re.compile(pattern) for pattern in SIZE_PATTERNS)


def colour_map(values: Iterable[str]) -> dict[str, str]:
    """Lower-cased colour options to the first known colour in them, or `not_matched`."""
    found = {"N.A.": NOT_MATCHED}
    for value in map(str.lower, values):
        found[value] = next((colour for colour in COLOURS if colour in value), NOT_MATCHED)
    return found


def size_map(values: Iterable[str]) -> dict[str, str]:
    """Lower-cased size options to the first pattern found in them, `numeric_size`, or neither."""
    found = {"N.A.": NOT_MATCHED}
    for value in map(str.lower, values):
        matched = (pattern.pattern for pattern in _COMPILED if pattern.search(value))
        other = NUMERIC_SIZE if value.replace(".", "", 1).isdigit() else NOT_MATCHED
        found[value] = next(matched, other)
    return found


def random_goal(weights: Sequence[float], draw: Random) -> int:
    """The index of the goal that a session without a number gets.

    Off by one, as upstream's: goal 0 is never drawn, and the last one twice as often.
    """
    cumulative = [0.0, *accumulate(weights)]
    at = bisect_right(cumulative, draw.uniform(0, cumulative[-1]))
    return min(at, len(cumulative) - 2)


def session_code(sid: str) -> str:
    """The code on the last page: ten digits of the SHA-1 of the session's name."""
    return (
        hashlib.sha1(sid.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()[:10].upper()
    )
