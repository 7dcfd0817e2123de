"""A page's value, read off the page that a browser shows.

`READ_PAGE` is the script that collects what the page says, `read_page` makes the value of it. Of a
product there is what that page shows; the other texts are empty. Of the hits that are not on the
page of results only their number is known, so their asins are empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sad_envs.webshop import links
from sad_envs.webshop.pages import (
    PER_PAGE,
    SUB_PAGES,
    DonePage,
    ItemPage,
    Page,
    ResultsPage,
    SearchPage,
    SubPage,
)
from sad_envs.webshop.products import Product, parse_price

READ_PAGE = Path(__file__).with_name("read_page.js").read_text(encoding="utf-8")
"""JavaScript that returns what a page says, or null while it is not there yet."""

_TOTAL = re.compile(r"\(Total results: (\d+)\)")


class BrowserFailure(RuntimeError):
    """The browser or its page is not as it should be; the message is one line."""


def read_page(read: Mapping[str, Any], visited: frozenset[str] = frozenset()) -> Page:
    """The value of a page from what `read_page.js` found on it.

    Raises:
        BrowserFailure: when it is no page of the shop.
    """
    reader = _READERS.get(read["kind"])
    if reader is None:
        raise BrowserFailure(f"the site answered: {read['message'] or read['texts'][:3]}")
    segments = [unquote(one, errors="replace") for one in read["path"].split("/")[1:]]
    return reader(read, segments, visited)


def _search_page(read: Mapping[str, Any], _: list[str], __: frozenset[str]) -> Page:
    return SearchPage(_instruction(read))


def _results_page(read: Mapping[str, Any], segments: list[str], visited: frozenset[str]) -> Page:
    keywords, at = segments[2:]
    number = int(at)
    products = tuple(
        _product(asin, title=title, price_text=price, prices=parse_price(price)[0])
        for asin, title, price in read["products"]
    )
    total = _TOTAL.search(read["count"])
    if total is None:
        raise BrowserFailure(f"the results say {read['count']!r}; expected their number")
    asins = [""] * int(total[1])
    first = (number - 1) * PER_PAGE
    asins[first : first + len(products)] = [product.asin for product in products]
    words = links.read_keywords(keywords)
    return ResultsPage(_instruction(read), words, number, tuple(asins), products, visited)


def _item_page(read: Mapping[str, Any], segments: list[str], _: frozenset[str]) -> Page:
    asin, keywords, number, chosen = segments[2:]
    price = read["price"].removeprefix("Price: ")
    parts = {"title": read["title"], "price_text": price, "prices": parse_price(price)[0]}
    options = {group["name"]: tuple(group["values"]) for group in read["groups"]}
    selected = links.read_options(chosen)
    checked = {group["name"]: one for group in read["groups"] for one in group["chosen"]}
    if checked != selected:
        raise BrowserFailure(f"the page has {checked} selected, its address {selected}")
    return ItemPage(
        _instruction(read),
        links.read_keywords(keywords),
        int(number),
        _product(asin, options=options, **parts),
        selected,
        SUB_PAGES[-1] in read["buttons"],
    )


def _sub_page(read: Mapping[str, Any], segments: list[str], _: frozenset[str]) -> Page:
    asin, keywords, number, named, chosen = segments[2:]
    name = next(one for one in SUB_PAGES if one == named)
    details: list[str] = read["details"]
    parts: dict[str, Any] = {}
    match name:
        case "Description":
            parts["description"] = "".join(details)
        case "Features":
            parts["bullets"] = tuple(text[1:] for text in details)
        case "Attributes":
            filed = ("category", "query", "product_category")
            parts = dict(zip(filed, read["filed"], strict=True))
            parts["attributes"] = tuple(read["attributes"])
    return SubPage(
        _instruction(read),
        links.read_keywords(keywords),
        int(number),
        _product(asin, **parts),
        name,
        links.read_options(chosen),
    )


def _done_page(read: Mapping[str, Any], segments: list[str], _: frozenset[str]) -> Page:
    asin, options = segments[2:]
    return DonePage(asin, links.read_options(options), float(read["reward"]))


_READERS: dict[str, Callable[[Mapping[str, Any], list[str], frozenset[str]], Page]] = {
    "search-page": _search_page,
    "results-page": _results_page,
    "item-page": _item_page,
    "sub-page": _sub_page,
    "done-page": _done_page,
}


def _instruction(read: Mapping[str, Any]) -> str:
    """The text that follows `Instruction:`."""
    texts: list[str] = read["texts"]
    at = next((i for i, text in enumerate(texts) if text.strip() == "Instruction:"), None)
    if at is None or at + 1 >= len(texts):
        raise BrowserFailure("the page has no instruction")
    return texts[at + 1]


def _product(asin: str, **known: Any) -> Product:
    nothing: dict[str, Any] = {
        "title": "",
        "description": "",
        "bullets": (),
        "prices": (),
        "price_text": "",
        "options": {},
        "option_images": {},
        "attributes": (),
        "image": "",
        "category": "",
        "query": "",
        "product_category": "",
    }
    return Product(asin=asin, **{**nothing, **known})
