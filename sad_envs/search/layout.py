"""Files of an index folder: a manifest, and for the embedded engine plain arrays.

A folder that can be seen is complete: an index is built under another name and renamed. The
manifest `index.json` records format, engine, documents, scoring and the size of every file, so an
index of another version, or a file cut short, is refused at opening with one line. Arrays are
little-endian, mapped into memory read-only; nothing is read before it is needed.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from sad_envs.base import EnvError
from sad_envs.search.base import Scoring

MANIFEST = "index.json"
FORMAT = 1
"""Version of the layout and of what the numbers in it mean."""

EngineName = Literal["bm25", "lucene"]


class IndexInfo(pydantic.BaseModel):
    """The manifest of an index folder.

    `digest` depends on the documents alone: it is the sum of their sha256 digests modulo 2^256, so
    neither the order of the documents nor the engine changes it.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    format: int
    engine: EngineName
    engine_version: str
    analyzer: str
    scoring: Scoring
    documents: int
    digest: str
    files: dict[str, int]
    """Sizes in bytes, by name."""


class SearchIndexError(EnvError):
    """An index that is missing, damaged, or of another version."""


def rebuild_hint(folder: Path, engine: str) -> str:
    """What to do about an index that cannot be used."""
    return f"build it again with 'harness data index NAME --engine {engine}' (index: {folder})"


def write_manifest(folder: Path, info: IndexInfo) -> None:
    """Write `info` beside the files it names, whose sizes are taken from the disk."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
    sizes.pop(MANIFEST, None)
    text = json.dumps({**info.model_dump(mode="json"), "files": sizes}, indent=1)
    (folder / MANIFEST).write_text(text + "\n", "utf-8")


def read_manifest(folder: Path, engine: EngineName) -> IndexInfo:
    """The manifest of `folder`; raises `SearchIndexError` unless every file is as it says."""
    path = folder / MANIFEST
    try:
        raw: Any = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        what = "is not a search index" if folder.is_dir() else "does not exist"
        raise SearchIndexError(
            f"the search index {folder} {what}; build it with "
            f"'harness data index NAME --engine {engine}'"
        ) from None
    except OSError as error:
        raise SearchIndexError(
            f"cannot read the search index: {error.strerror}; {rebuild_hint(folder, engine)}"
        ) from error
    except ValueError as error:
        raise SearchIndexError(
            f"the search index has a damaged {MANIFEST}; {rebuild_hint(folder, engine)}"
        ) from error
    found = raw.get("format") if isinstance(raw, dict) else None
    if found != FORMAT:
        raise SearchIndexError(
            f"the search index is of format {found}, expected {FORMAT}; "
            f"{rebuild_hint(folder, engine)}"
        )
    try:
        info = IndexInfo.model_validate(raw)
    except pydantic.ValidationError as error:
        raise SearchIndexError(
            f"the search index has a damaged {MANIFEST}; {rebuild_hint(folder, engine)}"
        ) from error
    if info.engine != engine:
        raise SearchIndexError(
            f"the search index was built for the engine {info.engine}, not {engine}; "
            f"{rebuild_hint(folder, engine)}"
        )
    check_files(folder, info)
    return info


def check_files(folder: Path, info: IndexInfo) -> None:
    """Raise `SearchIndexError` unless all files are there in their sizes."""
    for name, size in info.files.items():
        try:
            found = (folder / name).stat().st_size
        except OSError:
            found = -1
        if found != size:
            state = "is missing" if found < 0 else f"has {found:,} bytes, expected {size:,}"
            raise SearchIndexError(
                f"the search index is damaged: {name} {state}; {rebuild_hint(folder, info.engine)}"
            )


def mapped(path: Path, kind: str) -> NDArray[Any]:
    """The array in a file, read-only; `kind` is a numpy type such as `<i4`."""
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.zeros(0, kind)
    return np.asarray(np.memmap(path, kind, "r"))


def fsync_folder(folder: Path) -> None:
    """Bring every file in `folder` to the disk, so that a rename after it is safe."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
