"""What generated shops are made of, read from `vocabulary.toml` and `kinds.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Category:
    """How much the products of a category vary.

    Attributes:
        share: its weight among the categories.
        words: a title's number of words: tenth, quarter, half, three quarters, nine tenths.
        groups: weights of having no, one, two, three option groups.
        ranges, unpriced: percent of products with a price range, and without a price.
        is_: attributes of the form "is ...".
        tails: ends of sentences about an attribute.
    """

    name: str
    share: int
    crumbs: str
    words: tuple[int, ...]
    groups: tuple[int, ...]
    ranges: int
    unpriced: int
    is_: tuple[str, ...]
    tails: tuple[str, ...]


@dataclass(frozen=True)
class OptionGroup:
    """An option: the values products choose from, and how a shopper says one.

    Attributes:
        most: values of a product at most.
        run: whether a product's values are neighbours.
    """

    name: str
    most: int
    run: bool
    values: tuple[str, ...]
    says: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of product. `for_` and `with_` are attributes of these forms, as `is_` is."""

    category: Category
    query: str
    crumbs: str
    nouns: tuple[str, ...]
    ask: str
    is_: tuple[str, ...]
    for_: tuple[str, ...]
    with_: tuple[str, ...]
    uses: tuple[str, ...]
    extras: tuple[str, ...]
    options: tuple[OptionGroup, ...]
    price: tuple[int, int]

    @property
    def attributes(self) -> tuple[str, ...]:
        """All attributes its products can have."""
        return self.is_ + self.for_ + self.with_


@lru_cache(maxsize=1)
def kinds() -> tuple[Kind, ...]:
    """All kinds, in the order of the file."""
    shared = _read("vocabulary.toml")
    categories = {
        name: Category(
            name=name, is_=tuple(one.pop("is")), **{key: _fixed(one[key]) for key in one}
        )
        for name, one in shared["category"].items()
    }
    groups = {
        key: OptionGroup(**{"run": False, **{name: _fixed(one[name]) for name in one}})
        for key, one in shared["option"].items()
    }
    return tuple(
        Kind(
            category=categories[one["category"]],
            query=one["query"],
            crumbs=f"{categories[one['category']].crumbs} › {one['crumbs']}",
            nouns=tuple(one["nouns"]),
            ask=one["ask"],
            is_=tuple(one.get("is", ())) + categories[one["category"]].is_,
            for_=tuple(one["for"]),
            with_=tuple(one["with"]),
            uses=tuple(one["uses"]),
            extras=tuple(one["extras"]),
            options=tuple(groups[key] for key in one["options"]),
            price=(one["price"][0], one["price"][1]),
        )
        for one in _read("kinds.toml")["kind"]
    )


def _read(name: str) -> dict[str, Any]:
    text = resources.files("sad_envs.webshop").joinpath(name).read_text("utf-8")
    return tomllib.loads(text)


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
