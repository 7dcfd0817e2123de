"""Read passages from files: a JSON list, or one JSON object per line, plain or gzipped.

Three shapes of record are known, also mixed: `{"title", "text"}`, with `_id` or `id` and
`redirects` if there are any (BEIR's corpora are of this shape; `contents` counts as text); and a
HotPotQA question with its `context`, of which every paragraph is a passage. A text may be a list of
sentences, which are joined as they are.

Passages without an id get one from their title and text, and those that repeat an earlier title and
text are left out; so files that overlap can be indexed together. Files of lines are read line by
line; a JSON list is read whole.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from sad_envs.base import EnvError
from sad_envs.search.analysis import clean
from sad_envs.search.base import Passage

_SHAPES = 'expected {"title": ..., "text": ...} or a HotPotQA question with "context"'


def read_passages(files: Iterable[Path]) -> Iterator[Passage]:
    """All passages of `files`, in order; raises `EnvError` naming file and record."""
    seen: set[bytes] = set()
    for path in files:
        for where, record in _records(path):
            for passage in _passages(record, where):
                if passage.id:
                    yield passage
                    continue
                key = hashlib.sha256(
                    f"{clean(passage.title)}\0{clean(passage.text)}".encode()
                ).digest()[:8]
                if key not in seen:
                    seen.add(key)
                    yield Passage(key.hex(), passage.title, passage.text, passage.redirects)


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    """Records, each with the place it was found at."""
    try:
        with _opened(path) as file:
            first = file.read(1)
            while first.isspace() or first == "\ufeff":
                first = file.read(1)
            if first == "[":
                records = json.loads(first + file.read())
                yield from ((f"{path}, record {n}", one) for n, one in enumerate(records, 1))
                return
            for n, line in enumerate(chain([first + file.readline()], file), 1):
                if line.strip():
                    yield f"{path}, line {n}", json.loads(line)
    except json.JSONDecodeError as error:
        raise EnvError(f"{path} is not JSON ({error}); {_SHAPES}") from error
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
        raise EnvError(f"{path} is damaged or no text file ({error}); get it again") from error
    except OSError as error:
        raise EnvError(f"cannot read {path}: {error.strerror}; name an existing file") from error


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _passages(record: Any, where: str) -> Iterator[Passage]:
    if isinstance(record, dict) and isinstance(record.get("context"), list):
        for paragraph in record["context"]:
            match paragraph:
                case [str(name), sentences] if (body := _text(sentences)) is not None:
                    yield Passage("", name, body)
                case _:
                    raise EnvError(f"{where}: a paragraph is not [title, sentences]; {_SHAPES}")
        return
    if isinstance(record, dict):
        title, text = record.get("title"), _text(record.get("text", record.get("contents")))
        doc_id, redirects = record.get("_id", record.get("id", "")), record.get("redirects", [])
        if (
            isinstance(title, str)
            and text is not None
            and isinstance(doc_id, str | int)
            and isinstance(redirects, list)
            and all(isinstance(one, str) for one in redirects)
        ):
            yield Passage(str(doc_id), title, text, tuple(redirects))
            return
    raise EnvError(f"{where}: unknown kind of record; {_SHAPES}")


def _text(value: Any) -> str | None:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "".join(value)
    return value if isinstance(value, str) else None
