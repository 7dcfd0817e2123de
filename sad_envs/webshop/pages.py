"""The shop's pages as values, and what is on them: visible texts, things to click, addresses.

A page knows nothing of how it is shown. `nodes` lists its visible texts in the order of the page;
every view (plain text, HTML, the ReAct view) shows exactly these. Texts that consist of white space
are left out, as upstream's text extraction does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, TypeAlias, get_args

from sad_envs.webshop.goals import Goal
from sad_envs.webshop.products import Product
from sad_envs.webshop.reward import Reward

PER_PAGE = 10
"""Products on a page of results."""

SEARCH = "Search"
BACK_TO_SEARCH = "Back to Search"
PREVIOUS = "< Prev"
NEXT = "Next >"
BUY_NOW = "Buy Now"

SubPageName = Literal["Description", "Features", "Reviews", "Attributes"]
SUB_PAGES: tuple[SubPageName, ...] = get_args(SubPageName)

ADDRESS = "http://127.0.0.1:3000"
"""Where upstream's site is; mode `url` shows it."""


@dataclass(frozen=True, slots=True)
class SearchPage:
    """The start page."""

    instruction: str


@dataclass(frozen=True, slots=True)
class ResultsPage:
    """Results of a search.

    Attributes:
        number: of the page, from 1; pages beyond the last are empty.
        asins: all hits, best first.
        products: those on this page.
        visited: asins that were opened since the session began or went back to the search.
    """

    instruction: str
    keywords: tuple[str, ...]
    number: int
    asins: tuple[str, ...]
    products: tuple[Product, ...]
    visited: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ItemPage:
    """A product. `options` are those selected, name to value; `number` is the results page's."""

    instruction: str
    keywords: tuple[str, ...]
    number: int
    product: Product
    options: Mapping[str, str] = field(default_factory=dict)
    show_attributes: bool = False


@dataclass(frozen=True, slots=True)
class SubPage:
    """A page of details on a product."""

    instruction: str
    keywords: tuple[str, ...]
    number: int
    product: Product
    name: SubPageName
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DonePage:
    """After the purchase.

    The text environment tells the asin, the options and the reward. The site also fills in the
    rest: `product` bought, `goal`, `details` of the reward, and the `code` of the session.
    """

    asin: str
    options: Mapping[str, str]
    reward: float
    product: Product | None = None
    goal: Goal | None = None
    details: Reward | None = None
    code: str | None = None


Page: TypeAlias = SearchPage | ResultsPage | ItemPage | SubPage | DonePage


class Kind(Enum):
    """What a text on a page is."""

    TEXT = "text"
    BUTTON = "button"
    LABEL = "label"
    """An option's value."""
    LINK = "link"
    """A product's asin."""


@dataclass(frozen=True, slots=True)
class Node:
    """A visible text."""

    kind: Kind
    text: str


def nodes(page: Page) -> list[Node]:
    """The visible texts of a page in its order, as they stand in the HTML (not stripped)."""
    return [node for node in _all_nodes(page) if not node.text.isspace() and node.text]


def clickables(page: Page) -> tuple[str, ...]:
    """What can be clicked, in lower case, each once: buttons, then products, then option values.

    The start page's `search` button is left out, since it cannot be clicked there.
    """
    found = dict.fromkeys(button.lower() for button in buttons(page))
    if isinstance(page, ResultsPage):
        found |= dict.fromkeys(product.asin.lower() for product in page.products)
    elif isinstance(page, ItemPage):
        found |= dict.fromkeys(
            value for values in page.product.options.values() for value in values
        )
    return tuple(found)


def buttons(page: Page) -> tuple[str, ...]:
    """The buttons that can be clicked, as they are written and in the order of the page."""
    match page:
        case ResultsPage():
            return (BACK_TO_SEARCH, *((PREVIOUS,) if page.number > 1 else ()), NEXT)
        case ItemPage():
            shown = SUB_PAGES if page.show_attributes else SUB_PAGES[:-1]
            return (BACK_TO_SEARCH, PREVIOUS, *shown, BUY_NOW)
        case SubPage():
            return (BACK_TO_SEARCH, PREVIOUS)
        case _:
            return ()


def option_name(product: Product, value: str) -> str | None:
    """The option that a click on `value` sets: the last that offers it."""
    found = None
    for name, values in product.options.items():
        if value in values:
            found = name
    return found


def url(page: Page, sid: str) -> str:
    """The path of a page as upstream writes it: unescaped, the start page's is `/<sid>`."""
    match page:
        case SearchPage():
            return f"/{sid}"
        case ResultsPage():
            return f"/search_results/{sid}/{'+'.join(page.keywords)}/{page.number}"
        case ItemPage():
            where = f"{sid}/{page.product.asin}/{'+'.join(page.keywords)}/{page.number}"
            return f"/item_page/{where}/{json.dumps(dict(page.options))}"
        case SubPage():
            where = f"{sid}/{page.product.asin}/{'+'.join(page.keywords)}/{page.number}"
            return f"/item_sub_page/{where}/{page.name}/{dict(page.options)}"
        case DonePage():
            return f"/done/{sid}/{page.asin}/{dict(page.options)}"


def _all_nodes(page: Page) -> Iterator[Node]:
    match page:
        case SearchPage():
            yield from _texts("WebShop", "Instruction: ", page.instruction)
            yield Node(Kind.BUTTON, SEARCH)
        case ResultsPage():
            yield from _head(page.instruction)
            yield from _texts(f"Page {page.number} (Total results: {len(page.asins)})")
            yield from (Node(Kind.BUTTON, name) for name in buttons(page)[1:])
            for product in page.products:
                yield Node(Kind.LINK, product.asin)
                yield from _texts(product.title, product.price_text)
        case ItemPage():
            yield from _head(page.instruction)
            yield from _item_nodes(page)
        case SubPage():
            yield from _head(page.instruction)
            yield Node(Kind.BUTTON, PREVIOUS)
            yield from _texts(*details(page.product, page.name))
        case DonePage():
            yield from _texts(*done_texts(page))


def details(product: Product, name: SubPageName) -> tuple[str, ...]:
    """The texts of a page of details; bullets begin with a space. Reviews are always empty."""
    match name:
        case "Description":
            return (product.description,)
        case "Features":
            return tuple(f" {bullet}" for bullet in product.bullets)
        case "Reviews":
            return ()
        case "Attributes":
            return (*product.attributes, product.category, product.query, product.product_category)


def _head(instruction: str) -> Iterator[Node]:
    yield from _texts("Instruction:", instruction)
    yield Node(Kind.BUTTON, BACK_TO_SEARCH)


def _item_nodes(page: ItemPage) -> Iterator[Node]:
    yield Node(Kind.BUTTON, PREVIOUS)
    for name, values in page.product.options.items():
        yield Node(Kind.TEXT, name)
        yield from (Node(Kind.LABEL, value) for value in values)
    yield from _texts(page.product.title, f"Price: {page.product.price_text}", "Rating: N.A.")
    yield from (Node(Kind.BUTTON, name) for name in buttons(page)[2:])


def done_texts(page: DonePage) -> Iterator[str]:
    """Texts of the last page, in upstream's words and spelling."""
    product, goal = page.product, page.goal
    yield "Thank you for shopping with us!"
    yield from ("Your code:", str(page.code), "(Paste it in your MTurk interface.)")
    yield from ("Purchased", "asin", page.asin, "options", json.dumps(dict(page.options)))
    yield from ("attrs", _listed(product.attributes if product else None))
    yield from ("category", str(product.category if product else None))
    yield from ("query", str(product.query if product else None))
    yield from ("product category", str(product.product_category if product else None))
    yield from ("Target", "asin", goal.asin if goal else "")
    yield from ("options", _goal_options(goal) if goal else "")
    yield from ("attrs", _listed(goal.attributes) if goal else "")
    yield from ("price upper", str(goal.price_upper) if goal else "")
    yield from ("instuction text", goal.instruction if goal else "")
    yield from ("category", goal.category if goal else "")
    yield from ("product category", goal.product_category if goal else "")
    yield from ("query", goal.query if goal else "")
    yield from ("Goal", "None" if goal is None else json.dumps(goal.record()))
    yield from ("Reward", "Your score (min 0.0, max 1.0)", str(page.reward))
    yield from ("Reward Details", json.dumps(page.details.record()) if page.details else "None")


def _listed(attributes: tuple[str, ...] | None) -> str:
    return "None" if attributes is None else json.dumps(list(attributes))


def _goal_options(goal: Goal) -> str:
    return json.dumps(goal.record()["goal_options"])


def _texts(*texts: str) -> Iterator[Node]:
    return (Node(Kind.TEXT, text) for text in texts)
