"""Raw products, goals and releases for the tests of WebShop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sad_envs.webshop.goals import Goal
from sad_envs.webshop.products import Product, clean
from sad_envs.webshop.store import Release


def raw_product(asin: str = "B000000001", **changes: Any) -> dict[str, Any]:
    """A raw product as the release has it; `options` are given as lists of values."""
    options = changes.pop("options", {})
    return {
        "asin": asin,
        "name": "Red Coffee Mug",
        "full_description": "A mug for coffee.",
        "small_description": ["Holds 12 oz", "Dishwasher safe"],
        "pricing": "$12.50",
        "images": ["https://example.org/mug.jpg"],
        "category": "garden",
        "query": " Coffee Mugs ",
        "product_category": "Home › Kitchen › Mugs",
        "customization_options": {
            name: [{"value": value, "image": None} for value in values]
            for name, values in options.items()
        },
        **changes,
    }


def product(attributes: tuple[str, ...] = ("heat resistant",), **changes: Any) -> Product:
    """A product, cleaned."""
    made = clean(raw_product(**changes), {"attributes": list(attributes)})
    assert made is not None
    return made


def goal(**changes: Any) -> Goal:
    """A goal for the product above."""
    mug = product()
    plain = Goal(
        asin=mug.asin,
        category=mug.category,
        query=mug.query,
        name=mug.title,
        product_category=mug.product_category,
        instruction="i want a mug, and price lower than 30.00 dollars",
        attributes=("heat resistant",),
        price_upper=30.0,
        options=(),
    )
    return replace(plain, **changes)


def release(
    items: list[dict[str, Any]],
    attributes: Mapping[str, Any] | None = None,
    human: Mapping[str, Any] | None = None,
) -> Release:
    """A release in memory."""
    return Release(
        items=lambda: items,
        attributes=lambda: (attributes or {}).items(),
        human=lambda: (human or {}).items(),
    )


class WordNouns:
    """A noun finder for which every word is a noun."""

    name, version = "words", "1"

    def nouns(self, titles: Any) -> Any:
        return (title.lower().split() for title in titles)
