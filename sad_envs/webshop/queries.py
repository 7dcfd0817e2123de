"""What the WebShop expert searches for: words of the instruction, and later words it has read.

Of the many ways to choose these words it takes one that shows the product, which it finds out by
trying them on the shop's search. Simple choices come first; then words are left out or added one by
one as long as the product moves up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

MOST_TRIED = 150
"""Queries tried at most for one that shows the product."""

_MOST_SIMPLE = 60
_NOWHERE = 1_000
_CLAUSE = ", and price lower than "
_EDGES = ".,;:!?()\"'`"
_FREQUENT = """
a about am an and any are as at be buy by can color come comes could do does find flavor for from
get give good have having hello help hi i i'd i'm im in is it it's item its like look looking made
make makes me my name need of on one or order pair place please price purchase scent search should
show size so some something style suitable that that's the their them they this to type want wear
which with would you your
"""
_FREQUENT_WORDS = frozenset(_FREQUENT.split())
_LETTER = re.compile(r"\w")
_BRACKETS = re.compile(r"[\[\]]")

Chosen: TypeAlias = tuple[int, ...]
"""Which words, in their order."""

Rank: TypeAlias = Callable[[str], int | None]
"""Place of the product among the hits of a query, from 0; None when it is not among them."""


def request(instruction: str) -> str:
    """The instruction without its price clause."""
    asked, clause, _ = instruction.rpartition(_CLAUSE)
    return asked if clause else instruction


def telling_words(text: str) -> list[str]:
    """The words of a text that a search can use, each once, in order and in lower case."""
    words = (_BRACKETS.sub("", word).strip(_EDGES) for word in text.lower().split())
    return list(
        dict.fromkeys(
            word for word in words if _LETTER.search(word) and word not in _FREQUENT_WORDS
        )
    )


def first_query(instruction: str) -> str:
    """All telling words of the instruction, or else the instruction."""
    words = telling_words(request(instruction))
    return " ".join(words) or " ".join(_BRACKETS.sub("", instruction).split()) or "product"


def find_query(
    words: Sequence[str],
    rank: Rank,
    good: Callable[[int], bool],
    *,
    more: Sequence[str] = (),
    avoid: Sequence[str] = (),
) -> str | None:
    """A query of `words`, in their order, and of `more` that has the product at a good place.

    None when there is none among those tried. Queries in `avoid` are not given.
    """
    known = [*words, *(word for word in more if word not in words)]
    places: dict[Chosen, int] = {}

    def written(chosen: Chosen) -> str:
        return " ".join(known[i] for i in chosen)

    def place(chosen: Chosen) -> int:
        if chosen not in places:
            query = written(chosen)
            found = rank(query) if query not in avoid else None
            places[chosen] = _NOWHERE if found is None else found
        return places[chosen]

    def shows(chosen: Chosen) -> bool:
        return place(chosen) < _NOWHERE and good(place(chosen))

    long, short = _simple(len(words))
    for chosen in long:
        if shows(chosen):
            return written(chosen)
    best = min(places, key=lambda one: (places[one], -len(one)), default=())
    while len(places) < MOST_TRIED:
        nearby = min(_neighbours(best, len(known)), key=place, default=best)
        if place(nearby) >= place(best):
            break
        best = nearby
        if shows(best):
            return written(best)
    return next((written(chosen) for chosen in short if shows(chosen)), None)


def simple_queries(words: Sequence[str]) -> list[str]:
    """All words; all but one or two neighbours; then runs of them, the longer ones first."""
    long, short = _simple(len(words))
    return [" ".join(words[i] for i in chosen) for chosen in (*long, *short)]


def _simple(n: int) -> tuple[list[Chosen], list[Chosen]]:
    """Simple choices of `n` words: those with at least half of them, and the others."""
    every = tuple(range(n))
    cut = [every[:i] + every[i + size :] for size in (0, 1, 2) for i in range(n - size + 1)]
    runs = [every[i : i + size] for size in range(n, 0, -1) for i in range(n - size + 1)]
    chosen = [one for one in dict.fromkeys((*cut, *runs)) if one]
    half = (n + 1) // 2
    long = [one for one in chosen if len(one) >= half][:_MOST_SIMPLE]
    return long, [one for one in chosen if len(one) < half][:_MOST_SIMPLE]


def _neighbours(chosen: Chosen, n: int) -> Iterator[Chosen]:
    """With one word less, and with one word more."""
    if len(chosen) > 1:
        yield from (tuple(i for i in chosen if i != left_out) for left_out in chosen)
    yield from (tuple(sorted((*chosen, more))) for more in range(n) if more not in chosen)
