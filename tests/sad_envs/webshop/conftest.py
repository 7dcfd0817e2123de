"""The real catalogue, and small ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from shop_parts import WordNouns

from sad_envs.search import CONTENTS, build_index, open_engine
from sad_envs.webshop.catalogue import Catalogue, open_catalogue
from sad_envs.webshop.store import Release, Store, build_store


@pytest.fixture(scope="session")
def webshop_data() -> Path:
    """The verified folder of 1,000 products, fetched from the mirror when it is not there."""
    from sad_envs.data import data_path, fetch, is_present

    if not is_present("webshop"):
        fetch("webshop")
    return data_path("webshop")


@pytest.fixture(scope="session")
def thousand(webshop_data: Path) -> Catalogue:
    """The catalogue of the 1,000 products."""
    return open_catalogue("1000", nouns="builtin")


@pytest.fixture
def make_shop(tmp_path: Path) -> Callable[..., Catalogue]:
    """A catalogue of a release: `make_shop(release([...]), price_seed=1)`."""

    def make(release: Release, *, price_seed: int = 0) -> Catalogue:
        folder, index = tmp_path / "store", tmp_path / "index"
        if not folder.exists():
            folder.mkdir()
            build_store(folder, release, WordNouns())
            build_index(Store(folder).passages(), index, scoring=CONTENTS)
        return Catalogue(Store(folder), open_engine(index), price_seed=price_seed)

    return make
