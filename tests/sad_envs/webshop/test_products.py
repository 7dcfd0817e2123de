"""Cleaning of raw products, and reading of the release's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shop_parts import product, raw_product

from sad_envs.base import EnvError
from sad_envs.webshop import products
from sad_envs.webshop.products import clean, parse_price, stream_dict, stream_list


@pytest.mark.parametrize(
    ("pricing", "prices", "text"),
    [
        (None, (100.0,), "$100.0"),
        ("", (100.0,), "$100.0"),
        ("$24.99", (24.99,), "$24.99"),
        ("$14", (14.0,), "$14.0"),
        ("$1,299.50", (1299.5,), "$1299.5"),
        ("$19.99 - $39.99", (19.99, 39.99), "$19.99 to $39.99"),
        ("$10.99 ($1.10 / Ounce)", (10.99, 1.1), "$10.99 to $1.1"),
        ("$1.00 $2.00 $3.00", (1.0, 2.0), "$1.0 to $2.0"),
    ],
)
def test_prices_are_read_as_upstream_reads_them(
    pricing: str | None, prices: tuple[float, ...], text: str
) -> None:
    assert parse_price(pricing) == (prices, text)


@pytest.mark.parametrize("pricing", ["12.50", "$", "$ or best offer", "$1.2.3"])
def test_a_price_that_cannot_be_read_counts_as_none(pricing: str) -> None:
    assert parse_price(pricing) == ((100.0,), "$100.0")


def test_options_are_in_lower_case_with_bars_for_slashes() -> None:
    mug = product(options={"Color": [" Red/White ", "BLUE"], "Size": ["8 oz"]})
    assert mug.options == {"color": ("red | white", "blue"), "size": ("8 oz",)}


def test_an_option_without_contents_is_left_out() -> None:
    raw = raw_product()
    raw["customization_options"] = {"Color": None, "Size": [{"value": "S", "image": "s.jpg"}]}
    made = clean(raw, None)
    assert made is not None
    assert (made.options, made.option_images) == ({"size": ("s",)}, {"s": "s.jpg"})


def test_the_query_is_trimmed_and_the_category_is_not_touched() -> None:
    mug = product()
    assert (mug.query, mug.product_category) == ("coffee mugs", "Home › Kitchen › Mugs")


def test_a_single_bullet_may_come_without_a_list() -> None:
    assert product(small_description="one").bullets == ("one",)


def test_a_product_the_attribute_file_lacks_has_a_dummy_attribute() -> None:
    unlisted, listed = clean(raw_product(), None), clean(raw_product(), {"attributes": []})
    assert unlisted is not None
    assert listed is not None
    assert (unlisted.attributes, listed.attributes) == (("DUMMY_ATTR",), ())


@pytest.mark.parametrize("asin", ["nan", "B0000000012"])
def test_products_without_a_proper_asin_are_skipped(asin: str) -> None:
    assert clean(raw_product(asin), None) is None


def test_the_search_text_has_the_first_bullet_and_the_options() -> None:
    mug = product(options={"Color": ["Red", "Blue"], "Size": ["S"]})
    assert mug.search_text() == (
        "red coffee mug a mug for coffee. holds 12 oz color: red, blue, and size: s"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=5), st.integers(1, 40))
def test_a_list_is_streamed_whatever_the_buffer(
    tmp_path_factory: pytest.TempPathFactory, items: list[dict[str, Any]], chunk: int
) -> None:
    path = tmp_path_factory.mktemp("json") / "list.json"
    path.write_text(json.dumps(items, indent=1), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_CHUNK", chunk)
        assert list(stream_list(path)) == items


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.lists(JSON, max_size=3), max_size=5), st.integers(1, 40))
def test_an_object_is_streamed_whatever_the_buffer(
    tmp_path_factory: pytest.TempPathFactory, pairs: dict[str, Any], chunk: int
) -> None:
    path = tmp_path_factory.mktemp("json") / "pairs.json"
    path.write_text(json.dumps(pairs), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_CHUNK", chunk)
        assert dict(stream_dict(path)) == pairs


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"a": 1}, {"a"', "no whole JSON file"),
        ('[{"a": 1}', "no whole JSON file"),
        ('{"a": 1}', "does not begin"),
        ("", "does not begin"),
        ("[1]", "no whole JSON|expected objects"),
        ("<html>", "does not begin"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "items.json"
    path.write_text(text, "utf-8")
    with pytest.raises(EnvError, match=said) as caught:
        list(stream_list(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvError, match=r"cannot read .*absent\.json"):
        list(stream_list(tmp_path / "absent.json"))
