"""Write the embedded engine's index, in one pass and with flat memory.

Postings are spooled to disk in buckets by the first bits of the term's hash; at the end each bucket
is sorted on its own, and the buckets follow each other in the index. Terms, ids and titles are
known by 64-bit hashes: with ten million of them the odds that any two collide are three in a
million. What has been added is on the disk after `checkpoint`, and a writer opened on such a folder
goes on from there. Memory grows with the documents by their titles only, which are sorted at once.

Files, for n documents and each scored field F:

    documents.text              id, title and text of every document, UTF-8, one after the other
    documents.starts   int64    [3 n + 1], where each of them starts
    ties               int32    [n], a document's place among hits of equal score
    ids.hashes, titles.hashes   uint64, sorted;  ids.documents, titles.documents  int32
    F.terms            uint64   [terms], sorted hashes
    F.starts           int64    [terms + 1], where the postings of each term start
    F.documents        int32    [postings], ascending within a term
    F.divisors         float32  [postings], `1 + frequency / norm`: a term of weight w adds
                                `w - w / divisor` to the score
    F.counts           int64    [1], documents with the field
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from array import array
from collections import Counter
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sad_envs.search.analysis import Analyzer
from sad_envs.search.base import FieldName, Passage, Scoring, title_key
from sad_envs.search.layout import SearchIndexError, mapped
from sad_envs.search.length import inverse_norms, length_byte

_BUCKETS = 64
_POSTINGS_IN_MEMORY = 1 << 20
_POSTING = np.dtype([("term", "<u8"), ("document", "<i4"), ("frequency", "<i4")])
_KEY = np.dtype([("hash", "<u8"), ("document", "<i4")])
_SPOOL = "spool"
_STATE = "state.json"


def hash64(text: str) -> int:
    """The first 64 bits of BLAKE2b, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


class _Spool:
    """Postings and lengths of one field."""

    def __init__(self, folder: Path, name: FieldName) -> None:
        self.name = name
        self._files = [(folder / f"{name}.{n:02d}").open("ab") for n in range(_BUCKETS)]
        self._lengths = (folder / f"{name}.lengths").open("ab")
        self._hashes: dict[str, int] = {}
        self._terms, self._documents, self._frequencies = array("Q"), array("i"), array("i")

    def add(self, number: int, terms: list[str]) -> None:
        counts = Counter(terms)
        known = self._hashes
        for term, frequency in counts.items():
            hashed = known.get(term)
            if hashed is None:
                if len(known) > 1 << 18:
                    known.clear()
                hashed = known[term] = hash64(term)
            self._terms.append(hashed)
            self._frequencies.append(frequency)
        self._documents.extend([number] * len(counts))
        self._lengths.write(bytes((length_byte(len(terms)),)))
        if len(self._terms) >= _POSTINGS_IN_MEMORY:
            self._spill()

    def files(self) -> list[IO[bytes]]:
        return [*self._files, self._lengths]

    def flush(self) -> None:
        self._spill()
        for file in self.files():
            file.flush()

    def close(self) -> None:
        for file in self.files():
            file.close()

    def _spill(self) -> None:
        if not self._terms:
            return
        postings = np.empty(len(self._terms), _POSTING)
        postings["term"] = self._terms
        postings["document"] = self._documents
        postings["frequency"] = self._frequencies
        bucket = (postings["term"] >> np.uint64(64 - 6)).astype(np.uint8)
        order = np.argsort(bucket, kind="stable")
        bounds = np.searchsorted(bucket[order], np.arange(_BUCKETS + 1))
        postings = postings[order]
        for n, file in enumerate(self._files):
            file.write(postings[bounds[n] : bounds[n + 1]].tobytes())
        self._terms, self._documents, self._frequencies = array("Q"), array("i"), array("i")


class Bm25Writer:
    """Adds documents to an unfinished index in `folder`, which it continues if it is one."""

    def __init__(self, folder: Path, scoring: Scoring) -> None:
        self._folder, self._scoring = folder, scoring
        self._analyzer = Analyzer()
        self._spool = folder / _SPOOL
        self._spool.mkdir(exist_ok=True)
        self.state: dict[str, Any] = self._restore()
        names = [name for name, _ in scoring.weights]
        self._fields = [_Spool(self._spool, name) for name in names]
        self._totals: dict[str, int] = self.state["totals"] or dict.fromkeys(names, 0)
        self._counts: dict[str, int] = self.state["counts"] or dict.fromkeys(names, 0)
        self.documents: int = self.state["documents"]
        self._text = (folder / "documents.text").open("ab")
        self._starts = (folder / "documents.starts").open("ab")
        self._ids = (self._spool / "ids").open("ab")
        self._titles = (self._spool / "titles").open("ab")
        self._at = self._text.tell()
        if not self.documents:
            self._starts.write((0).to_bytes(8, "little"))

    def add(self, passage: Passage) -> None:
        """Add one document; its texts are clean."""
        number = self.documents
        for spool in self._fields:
            terms = self._analyzer.terms(passage.field_text(spool.name))
            spool.add(number, terms)
            self._totals[spool.name] += len(terms)
            self._counts[spool.name] += bool(terms)
        for part in (passage.id, passage.title, passage.text):
            encoded = part.encode()
            self._text.write(encoded)
            self._at += len(encoded)
            self._starts.write(self._at.to_bytes(8, "little"))
        self._ids.write(_key(passage.id, number))
        keys = dict.fromkeys(title_key(title) for title in (passage.title, *passage.redirects))
        for key in keys:
            self._titles.write(_key(key, number))
        self.documents += 1

    def checkpoint(self, note: dict[str, Any]) -> None:
        """Bring everything to the disk, with `note` in the state for whoever continues."""
        for spool in self._fields:
            spool.flush()
        files = self._files()
        for file in files:
            file.flush()
            os.fsync(file.fileno())
        state = {
            "documents": self.documents,
            "totals": self._totals,
            "counts": self._counts,
            "sizes": {os.path.relpath(file.name, self._folder): file.tell() for file in files},
            "note": note,
        }
        new = self._spool / f"{_STATE}.new"
        with new.open("w", encoding="utf-8") as out:
            json.dump(state, out)
            out.flush()
            os.fsync(out.fileno())
        new.replace(self._spool / _STATE)

    def finish(self) -> None:
        """Sort what was spooled into the index's files, and remove the spool."""
        for spool in self._fields:
            spool.flush()
        self.close()
        for spool in self._fields:
            self._write_field(spool.name)
        self._write_keys("ids")
        self._write_keys("titles")
        self._check_ids()
        self._write_ties()
        shutil.rmtree(self._spool)

    def close(self) -> None:
        """Let go of the files; what came after the last checkpoint may be lost."""
        for file in self._files():
            file.close()

    def _files(self) -> list[IO[bytes]]:
        own: list[IO[bytes]] = [self._text, self._starts, self._ids, self._titles]
        return own + [file for spool in self._fields for file in spool.files()]

    def _restore(self) -> dict[str, Any]:
        """The last checkpoint, what was written after it cut off; else an empty one."""
        try:
            state: dict[str, Any] = json.loads((self._spool / _STATE).read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            state = {"documents": 0, "totals": {}, "counts": {}, "sizes": {}, "note": {}}
        for path in [*self._spool.iterdir(), *self._folder.glob("documents.*")]:
            size = state["sizes"].get(os.path.relpath(path, self._folder), 0)
            if path.name != _STATE:
                os.truncate(path, size)
        return state

    def _write_field(self, name: FieldName) -> None:
        lengths = mapped(self._spool / f"{name}.lengths", "u1")
        count = self._counts[name]
        mean = self._totals[name] / count if count else 1.0
        norms = inverse_norms(self._scoring.k1, self._scoring.b, mean)
        at = 0
        out = {
            part: (self._folder / f"{name}.{part}").open("wb")
            for part in ("terms", "starts", "documents", "divisors")
        }
        for n in range(_BUCKETS):
            postings = np.fromfile(self._spool / f"{name}.{n:02d}", _POSTING)
            postings = postings[np.argsort(postings["term"], kind="stable")]
            terms, starts = np.unique(postings["term"], return_index=True)
            documents = postings["document"]
            frequencies = postings["frequency"].astype(np.float32)
            divisors = np.float32(1) + frequencies * norms[lengths[documents]]
            out["terms"].write(terms.astype("<u8").tobytes())
            out["starts"].write((starts + at).astype("<i8").tobytes())
            out["documents"].write(documents.astype("<i4").tobytes())
            out["divisors"].write(divisors.astype("<f4").tobytes())
            at += len(postings)
        out["starts"].write(at.to_bytes(8, "little"))
        for file in out.values():
            file.close()
        (self._folder / f"{name}.counts").write_bytes(count.to_bytes(8, "little"))

    def _write_keys(self, name: str) -> None:
        keys = np.fromfile(self._spool / name, _KEY)
        keys = keys[np.argsort(keys["hash"], kind="stable")]
        (self._folder / f"{name}.hashes").write_bytes(keys["hash"].tobytes())
        (self._folder / f"{name}.documents").write_bytes(keys["document"].tobytes())

    def _check_ids(self) -> None:
        hashes = mapped(self._folder / "ids.hashes", "<u8")
        twice = np.flatnonzero(hashes[1:] == hashes[:-1])
        if len(twice):
            number = int(mapped(self._folder / "ids.documents", "<i4")[twice[0]])
            doc_id = DocumentFile(self._folder).part(number, 0)
            raise SearchIndexError(
                f"two documents have the id {doc_id!r}; ids must be unique, "
                "or leave them out to have them made"
            )

    def _write_ties(self) -> None:
        documents = DocumentFile(self._folder)
        by_title = self._scoring.tie == "title"
        keys = [
            (documents.part(n, 1) + "\0" if by_title else "") + documents.part(n, 0)
            for n in range(self.documents)
        ]
        ties = np.empty(self.documents, "<i4")
        ties[sorted(range(self.documents), key=keys.__getitem__)] = np.arange(self.documents)
        (self._folder / "ties").write_bytes(ties.tobytes())


class DocumentFile:
    """The texts of an index, by document number."""

    def __init__(self, folder: Path) -> None:
        self._text = mapped(folder / "documents.text", "u1")
        self._starts: NDArray[np.int64] = mapped(folder / "documents.starts", "<i8")

    def part(self, number: int, which: int) -> str:
        """Id (0), title (1) or text (2) of a document."""
        start, end = self._starts[3 * number + which : 3 * number + which + 2].tolist()
        return self._text[start:end].tobytes().decode()


def _key(text: str, number: int) -> bytes:
    return hash64(text).to_bytes(8, "little") + number.to_bytes(4, "little")
