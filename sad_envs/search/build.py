"""Build an index from passages, and open one.

Building goes on where an earlier attempt was cut off: passages that the unfinished index already
has are skipped, after checking that they are the same. Only a complete index appears under its
name; until then an older one of that name stays usable.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from sad_envs.base import EnvError
from sad_envs.data.cache import locked, make_folder, restore
from sad_envs.data.errors import os_error_line
from sad_envs.search.analysis import ANALYZER, clean
from sad_envs.search.base import TITLE_AND_TEXT, Passage, Scoring, SearchEngine
from sad_envs.search.layout import (
    FORMAT,
    EngineName,
    IndexInfo,
    SearchIndexError,
    fsync_folder,
    read_manifest,
    write_manifest,
)

ENGINES: tuple[EngineName, ...] = ("bm25", "lucene")

_CHECKPOINT_EVERY = 50_000
_MODULUS = 1 << 256


class _Writer(Protocol):
    documents: int
    state: dict[str, Any]

    def add(self, passage: Passage) -> None: ...
    def checkpoint(self, note: dict[str, Any]) -> None: ...
    def finish(self) -> None: ...
    def close(self) -> None: ...


def build_index(
    passages: Iterable[Passage],
    folder: Path,
    engine: EngineName = "bm25",
    *,
    scoring: Scoring = TITLE_AND_TEXT,
    progress: Callable[[int], None] | None = None,
) -> IndexInfo:
    """Index `passages` into `folder`; returns what was built.

    `progress` hears the number of passages so far, skipped ones included. Raises `EnvError` for ids
    that occur twice, no passages at all, a full disk, or a missing package.
    """
    make_folder(folder.parent)
    with locked(folder.parent / f".{folder.name}.lock"):
        restore(folder)
        partial = folder.parent / f".{folder.name}.{engine}.partial"
        try:
            info = _build(passages, partial, engine, scoring, progress)
            _replace(folder, partial)
        except _OtherPassages:
            shutil.rmtree(partial)
            raise EnvError(
                f"an unfinished index of other passages was beside {folder}; "
                "it has been removed, so start again"
            ) from None
        except SearchIndexError:
            shutil.rmtree(partial)  # nothing that could be continued
            raise
        except OSError as error:
            raise EnvError(os_error_line(error, partial)) from error
        return info


def open_engine(
    folder: Path, engine: EngineName = "bm25", *, scoring: Scoring | None = None
) -> SearchEngine:
    """Open an index; raises `EnvError` with one line when it cannot be used.

    `scoring` is for a foreign Lucene index only, whose fields otherwise decide.
    """
    if engine == "bm25":
        from sad_envs.search.bm25 import Bm25Engine

        return Bm25Engine(folder)
    if engine == "lucene":
        from sad_envs.search.lucene import LuceneEngine

        return LuceneEngine(folder, scoring)
    raise _unknown(engine)


def index_info(folder: Path, engine: EngineName) -> IndexInfo:
    """The manifest of an index, checked; raises `SearchIndexError`."""
    return read_manifest(folder, engine)


def documents_digest(passages: Iterable[Passage]) -> str:
    """The digest that an index of `passages` has: the sum of theirs, whatever their order."""
    digests = (_cleaned(passage).sha256() for passage in passages)
    return _hex(sum(int.from_bytes(digest, "big") for digest in digests) % _MODULUS)


def _build(
    passages: Iterable[Passage],
    partial: Path,
    engine: EngineName,
    scoring: Scoring,
    progress: Callable[[int], None] | None,
) -> IndexInfo:
    writer = _open_writer(partial, engine, scoring)
    try:
        digest = _add_all(passages, writer, scoring, progress)
        writer.finish()
    except BaseException:
        writer.close()
        raise
    info = IndexInfo(
        format=FORMAT,
        engine=engine,
        engine_version=_engine_version(engine),
        analyzer=ANALYZER,
        scoring=scoring,
        documents=writer.documents,
        digest=digest,
        files={},
    )
    write_manifest(partial, info)
    return info


def _open_writer(partial: Path, engine: EngineName, scoring: Scoring) -> _Writer:
    """A writer on the unfinished index, or on a new one if that is of another kind."""
    writer = _writer(partial, engine, scoring)
    note = writer.state["note"]
    if writer.documents and note.get("kind") != _kind(scoring):
        writer.close()
        shutil.rmtree(partial)
        writer = _writer(partial, engine, scoring)
    return writer


def _writer(partial: Path, engine: EngineName, scoring: Scoring) -> _Writer:
    partial.mkdir(exist_ok=True)
    if engine == "bm25":
        from sad_envs.search.bm25_build import Bm25Writer

        return Bm25Writer(partial, scoring)
    if engine == "lucene":
        from sad_envs.search.lucene import LuceneWriter

        return LuceneWriter(partial, scoring)
    raise _unknown(engine)


def _add_all(
    passages: Iterable[Passage],
    writer: _Writer,
    scoring: Scoring,
    progress: Callable[[int], None] | None,
) -> str:
    """Add what the writer does not have yet; returns the digest of all passages."""
    have, total, n = writer.documents, 0, 0
    noted = writer.state["note"].get("digest", _hex(0))
    for n, passage in enumerate(passages, 1):
        clean_passage = _cleaned(passage)
        total = (total + int.from_bytes(clean_passage.sha256(), "big")) % _MODULUS
        if n == have and _hex(total) != noted:
            break
        if n > have:
            writer.add(clean_passage)
            if n % _CHECKPOINT_EVERY == 0:
                writer.checkpoint({"digest": _hex(total), "kind": _kind(scoring)})
        if progress:
            progress(n)
    if n < have or (n == have and _hex(total) != noted):
        # The iterable cannot be wound back, so this attempt ends here.
        raise _OtherPassages
    if not n:
        raise EnvError("there are no passages to index; name files that have some")
    writer.checkpoint({"digest": _hex(total), "kind": _kind(scoring)})
    return _hex(total)


class _OtherPassages(Exception):
    """The unfinished index has other passages than those given now."""


def _replace(folder: Path, partial: Path) -> None:
    """Put the finished index in its place; an older one stays until then."""
    fsync_folder(partial)
    if folder.exists():
        old = folder.parent / f".{folder.name}.old"
        folder.rename(old)
        partial.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        partial.rename(folder)


def _cleaned(passage: Passage) -> Passage:
    return Passage(
        clean(passage.id),
        clean(passage.title),
        clean(passage.text),
        tuple(map(clean, passage.redirects)),
    )


def _engine_version(engine: EngineName) -> str:
    if engine == "bm25":
        return str(FORMAT)
    from sad_envs.search.lucene import lucene_version

    return lucene_version()


def _kind(scoring: Scoring) -> str:
    """What an unfinished index must agree in to be continued."""
    return f"{FORMAT} {ANALYZER} {scoring}"


def _hex(number: int) -> str:
    return f"{number:064x}"


def _unknown(engine: str) -> EnvError:
    return EnvError(f"unknown search engine {engine!r}; expected one of {', '.join(ENGINES)}")
