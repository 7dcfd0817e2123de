"""Search engines over titled passages: an embedded one and Lucene, which rank alike.

`build_index` makes an index, `open_engine` opens one; `base` says what a score is.
"""

from sad_envs.search.base import (
    CONTENTS,
    TITLE_AND_TEXT,
    Document,
    EngineInfo,
    Hit,
    Passage,
    Scoring,
    SearchEngine,
    title_key,
)
from sad_envs.search.build import (
    ENGINES,
    build_index,
    documents_digest,
    index_info,
    open_engine,
)
from sad_envs.search.layout import EngineName, IndexInfo, SearchIndexError
from sad_envs.search.passages import read_passages

__all__ = [
    "CONTENTS",
    "ENGINES",
    "TITLE_AND_TEXT",
    "Document",
    "EngineInfo",
    "EngineName",
    "Hit",
    "IndexInfo",
    "Passage",
    "Scoring",
    "SearchEngine",
    "SearchIndexError",
    "build_index",
    "documents_digest",
    "index_info",
    "open_engine",
    "read_passages",
    "title_key",
]
