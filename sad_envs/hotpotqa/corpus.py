"""Which articles a split searches, and the index on them.

A generated split has its encyclopaedia, indexed in a moment for each process. The sample and the
official files are searched in the paragraphs that come with them; that index is built once, into
the cache. `index` names any other index folder, for instance a full Wikipedia that Lucene indexed.

Of several paragraphs with one title the first counts; a question's own come first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from sad_envs.base import EnvError, did_you_mean
from sad_envs.data import cache_folder, catalogue, data_path
from sad_envs.data.cache import sha256_of
from sad_envs.search import (
    ENGINES,
    EngineName,
    IndexInfo,
    Passage,
    SearchEngine,
    SearchIndexError,
    build_index,
    documents_digest,
    index_info,
    open_engine,
    read_passages,
)

Progress: TypeAlias = Callable[[int], None]
"""Hears the number of articles so far."""

SAMPLE_FILES = ("hotpot_distractor_sample300.json", "wikipedia_passages_6k.json")


@dataclass(frozen=True)
class Corpus:
    """The articles of a split: those of `seed`, of a data set's `files`, or of the index `folder`.

    Attributes:
        name: as it appears in the cache.
        dataset: catalogue entry the files belong to.
    """

    name: str
    seed: int | None = None
    dataset: str = ""
    files: tuple[str, ...] = ()
    folder: Path | None = None

    def index_folder(self, engine: EngineName) -> Path:
        """Where the index is, or will be once it is built."""
        if self.folder is not None:
            return self.folder
        version = catalogue()[self.dataset].manifest[:12]
        return cache_folder() / "index" / f"hotpotqa-{self.name}-{version}-{engine}"

    def passages(self) -> Iterator[Passage]:
        """The articles, each title once."""
        if self.seed is not None:
            from sad_envs.hotpotqa.generate import generated_passages

            yield from generated_passages(self.seed)
            return
        seen: set[str] = set()
        for passage in read_passages(data_path(self.dataset) / file for file in self.files):
            if passage.title not in seen:
                seen.add(passage.title)
                yield passage

    def ensure_index(self, engine: EngineName) -> Path:
        """The index folder, after building the index if there is none."""
        folder = self.index_folder(engine)
        if self.folder is None and not folder.exists():
            build_index(self.passages(), folder, engine)
        return folder

    def open(self, engine: EngineName) -> SearchEngine:
        """An engine on the articles, built first if need be."""
        if self.seed is not None:
            from sad_envs.hotpotqa.generate import generated_engine

            return generated_engine(self.seed, engine)
        folder = self.ensure_index(engine)
        if engine == "bm25" and any(folder.glob("segments_*")):
            raise EnvError(f"{folder} is a Lucene index; add engine=lucene to open it")
        return open_engine(folder, engine)

    def digest(self, engine: EngineName) -> str:
        """Digest of the articles."""
        if self.seed is not None:
            return documents_digest(self.passages())
        if self.folder is None:
            return index_info(self.ensure_index(engine), engine).digest
        opened = self.open(engine)
        try:
            return opened.describe().digest
        finally:
            opened.close()


SAMPLE = Corpus("sample300", dataset="hotpotqa", files=SAMPLE_FILES)
DEV = Corpus("dev", dataset="hotpotqa-dev", files=("hotpot_dev_distractor_v1.json",))
TRAIN = Corpus("train", dataset="hotpotqa-train", files=("hotpot_train_v1.1.json",))
CORPORA = {corpus.dataset: corpus for corpus in (SAMPLE, DEV, TRAIN)}
"""Catalogue entry to the corpus of its paragraphs."""


def index_articles(
    name: str,
    engine: str,
    *,
    files: Sequence[Path] = (),
    out: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Path, IndexInfo]:
    """Build the index of the data set `name`, or of passage `files`; keep one that is good.

    Of files the index goes to `out`, or to a folder of the cache named after their contents. That
    of a data set is where its splits look for it.
    """
    if name not in CORPORA:
        raise EnvError(f"{name!r} has no articles to index" + did_you_mean(name, CORPORA))
    if engine not in ENGINES:
        raise EnvError(f"unknown search engine {engine!r}" + did_you_mean(engine, ENGINES))
    chosen: EngineName = "lucene" if engine == "lucene" else "bm25"
    corpus = CORPORA[name]
    folder = out or corpus.index_folder(chosen)
    passages = corpus.passages
    if files:
        folder = out or cache_folder() / "index" / f"{name}-{_digest(files)[:12]}-{chosen}"
        passages = partial(read_passages, files)
    try:
        return folder, index_info(folder, chosen)
    except SearchIndexError:
        return folder, build_index(passages(), folder, chosen, progress=progress)


def _digest(files: Sequence[Path]) -> str:
    try:
        digests = [sha256_of(path) for path in files]
    except OSError as error:
        raise EnvError(
            f"cannot read {error.filename}: {error.strerror}; name existing passage files"
        ) from error
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
