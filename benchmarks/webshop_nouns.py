"""How often the type reward depends on who finds the nouns of titles.

    python benchmarks/webshop_nouns.py [--finder NAME ...]

Pairs are made from the real catalogue of 1,000 products: every product of the 415 goals, bought for
its own goal, in place of any other (ten at random), and in place of the best ten hits for the
goal's instruction. For each finder besides the first (spaCy's small model) the share of pairs is
printed whose type reward (1, 0.5, 0.1 or 0) is another, and how many of those are from or to 0.

Finders are named as in the environment's argument `nouns`; `spacy:PACKAGE` is another model.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable

from sad_envs.base import EnvError
from sad_envs.webshop.catalogue import Catalogue, open_catalogue
from sad_envs.webshop.goals import Goal
from sad_envs.webshop.nouns import find_nouns
from sad_envs.webshop.reward import same_category, title_score, type_reward

RANDOM_PAIRS, HITS = 10, 10


def pairs(shop: Catalogue, goals: Iterable[Goal]) -> dict[str, list[tuple[Goal, str]]]:
    """Goals and asins bought, by kind of pair."""
    draw = random.Random(0)
    numbers = range(shop.store.info.products)
    made: dict[str, list[tuple[Goal, str]]] = {"own": [], "random": [], "search": []}
    for goal in goals:
        made["own"].append((goal, goal.asin))
        others = shop.store.asins(draw.sample(numbers, RANDOM_PAIRS))
        made["random"] += [(goal, asin) for asin in others]
        made["search"] += [(goal, asin) for asin in shop.search(goal.instruction.split(" "))[:HITS]]
    return made


def type_of(shop: Catalogue, goal: Goal, asin: str, nouns: dict[str, list[str]]) -> float:
    """The type reward of a pair."""
    product = shop.product(asin)
    return type_reward(
        title_score(nouns[asin], nouns[goal.asin]),
        product.query == goal.query,
        same_category(product.product_category, goal.product_category),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--finder", action="append", help="compare these with spaCy's small model")
    names = ["spacy", *(parser.parse_args().finder or ["builtin"])]
    shop = open_catalogue("1000", nouns="builtin")
    asins = shop.store.asins(range(shop.store.info.products))
    titles = [shop.product(asin).title for asin in asins]
    found: dict[str, dict[str, list[str]]] = {}
    for name in names:
        try:
            finder = find_nouns(name)
        except EnvError as error:
            print(f"left out: {name} ({error})")
            continue
        label = f"{finder.name} {finder.version}"
        found[label] = dict(zip(asins, finder.nouns(titles), strict=True))
    made = pairs(shop, shop.one_goal_each())
    (first, reference), *others = found.items()
    print(f"type reward beside {first}\n")
    print("| finder | pairs | number | another type reward | of those from or to 0 |")
    print("|---|---|---|---|---|")
    for label, nouns in others:
        for kind, some in made.items():
            both = [(type_of(shop, *pair, reference), type_of(shop, *pair, nouns)) for pair in some]
            differ = [pair for pair in both if pair[0] != pair[1]]
            zero = sum(0 in pair for pair in differ)
            share = f"{len(differ)} ({100 * len(differ) / len(both):.2f} %)"
            print(f"| {label} | {kind} | {len(both)} | {share} | {zero} |")


if __name__ == "__main__":
    main()
