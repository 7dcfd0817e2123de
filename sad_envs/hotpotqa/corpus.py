"""Which articles a split searches, and the index on them.

A generated split has its encyclopaedia, indexed in a moment for each process. The sample and the
official files are searched in the paragraphs that come with them; that index is built once, into
the cache. `index` names any other index folder, for instance a full Wikipedia that Lucene indexed.

Of several paragraphs with one title the first counts; a question's own come first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sad_envs.base import EnvError
from sad_envs.data import cache_folder, catalogue, data_path
from sad_envs.search import (
    EngineName,
    Passage,
    SearchEngine,
    build_index,
    documents_digest,
    index_info,
    open_engine,
    read_passages,
)

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

    def ensure_index(
        self, engine: EngineName, progress: Callable[[int], None] | None = None
    ) -> Path:
        """The index folder, after building the index if there is none."""
        folder = self.index_folder(engine)
        if self.folder is None and not folder.exists():
            build_index(self.passages(), folder, engine, progress=progress)
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
