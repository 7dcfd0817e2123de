"""The catalogue: which data sets exist, where they come from and what they must hash to.

It reads `catalogue.toml`, which ships with the package, and refuses a name it does not list. A data
set is a folder in the cache; its `manifest` digest pins the name and sha256 of every file in it,
so what was fetched from a mirror, an official address or a repacked archive is held to one measure.
A data set whose digests are not known has none in the catalogue: the first fetch records what came,
and later checks hold it to that.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from sad_envs.base import did_you_mean
from sad_envs.data.errors import DataError


@dataclass(frozen=True)
class DataFile:
    """One file to fetch. `addresses` are tried in order; `unpack` is "zip" or None.

    Without `sha256` the file is not pinned, and `n_bytes` is an estimate.
    """

    name: str
    sha256: str
    n_bytes: int
    addresses: tuple[str, ...] = ()
    unpack: str | None = None


@dataclass(frozen=True)
class Dataset:
    """A named data set. `manifest` is the sha256 of the text that lists all its files.

    `n_files` and `n_bytes` count the folder when complete.
    """

    name: str
    title: str
    licence: str
    licence_url: str
    homepage: str
    manifest: str
    n_files: int
    n_bytes: int
    files: tuple[DataFile, ...]

    @property
    def pinned(self) -> bool:
        """Whether the catalogue says what the files must hash to."""
        return bool(self.manifest)

    @property
    def download_bytes(self) -> int:
        """Bytes that come over the network when nothing is in the cache."""
        return sum(file.n_bytes for file in self.files)


def parse_catalogue(text: str) -> dict[str, Dataset]:
    """Data sets by name from catalogue text; raises `ValueError` or `TypeError` on a bad one."""

    def dataset(name: str, entry: dict[str, Any]) -> Dataset:
        files = tuple(
            DataFile(**{**file, "addresses": tuple(file.get("addresses", ()))})
            for file in entry.pop("files")
        )
        return Dataset(name=name, files=files, **entry)

    return {name: dataset(name, entry) for name, entry in tomllib.loads(text).items()}


@cache
def catalogue() -> Mapping[str, Dataset]:
    """All data sets by name, in alphabetical order."""
    text = resources.files("sad_envs.data").joinpath("catalogue.toml").read_text("utf-8")
    return MappingProxyType(parse_catalogue(text))


def find(name: str) -> Dataset:
    """The data set called `name`; raises `DataError` with the nearest names."""
    try:
        return catalogue()[name]
    except KeyError:
        raise DataError(f"there is no data set {name!r}{did_you_mean(name, catalogue())}") from None
