"""Products on disk: built once, the same for everybody."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from shop_parts import WordNouns, raw_product, release

from sad_envs.base import EnvError
from sad_envs.webshop.products import clean
from sad_envs.webshop.store import PriceRange, Release, Store, build_store, ensure_store

PLAIN = raw_product("B1")
RANGED = raw_product("B2", name="Blue Plate", pricing="$5 - $9", options={"Color": ["Red/Blue"]})
AGAIN = raw_product("B1", name="Another of that asin")


def built(folder: Path, *items: dict[str, Any], **files: Any) -> Store:
    folder.mkdir()
    build_store(folder, release(list(items), **files), WordNouns())
    return Store(folder)


def test_products_come_back_as_they_were_cleaned(tmp_path: Path) -> None:
    record = {"attributes": ["easy clean"]}
    store = built(tmp_path / "s", PLAIN, RANGED, attributes={"B2": record})
    assert store.product("B1") == clean(PLAIN, None)
    assert store.product("B2") == clean(RANGED, record)


def test_the_first_of_an_asin_counts_and_skipped_ones_take_no_number(tmp_path: Path) -> None:
    store = built(tmp_path / "s", PLAIN, raw_product("nan"), AGAIN, RANGED)
    assert store.info.products == 2
    assert store.product("B1").title == "Red Coffee Mug"
    assert store.asins([0, 1]) == ["B1", "B2"]


def test_the_nouns_of_titles_are_kept(tmp_path: Path) -> None:
    store = built(tmp_path / "s", PLAIN)
    assert store.nouns("B1") == ["red", "coffee", "mug"]
    assert store.info.nouns == "words-1"


def test_ranges_are_numbered_in_load_order(tmp_path: Path) -> None:
    store = built(tmp_path / "s", RANGED, PLAIN, raw_product("B3", pricing="$1 $2"))
    assert store.price("B1") == PriceRange(12.5, None, None)
    assert store.price("B2") == PriceRange(5.0, 9.0, 0)
    assert store.price("B3") == PriceRange(1.0, 2.0, 1)
    assert store.info.ranges == 2


def test_an_unknown_asin_is_a_key_error(tmp_path: Path) -> None:
    store = built(tmp_path / "s", PLAIN)
    for ask in (store.product, store.nouns, store.price):
        with pytest.raises(KeyError):
            ask("B9\ud800")


def test_the_digest_depends_on_contents_alone(tmp_path: Path) -> None:
    one = built(tmp_path / "one", PLAIN, RANGED).info.digest
    same = built(tmp_path / "same", PLAIN, AGAIN, RANGED).info.digest
    other = built(tmp_path / "other", RANGED, PLAIN).info.digest
    wish = {"instruction": "Find a mug", "instruction_attributes": ["red"], "attributes": []}
    asked = built(tmp_path / "asked", PLAIN, RANGED, attributes={"B1": wish}).info.digest
    assert one == same
    assert len({one, other, asked}) == 3


def test_a_release_without_products_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvError, match="no products"):
        built(tmp_path / "s", raw_product("nan"))


def test_processes_that_need_a_store_wait_for_the_one_that_builds_it(tmp_path: Path) -> None:
    reads: list[str] = []

    def items() -> list[dict[str, Any]]:
        reads.append("once")
        return [PLAIN, RANGED]

    counted = Release(items=items, attributes=lambda: (), human=lambda: ())
    folder = tmp_path / "store"
    threads = [
        threading.Thread(target=ensure_store, args=(folder, counted, WordNouns, None))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reads == ["once"]
    assert Store(folder).info.products == 2


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def items() -> Any:
        yield PLAIN
        raise EnvError("no whole JSON file")

    broken = Release(items=items, attributes=lambda: (), human=lambda: ())
    with pytest.raises(EnvError, match="no whole JSON"):
        ensure_store(tmp_path / "store", broken, WordNouns, None)
    assert [path.name for path in tmp_path.iterdir()] == [".store.lock"]


def test_a_store_of_another_format_is_built_anew(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    ensure_store(folder, release([PLAIN]), WordNouns, None)
    told = json.loads((folder / "store.json").read_text("utf-8"))
    (folder / "store.json").write_text(json.dumps({**told, "format": 0}), "utf-8")
    ensure_store(folder, release([PLAIN, RANGED]), WordNouns, None)
    assert Store(folder).info.products == 2


def test_a_folder_that_is_no_store_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(EnvError, match="no product store") as caught:
        Store(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_damaged_store_is_refused_in_one_line(tmp_path: Path) -> None:
    store = built(tmp_path / "s", PLAIN)
    store.close()
    database = sqlite3.connect(tmp_path / "s" / "products.db")
    database.execute("DROP TABLE products")
    database.close()
    with pytest.raises(EnvError, match="harness data index webshop") as caught:
        Store(tmp_path / "s").product("B1")
    assert "\n" not in str(caught.value)
