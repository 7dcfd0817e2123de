"""What every search engine promises.

A document is a title and a text. The score of a document for a query is the weighted sum, over the
scored fields, of BM25 as Lucene computes it: for every term of the query, as often as it occurs
there, `idf * f / (f + k1 * (1 - b + b * length / mean))` with `idf = ln(1 + (N - n + 0.5) / (n +
0.5))`; f is the term's frequency in the field, n the number of documents with the term and N with
the field, and the length goes through Lucene's one-byte encoding. Sums are rounded to 32 bits, and
hits with equal scores come in the order of their titles (then ids), or of their ids.

A query is a bag of words and never a syntax. Any string is a valid query: one without a known word
has no hits. A failing index is an `EnvError` of one line, never an empty answer.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from sad_envs.base import EnvError

K1 = 0.9
"""BM25's saturation, the value that Anserini and pyserini use."""

B = 0.4
"""BM25's length normalisation, the value that Anserini and pyserini use."""

FieldName = Literal["title", "text", "contents"]
Tie = Literal["title", "id"]


@dataclass(frozen=True)
class Scoring:
    """Which fields are scored, with what weight, and what decides between equal scores.

    The field `contents` is title and text together, with a space between them. At most one weight
    differs from 1: Lucene rounds the sum over such a field to 32 bits before it adds the rest, and
    with one of them that is easily told.
    """

    weights: tuple[tuple[FieldName, float], ...] = (("title", 2.0), ("text", 1.0))
    tie: Tie = "title"
    k1: float = K1
    b: float = B

    def __post_init__(self) -> None:
        names = [name for name, _ in self.weights]
        if not names or len(set(names)) < len(names):
            raise EnvError(f"scoring needs one weight for each of its fields, got {self.weights!r}")
        if any(weight <= 0 for _, weight in self.weights) or len(self.boosted) > 1:
            raise EnvError(
                f"weights are positive and at most one differs from 1, got {self.weights!r}"
            )

    @property
    def boosted(self) -> tuple[FieldName, ...]:
        """The field whose weight is not 1, if there is one."""
        return tuple(name for name, weight in self.weights if weight != 1)

    @property
    def fields(self) -> tuple[tuple[FieldName, float], ...]:
        """Fields and weights in the order of summing: the boosted one first."""
        return tuple(sorted(self.weights, key=lambda pair: pair[1] == 1))


TITLE_AND_TEXT = Scoring()
"""Twice the title's score plus the text's, ties by title: for encyclopaedia articles."""

CONTENTS = Scoring(weights=(("contents", 1.0),), tie="id")
"""One field, ties by id: plain pyserini."""


@dataclass(frozen=True)
class Passage:
    """A document to be indexed. Ids are unique; `redirects` are further titles to find it by."""

    id: str
    title: str
    text: str
    redirects: tuple[str, ...] = ()

    def field_text(self, name: FieldName) -> str:
        """What is indexed in a field."""
        if name == "contents":
            return f"{self.title} {self.text}"
        return self.title if name == "title" else self.text

    def sha256(self) -> bytes:
        """Digest of all four, each with its length in front of it; `clean` the texts first."""
        digest = hashlib.sha256()
        for part in (self.id, self.title, self.text, *self.redirects):
            encoded = part.encode()
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return digest.digest()


@dataclass(frozen=True)
class Document:
    """A document of an index."""

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Hit:
    """A document found, best first in a list of hits."""

    id: str
    title: str
    score: float


@dataclass(frozen=True)
class EngineInfo:
    """What a search result depends on, and for the record what answered."""

    engine: str
    version: str
    """Version of the library, or of the embedded engine's index format."""
    digest: str
    """Digest of the documents, the same for every engine; see `IndexInfo`."""
    documents: int
    scoring: Scoring
    analyzer: str


@runtime_checkable
class SearchEngine(Protocol):
    """An open index. Safe to use from several threads; to be closed once."""

    def search(self, query: str, k: int = 5) -> list[Hit]:
        """The best `k` documents, or fewer; raises `EnvError` when the index fails."""

    def document(self, doc_id: str) -> Document | None:
        """The document of that id."""

    def with_title(self, title: str) -> list[Document]:
        """Documents of that title or redirect, as `title_key` compares them.

        In the order of exactly the same title first, then title, then id.
        """

    def describe(self) -> EngineInfo:
        """Name, version, digest and parameters."""

    def close(self) -> None:
        """Let go of the index; a second call does nothing."""


def title_key(title: str) -> str:
    """What two titles are compared by.

    Canonical composition, underscores as spaces, single spaces, square brackets around it dropped,
    case folded.
    """
    composed = unicodedata.normalize("NFC", title)
    plain = re.sub(r"[\s_]+", " ", composed).strip(" []")
    return plain.casefold()


def title_order(title: str, document: Document) -> tuple[bool, str, str]:
    """Sort key for documents that share the key of `title`: the exact title comes first."""
    return (document.title != title, document.title, document.id)
