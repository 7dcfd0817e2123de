"""The embedded search engine: Lucene's ranking with numpy alone, no JVM and no compiler.

It gives the scores of Lucene's BM25Similarity bit by bit, as far as the two platforms' logarithms
agree, over terms made by `analysis`. For each term of a query its postings are added into one array
of scores per document; only touched places are looked at and cleared, so a search costs what its
postings cost. The index is mapped into memory: opening takes milliseconds whatever its size, and
what stays resident is what the system keeps of it, plus 8 bytes per document.
"""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sad_envs.base import EnvError
from sad_envs.search.analysis import Analyzer
from sad_envs.search.base import Document, EngineInfo, FieldName, Hit, title_key, title_order
from sad_envs.search.bm25_build import DocumentFile, hash64
from sad_envs.search.layout import SearchIndexError, mapped, read_manifest, rebuild_hint
from sad_envs.search.length import idf

_Postings: TypeAlias = tuple[NDArray[np.int32], NDArray[np.float32], np.float32]
"""Documents, divisors, and the term's inverse document frequency."""

_MOST_CACHED = 1 << 16


class _Field:
    """Postings of one field, and its weight in the score."""

    def __init__(self, folder: Path, name: FieldName, weight: float) -> None:
        self.weight = np.float32(weight)
        self._terms = mapped(folder / f"{name}.terms", "<u8")
        self._starts = mapped(folder / f"{name}.starts", "<i8")
        self._documents = mapped(folder / f"{name}.documents", "<i4")
        self._divisors = mapped(folder / f"{name}.divisors", "<f4")
        self._count = int(mapped(folder / f"{name}.counts", "<i8")[0])
        self._known: dict[str, _Postings | None] = {}

    def postings(self, term: str) -> _Postings | None:
        """The postings of a term, None if no document has it in this field."""
        try:
            return self._known[term]
        except KeyError:
            if len(self._known) >= _MOST_CACHED:
                self._known.clear()
            found = self._known[term] = self._look_up(term)
            return found

    def _look_up(self, term: str) -> _Postings | None:
        hashed = np.uint64(hash64(term))
        at = int(np.searchsorted(self._terms, hashed))
        if at == len(self._terms) or self._terms[at] != hashed:
            return None
        start, end = self._starts[at : at + 2].tolist()
        weight = idf(self._count, end - start)
        return self._documents[start:end], self._divisors[start:end], weight


class Bm25Engine:
    """An index built with `build_index(..., engine="bm25")`, open for searching."""

    def __init__(self, folder: Path) -> None:
        self._info = read_manifest(folder, "bm25")
        try:
            self._map(folder)
        except OSError as error:
            raise SearchIndexError(
                f"cannot read the search index: {error.strerror}; {rebuild_hint(folder, 'bm25')}"
            ) from error
        self._scores = np.zeros(self._info.documents, np.float64)
        self._analyzer = Analyzer()
        self._lock = threading.Lock()

    def _map(self, folder: Path) -> None:
        scoring = self._info.scoring
        self._fields = [_Field(folder, name, weight) for name, weight in scoring.fields]
        self._documents: DocumentFile | None = DocumentFile(folder)
        self._ties = mapped(folder / "ties", "<i4")
        self._keys = {
            name: (
                mapped(folder / f"{name}.hashes", "<u8"),
                mapped(folder / f"{name}.documents", "<i4"),
            )
            for name in ("ids", "titles")
        }

    def search(self, query: str, k: int = 5) -> list[Hit]:
        """The best `k` documents."""
        with self._lock:
            documents = self._open()
            counts = Counter(self._analyzer.terms(query))
            best = self._best(counts, k) if counts and k > 0 else []
            return [
                Hit(documents.part(number, 0), documents.part(number, 1), score)
                for number, score in best
            ]

    def document(self, doc_id: str) -> Document | None:
        """The document of that id."""
        for number in self._numbers("ids", doc_id):
            document = self._document(number)
            if document.id == doc_id:
                return document
        return None

    def with_title(self, title: str) -> list[Document]:
        """Documents of that title or redirect."""
        found = [self._document(number) for number in self._numbers("titles", title_key(title))]
        return sorted(found, key=lambda document: title_order(title, document))

    def describe(self) -> EngineInfo:
        """Name, version, digest and parameters."""
        info = self._info
        return EngineInfo(
            "bm25", info.engine_version, info.digest, info.documents, info.scoring, info.analyzer
        )

    def close(self) -> None:
        """Let go of the index."""
        with self._lock:
            self._documents = None
            self._fields, self._keys = [], {}

    def _best(self, counts: Counter[str], k: int) -> list[tuple[int, float]]:
        """Numbers and scores of the best documents, best first."""
        scores = self._scores
        touched: list[NDArray[np.int32]] = []
        try:
            for field in self._fields:
                for term, count in counts.items():
                    postings = field.postings(term)
                    if postings is None:
                        continue
                    documents, divisors, rarity = postings
                    weight = field.weight * np.float32(count) * rarity
                    touched.append(documents)
                    scores[documents] += weight - weight / divisors
                if field.weight != 1:
                    for documents in touched:
                        scores[documents] = scores[documents].astype(np.float32)
            if not touched:
                return []
            numbers = np.concatenate(touched) if len(touched) > 1 else touched[0]
            values = scores[numbers].astype(np.float32)
        finally:
            for documents in touched:
                scores[documents] = 0
        # A document occurs once for each of its terms, so this many of the best hold the best k.
        enough = k * len(touched)
        if len(values) > enough:
            least = np.partition(values, len(values) - enough)[len(values) - enough]
            kept = values >= least
            numbers, values = numbers[kept], values[kept]
        numbers, first = np.unique(numbers, return_index=True)
        values = values[first]
        order = np.lexsort((self._ties[numbers], -values))[:k]
        return list(zip(numbers[order].tolist(), values[order].tolist(), strict=True))

    def _numbers(self, name: str, key: str) -> list[int]:
        self._open()
        hashes, documents = self._keys[name]
        hashed = np.uint64(hash64(key.encode(errors="replace").decode()))
        first = int(np.searchsorted(hashes, hashed))
        last = int(np.searchsorted(hashes, hashed, side="right"))
        found: list[int] = documents[first:last].tolist()
        return found

    def _document(self, number: int) -> Document:
        part = self._open().part
        return Document(part(number, 0), part(number, 1), part(number, 2))

    def _open(self) -> DocumentFile:
        if self._documents is None:
            raise EnvError("the search engine is closed; open the index again")
        return self._documents
