"""The search engine Lucene itself, on a JVM inside this process.

Same documents, same queries, same scores as the embedded engine; this one is for indexes that exist
already (pyserini's prebuilt ones, a full Wikipedia) and to check the other. The query is built from
the analysed words, so nothing in it is syntax. An index is opened read-only and mapped into memory.

A call into Java cannot be interrupted from inside the process: a deadline has to be kept by whoever
runs this process, by ending it.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

from sad_envs.base import EnvError
from sad_envs.search.analysis import ANALYZER, clean
from sad_envs.search.base import (
    CONTENTS,
    Document,
    EngineInfo,
    FieldName,
    Hit,
    Passage,
    Scoring,
    title_key,
    title_order,
)
from sad_envs.search.jvm import java_cast, java_class, java_errors
from sad_envs.search.layout import MANIFEST, SearchIndexError, read_manifest, rebuild_hint

SUBFOLDER = "lucene"
"""Where an index that was built here has its Lucene files."""

_KEY = "key"
_TIE = "tie"
_LUCENE = "org.apache.lucene."
_MOST_OF_A_TITLE = 100
"""The most documents that are looked at for one title."""


def lucene_version() -> str:
    """The version of Lucene that is in use; starts the JVM."""
    return str(java_class(_LUCENE + "util.Version").LATEST.toString())


def _analyzer() -> Any:
    return java_class("io.anserini.analysis.DefaultEnglishAnalyzer").newDefaultInstance()


def _similarity(scoring: Scoring) -> Any:
    return java_class(_LUCENE + "search.similarities.BM25Similarity")(scoring.k1, scoring.b)


def _directory(folder: Path) -> Any:
    path = java_class("java.io.File")(os.fspath(folder.absolute())).toPath()
    return java_class(_LUCENE + "store.FSDirectory").open(path)


class LuceneEngine:
    """A Lucene index, open for searching.

    The folder is one that `build_index(..., engine="lucene")` wrote, or any Lucene index with the
    English analysis: then its fields `title` and `text` (or `contents`) are scored if it has both,
    else `contents` alone; ties go by `id`, and titles and texts are read from the stored `raw`.
    """

    def __init__(self, folder: Path, scoring: Scoring | None = None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._own = (folder / MANIFEST).exists() or not _is_lucene(folder)
        if self._own:
            info = read_manifest(folder, "lucene")
            folder = folder / SUBFOLDER
            self._digest, self._scoring = info.digest, info.scoring
        with java_errors("cannot open the search index", self._remedy()):
            self._reader = java_class(_LUCENE + "index.DirectoryReader").open(_directory(folder))
            if not self._own:
                self._digest = _foreign_digest(folder)
                self._scoring = scoring or self._detect()
            reader = java_cast(_LUCENE + "index.IndexReader", self._reader)
            self._searcher = java_class(_LUCENE + "search.IndexSearcher")(reader)
            self._searcher.setSimilarity(_similarity(self._scoring))
            self._searcher.setMaxClauseCount(2**31 - 1)
            self._stored = self._searcher.storedFields()
            self._builder = java_class(_LUCENE + "util.QueryBuilder")(_analyzer())
            self._sort = self._make_sort()
        self._boost = java_class(_LUCENE + "search.BoostQuery")
        self._boolean = java_class(_LUCENE + "search.BooleanQuery$Builder")
        self._should = java_class(_LUCENE + "search.BooleanClause$Occur").SHOULD
        self._closed = False

    def search(self, query: str, k: int = 5) -> list[Hit]:
        """The best `k` documents."""
        with self._lock, self._failing():
            scored = self._query(clean(query))
            if scored is None or k < 1:
                return []
            most = min(k, max(1, int(self._reader.maxDoc())))
            found = self._searcher.search(scored, most, self._sort, True).scoreDocs
            return [self._hit(one) for one in found]

    def document(self, doc_id: str) -> Document | None:
        """The document of that id."""
        with self._lock, self._failing():
            found = self._with_term("id", clean(doc_id))
            return found[0] if found else None

    def with_title(self, title: str) -> list[Document]:
        """Documents of that title or redirect; a foreign index knows no redirects."""
        with self._lock, self._failing():
            key = title_key(clean(title))
            if self._own:
                found = self._with_term(_KEY, key)
            else:
                query = self._query(clean(title))
                candidates = [] if query is None else self._found(query, _MOST_OF_A_TITLE)
                found = [one for one in candidates if title_key(one.title) == key]
        return sorted(found, key=lambda document: title_order(title, document))

    def describe(self) -> EngineInfo:
        """Name, version, digest and parameters."""
        return EngineInfo(
            "lucene",
            lucene_version(),
            self._digest,
            int(self._reader.numDocs()),
            self._scoring,
            ANALYZER,
        )

    def close(self) -> None:
        """Let go of the index; the JVM stays until the process ends."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._reader.close()

    def _failing(self) -> Any:
        if self._closed:
            raise EnvError("the search engine is closed; open the index again")
        return java_errors("the search index failed", self._remedy())

    def _remedy(self) -> str:
        if self._own:
            return rebuild_hint(self._folder, "lucene")
        return f"check the Lucene index {self._folder}"

    def _query(self, text: str) -> Any:
        """The query for `text` over all fields; None if it has no words."""
        whole = self._boolean()
        empty = True
        for name, weight in self._scoring.fields:
            part = self._builder.createBooleanQuery(name, text)
            if part is None:
                continue
            whole.add(part if weight == 1 else self._boost(part, weight), self._should)
            empty = False
        return None if empty else whole.build()

    def _with_term(self, field: str, value: str) -> list[Document]:
        term = java_class(_LUCENE + "index.Term")(field, value)
        query = java_class(_LUCENE + "search.TermQuery")(term)
        return self._found(query, _MOST_OF_A_TITLE)

    def _found(self, query: Any, most: int) -> list[Document]:
        hits = self._searcher.search(query, most).scoreDocs
        return [Document(*self._parts(hit.doc)) for hit in hits]

    def _hit(self, found: Any) -> Hit:
        """A hit from what Lucene sorted by: the score, and what decides between equal ones."""
        score, tie = java_cast(_LUCENE + "search.FieldDoc", found).fields
        value: str = tie.utf8ToString()
        if not self._own:
            return Hit(value, self._parts(found.doc)[1], float(score))
        first, _, second = value.partition("\0")
        doc_id, title = (second, first) if self._scoring.tie == "title" else (first, second)
        return Hit(doc_id, title, float(score))

    def _parts(self, number: int) -> tuple[str, str, str]:
        """Id, title and text of a document."""
        stored = self._stored.document(number)
        doc_id = stored.get("id")
        if self._own:
            return doc_id, stored.get("title"), stored.get("text")
        raw = stored.get("raw") or ""
        try:
            record = json.loads(raw)
        except ValueError:
            record = raw
        if not isinstance(record, dict):
            return doc_id, doc_id, str(record)
        text = record.get("text", record.get("contents", ""))
        return doc_id, str(record.get("title") or doc_id), str(text)

    def _make_sort(self) -> Any:
        sort_field = java_class(_LUCENE + "search.SortField")
        kinds = java_class(_LUCENE + "search.SortField$Type")
        # Anserini stores ids in a way that has to be compared by value.
        tie = sort_field(_TIE, kinds.STRING) if self._own else sort_field("id", kinds.STRING_VAL)
        return java_class(_LUCENE + "search.Sort")(sort_field.FIELD_SCORE, tie)

    def _detect(self) -> Scoring:
        """The scoring that suits the fields of a foreign index."""
        infos = java_class(_LUCENE + "index.FieldInfos").getMergedFieldInfos(self._reader)
        present = {name: infos.fieldInfo(name) for name in ("id", "title", "text", "contents")}
        if present["id"] is None:
            raise SearchIndexError(
                f"the Lucene index {self._folder} has no field 'id'; "
                "only indexes as Anserini and pyserini write them can be opened"
            )
        body: FieldName = "text" if present["text"] is not None else "contents"
        if present[body] is None:
            raise SearchIndexError(
                f"the Lucene index {self._folder} has neither a field 'text' nor 'contents'; "
                "only indexes as Anserini and pyserini write them can be opened"
            )
        if present["title"] is None:
            return Scoring(weights=((body, 1.0),), tie="id") if body == "text" else CONTENTS
        return Scoring(weights=(("title", 2.0), (body, 1.0)), tie="id")


class LuceneWriter:
    """Adds documents to an unfinished index in `folder`, which it continues if it is one."""

    def __init__(self, folder: Path, scoring: Scoring) -> None:
        self._scoring, self._folder = scoring, folder / SUBFOLDER
        config = java_class(_LUCENE + "index.IndexWriterConfig")(_analyzer())
        config.setSimilarity(_similarity(scoring))
        mode = java_class(_LUCENE + "index.IndexWriterConfig$OpenMode")
        config.setOpenMode(mode.CREATE_OR_APPEND)
        config.setRAMBufferSizeMB(64.0)
        self._document = java_class(_LUCENE + "document.Document")
        self._text = java_class(_LUCENE + "document.TextField")
        self._string = java_class(_LUCENE + "document.StringField")
        self._sorted = java_class(_LUCENE + "document.SortedDocValuesField")
        self._bytes = java_class(_LUCENE + "util.BytesRef")
        self._stored = java_class(_LUCENE + "document.StoredField")
        store = java_class(_LUCENE + "document.Field$Store")
        self._yes, self._no = store.YES, store.NO
        with self._guard():
            self._writer = java_class(_LUCENE + "index.IndexWriter")(
                _directory(self._folder), config
            )
            self.documents = int(self._writer.getDocStats().maxDoc)
            self.state: dict[str, Any] = {"note": self._committed()}

    def add(self, passage: Passage) -> None:
        """Add one document; its texts are clean."""
        document = self._document()
        scored = [name for name, _ in self._scoring.weights]
        document.add(self._string("id", passage.id, self._yes))
        for name in ("title", "text"):
            text = passage.field_text(name)
            if name in scored:
                document.add(self._text(name, text, self._yes))
            else:
                document.add(self._stored(name, text))
        if "contents" in scored:
            document.add(self._text("contents", passage.field_text("contents"), self._no))
        for key in dict.fromkeys(map(title_key, (passage.title, *passage.redirects))):
            document.add(self._string(_KEY, key, self._no))
        parts = (passage.title, passage.id)
        tie = "\0".join(parts if self._scoring.tie == "title" else parts[::-1])
        document.add(self._sorted(_TIE, self._bytes(tie.encode())))
        with self._guard():
            self._writer.addDocument(document)
        self.documents += 1

    def checkpoint(self, note: dict[str, Any]) -> None:
        """Commit, with `note` for whoever continues."""
        data = java_class("java.util.HashMap")()
        data.put("note", json.dumps(note))
        with self._guard():
            self._writer.setLiveCommitData(data.entrySet())
            self._writer.commit()

    def finish(self) -> None:
        """Merge into one segment, so that every search sees the same statistics at once."""
        with self._guard():
            self._writer.forceMerge(1)
            self._writer.commit()
            self._writer.close()
            self._check_ids()
        (self._folder / "write.lock").unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the files; what came after the last checkpoint is lost."""
        with self._guard():
            self._writer.rollback()

    def _check_ids(self) -> None:
        reader = java_class(_LUCENE + "index.DirectoryReader").open(_directory(self._folder))
        base = java_cast(_LUCENE + "index.IndexReader", reader)
        different = java_class(_LUCENE + "index.MultiTerms").getTerms(base, "id").size()
        reader.close()
        if different != self.documents:
            raise SearchIndexError(
                f"{self.documents:,} documents have {different:,} different ids; ids must be "
                "unique, or leave them out to have them made"
            )

    def _committed(self) -> dict[str, Any]:
        data = self._writer.getLiveCommitData()
        entries = list(data.iterator()) if data is not None else []
        for entry in entries:
            if entry.getKey() == "note":
                note: dict[str, Any] = json.loads(entry.getValue())
                return note
        return {}

    def _guard(self) -> Any:
        return java_errors("cannot write the search index", "mend that and start again")


def _is_lucene(folder: Path) -> bool:
    return folder.is_dir() and any(folder.glob("segments_*"))


def _foreign_digest(folder: Path) -> str:
    """Digest of an index by its segments file, whose ids are drawn anew whenever one is written."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name != "write.lock":
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
            if path.name.startswith("segments_"):
                digest.update(path.read_bytes())
    return digest.hexdigest()
