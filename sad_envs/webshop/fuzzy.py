"""Whether two short texts say the same, decided as thefuzz 0.19 does on Python's difflib.

`token_set_ratio` is the plain definition. `similar` is `token_set_ratio(a, b) > 85`, without
difflib wherever lengths or letters settle it: a word set within the other scores 100, and bounds on
what the texts can have in common rule out most of the rest.
"""

from __future__ import annotations

import re
from collections import Counter
from difflib import SequenceMatcher
from functools import lru_cache

THRESHOLD = 85
"""Texts are similar when they score more than this, of 100."""

_DELETED = dict.fromkeys(range(128, 256))
_NOT_WORD = re.compile(r"\W")


def processed(text: str) -> str:
    """`text` without the characters U+0080 to U+00FF, words only, in lower case."""
    return _NOT_WORD.sub(" ", text.translate(_DELETED)).lower().strip()


def token_set_ratio(first: str, second: str) -> int:
    """Similarity from 0 to 100; 0 when either has no word.

    With I the common words in order, X and Y those of the two texts, I first: the best
    `round(100 * SequenceMatcher.ratio())` of (I, X), (I, Y) and (X, Y).
    """
    texts = _texts(first, second)
    if texts is None:
        return 0
    common, left, right = texts
    return max(_ratio(common, left), _ratio(common, right), _ratio(left, right))


@lru_cache(maxsize=1 << 16)
def similar(first: str, second: str) -> bool:
    """`token_set_ratio(first, second) > THRESHOLD`."""
    texts = _texts(first, second)
    if texts is None:
        return False
    common, left, right = texts
    if common and common in (left, right):
        return True
    return _exceeds(common, left) or _exceeds(common, right) or _exceeds(left, right)


def _texts(first: str, second: str) -> tuple[str, str, str] | None:
    """The common words, and those of each text with the common ones in front."""
    one, two = processed(first), processed(second)
    if not one or not two:
        return None
    words_one, words_two = set(one.split()), set(two.split())
    common = " ".join(sorted(words_one & words_two))
    left = f"{common} {' '.join(sorted(words_one - words_two))}".strip()
    right = f"{common} {' '.join(sorted(words_two - words_one))}".strip()
    return common, left, right


def _ratio(a: str, b: str) -> int:
    if a == b:
        return 100 if a else 0
    if not a or not b:
        return 0
    return round(100 * SequenceMatcher(None, a, b).ratio())


def _exceeds(a: str, b: str) -> bool:
    """`_ratio(a, b) > THRESHOLD`."""
    if not a or not b:
        return False
    if not _enough(min(len(a), len(b)), a, b):
        return False
    if b.startswith(a):
        # The whole of `a` is matched, so the bound is the ratio; also in long texts, where difflib
        # looks only for rare letters: the first it finds stand in the same place in both.
        return True
    if not _enough((Counter(a) & Counter(b)).total(), a, b):
        return False
    return _ratio(a, b) > THRESHOLD


def _enough(matches: int, a: str, b: str) -> bool:
    """Whether so many matching letters would do; computed as difflib does."""
    return round(100 * (2.0 * matches / (len(a) + len(b)))) > THRESHOLD
