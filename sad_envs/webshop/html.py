"""Pages as HTML: what the site serves and mode `html` shows.

The visible texts are those of `sad_envs.webshop.pages.nodes`, in that order and letter by letter;
what a page needs besides (names of fields, a way past the header) is in attributes, so that text
extraction does not see it. Ids and classes are those that clients of upstream's site look for. All
texts are escaped. Nothing but the session's own purchase page tells of goal or reward.

Product pictures are addresses on other people's servers. Unless `images` is on, a page shows a
drawing of the product's category instead, and keeps the address in `data-image`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from sad_envs.webshop import links
from sad_envs.webshop.pages import (
    SUB_PAGES,
    DonePage,
    ItemPage,
    Page,
    ResultsPage,
    SearchPage,
    SubPage,
    details,
    done_texts,
)

FOLDER = Path(__file__).parent / "site"
STATIC = "/static"
"""Where the site serves style, script and drawings."""

CATEGORIES = ("beauty", "electronics", "fashion", "garden", "grocery")

_TEMPLATES = {
    SearchPage: "search.html",
    ResultsPage: "results.html",
    ItemPage: "item.html",
    SubPage: "sub_page.html",
    DonePage: "done.html",
}
_DONE_TEXTS = """
thanks code_label code code_hint purchased asin_label asin options_label options attrs_label attrs
category_label category query_label query pc_label pc target goal_asin_label goal_asin
goal_options_label goal_options goal_attrs_label goal_attrs goal_price_label goal_price
goal_instruction_label goal_instruction goal_category_label goal_category goal_pc_label goal_pc
goal_query_label goal_query goal_label goal reward_label score_label score details_label details
"""
_DONE = tuple(_DONE_TEXTS.split())
"""Names for the texts of the last page, in the order of `done_texts`."""


def render_page(page: Page, sid: str, *, images: bool = False) -> str:
    """The whole HTML of a page in the session `sid`."""
    values: dict[str, Any] = {"page": page, "sid": sid, "images": images}
    if isinstance(page, ItemPage):
        values["sub_pages"] = SUB_PAGES if page.show_attributes else SUB_PAGES[:-1]
        chosen = [page.product.option_images.get(value) for value in page.options.values()]
        values["picture"] = next(filter(None, reversed(chosen)), page.product.image)
    elif isinstance(page, SubPage):
        values["texts"] = details(page.product, page.name)
    elif isinstance(page, DonePage):
        values["done"] = dict(zip(_DONE, done_texts(page), strict=True))
    return _templates().get_template(_TEMPLATES[type(page)]).render(values)


def render_error(status: int, reason: str) -> str:
    """The page for an address that leads nowhere; `reason` is one line."""
    return _templates().get_template("error.html").render(status=status, reason=reason)


@cache
def _templates() -> Environment:
    env = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_text,
    )
    env.globals |= {
        "links": links,
        "static": STATIC,
        "drawing": _drawing,
    }
    return env


def _text(value: Any) -> Any:
    """Escape; a carriage return as a reference, since parsers turn a bare one into a line feed."""
    if isinstance(value, str) and "\r" in value and not isinstance(value, Markup):
        return Markup(str(escape(value)).replace("\r", "&#13;"))
    return value


def _drawing(category: str) -> str:
    """The address of the drawing for a category."""
    name = category if category in CATEGORIES else "product"
    return f"{STATIC}/{name}.svg"
