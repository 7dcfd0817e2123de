"""Exact match and F1 between answers, by the rules of HotPotQA's official evaluation.

Normalised, an answer is in lower case, without ASCII punctuation and without the words a, an and
the, its words one blank apart; typographic dashes and quotes stay.
"""

from __future__ import annotations

import re
import string
from collections import Counter

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_CLOSED = ("yes", "no", "noanswer")


def normalise(answer: str) -> str:
    """The answer as it is compared."""
    bare = answer.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(answer: str, gold: str) -> bool:
    """Whether both are the same when normalised."""
    return normalise(answer) == normalise(gold)


def f1(answer: str, gold: str) -> float:
    """Harmonic mean of precision and recall over words, repetitions counted; in [0, 1].

    0 when one of them is yes, no or noanswer and the other is not the same, and 0 without a common
    word, so that two answers of which nothing is left match exactly with an F1 of 0.
    """
    ours, theirs = normalise(answer), normalise(gold)
    if ours != theirs and (ours in _CLOSED or theirs in _CLOSED):
        return 0.0
    our_words, their_words = ours.split(), theirs.split()
    common = sum((Counter(our_words) & Counter(their_words)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(our_words), common / len(their_words)
    return 2 * precision * recall / (precision + recall)
