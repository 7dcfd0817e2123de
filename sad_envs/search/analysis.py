"""From text to index terms, as Lucene's EnglishAnalyzer makes them.

Word segmentation, then for each token: a final 's is dropped, letters become lower case, the 33
stop words fall out, and Porter's stemmer does the rest. Queries and documents are treated alike;
nothing in either has a meaning of its own, so brackets, operators and quotes only separate words.
"""

from __future__ import annotations

import re

from sad_envs.search.porter import stem
from sad_envs.search.segment import words

ANALYZER = "english-1"
"""Name of this analysis; it changes whenever the terms of any text do."""

_STOP_LIST = (
    "a an and are as at be but by for if in into is it no not of on or such that the their then "
    "there these they this to was will with"
)
STOP_WORDS = frozenset(_STOP_LIST.split())

_POSSESSIVE = ("'s", "’s", "＇s", "'S", "’S", "＇S")
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_MOST_CACHED = 1 << 18


def clean(text: str) -> str:
    """`text` without what no engine can take: NUL and lone surrogates become U+FFFD."""
    return _NOT_TEXT.sub("\ufffd", text)


class Analyzer:
    """Turns text into terms, and remembers tokens that it has seen.

    Each engine has its own; the memory is bounded.
    """

    def __init__(self) -> None:
        self._terms: dict[str, str | None] = {}

    def terms(self, text: str) -> list[str]:
        """The terms of `text` in order, repetitions included."""
        known = self._terms
        found = []
        for token in words(clean(text)):
            try:
                term = known[token]
            except KeyError:
                if len(known) >= _MOST_CACHED:
                    known.clear()
                term = known[token] = _term(token)
            if term is not None:
                found.append(term)
        return found


def _term(token: str) -> str | None:
    """The term of one token; None for a stop word."""
    if token.endswith(_POSSESSIVE):
        token = token[:-2]
    token = _lower(token)
    return None if token in STOP_WORDS else stem(token)


def _lower(token: str) -> str:
    """Lower case by single characters, as Java has it.

    Python's `str.lower` makes two characters of a capital dotted I, and a final sigma of a capital
    sigma at a word's end.
    """
    if token.isascii():
        return token.lower()
    return token.replace("İ", "i").replace("Σ", "σ").lower()
