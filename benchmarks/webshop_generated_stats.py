"""A generated shop beside the release of 1,000 products: titles, options, attributes, prices.

    python benchmarks/webshop_generated_stats.py [--seed S]

The release is that of `harness data fetch webshop`. Both sides go through the same loader; printed
are tables in Markdown. Percentiles are the 10th, 25th, 50th, 75th and 90th.

- goals of the release are one for each product with a synthetic instruction, as its splits have
  them;
- among the first three, on the first page: goals whose product the plain request finds there.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from sad_envs.webshop.catalogue import Catalogue, generated_catalogue, open_catalogue
from sad_envs.webshop.generate import generated_goals
from sad_envs.webshop.goals import Goal
from sad_envs.webshop.pages import PER_PAGE
from sad_envs.webshop.products import NO_PRICE, Product
from sad_envs.webshop.queries import first_query
from sad_envs.webshop.react import SHOWN_PRODUCTS
from sad_envs.webshop.wares import wares

T = TypeVar("T")

PERCENTILES = (10, 25, 50, 75, 90)
CATEGORIES = ("beauty", "electronics", "fashion", "garden", "grocery")

NUMBERS: dict[str, Callable[[Product], float]] = {
    "words in the title": lambda one: len(one.title.split()),
    "characters in the title": lambda one: len(one.title),
    "characters in the description": lambda one: len(one.description),
    "bullets": lambda one: len(one.bullets),
    "attributes": lambda one: len(one.attributes),
    "price, dollars": lambda one: one.prices[0],
}
SHARES: dict[str, Callable[[Product], bool]] = {
    "without options": lambda one: not one.options,
    "with one option": lambda one: len(one.options) == 1,
    "with two options": lambda one: len(one.options) == 2,
    "with three or more": lambda one: len(one.options) > 2,
    "with a price range": lambda one: len(one.prices) == 2,
    "at $100, as without a price": lambda one: one.prices == (NO_PRICE,),
    "without a description": lambda one: not one.description.strip(),
}


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    real, made = open_catalogue("1000", nouns="builtin"), generated_catalogue(seed)
    shops = {"release": real, f"generated:{seed}": made}
    products = {name: _products(shop) for name, shop in shops.items()}
    goals = {"release": real.one_goal_each(), f"generated:{seed}": generated_goals(seed, 1000)}

    heading("products", *(f"{p}%" for p in PERCENTILES))
    for what, measure in NUMBERS.items():
        for name, these in products.items():
            row(f"{what}, {name}", *percentiles(measure(one) for one in these))
    for name, these in products.items():
        sizes = (len(values) for one in these for values in one.options.values())
        row(f"values of an option, {name}", *percentiles(sizes))

    heading("share of products", *shops)
    for category in CATEGORIES:
        row(
            category,
            *(share([one.category for one in p], category.__eq__) for p in products.values()),
        )
    for what, holds in SHARES.items():
        row(what, *(share(these, holds) for these in products.values()))

    heading("goals", *shops)
    row("goals", *(len(these) for these in goals.values()))
    for number in (1, 2, 3, 4):
        row(
            f"with {number} attribute{'s' if number > 1 else ''}",
            *(
                share([len(one.attributes) for one in these], number.__eq__)
                for these in goals.values()
            ),
        )
    row("with more", *(share(g, lambda one: len(one.attributes) > 4) for g in goals.values()))
    row("with options", *(share(g, lambda one: bool(one.options)) for g in goals.values()))
    row(
        "words in the instruction, median",
        *(statistics.median(len(g.instruction.split()) for g in these) for these in goals.values()),
    )
    for what, most in (("among the first three", SHOWN_PRODUCTS), ("on the first page", PER_PAGE)):
        row(what, *(f"{100 * found(shops[n], goals[n], most):.0f}%" for n in shops))
    families(seed)


def _products(shop: Catalogue) -> list[Product]:
    return [shop.product(asin) for asin in shop.store.asins(range(shop.store.info.products))]


def families(seed: int) -> None:
    """What the near-duplicates of a generated shop differ in, of how many products."""
    groups = defaultdict(list)
    for ware in wares(seed):
        groups[ware.family].append(ware)
    several = [group for group in groups.values() if len(group) > 1]
    heading("near-duplicates", f"generated:{seed}")
    row("products with one", sum(map(len, several)))
    for what, field in (("attribute", "attributes"), ("option", "options"), ("price", "cents")):
        differing = (len({repr(getattr(one, field)) for one in group}) > 1 for group in several)
        row(f"families that differ in {what}", sum(differing))


def found(shop: Catalogue, goals: Sequence[Goal], most: int) -> float:
    """The share of goals whose product is among the first `most` hits of the plain request."""
    hits = (shop.search((first_query(goal.instruction),))[:most] for goal in goals)
    return sum(goal.asin in these for goal, these in zip(goals, hits, strict=True)) / len(goals)


def percentiles(values: Iterable[float]) -> list[str]:
    """The percentiles of `values`, as text."""
    ordered = sorted(values)
    return [f"{ordered[len(ordered) * p // 100]:g}" for p in PERCENTILES]


def share(these: Sequence[T], holds: Callable[[T], bool]) -> str:
    """The share of `these` for which `holds`, in percent."""
    return f"{100 * sum(map(holds, these)) / len(these):.0f}%"


def heading(*cells: str) -> None:
    """Begin a table."""
    print(f"\n| {' | '.join(cells)} |\n|{'---|' * len(cells)}")


def row(*cells: object) -> None:
    """A line of a table."""
    print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
