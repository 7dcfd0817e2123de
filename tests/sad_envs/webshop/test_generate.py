"""Generated shops: the same for everybody, of the release's form, and every goal winnable."""

from __future__ import annotations

import hashlib
import json
import statistics
import subprocess
import sys
from collections import Counter, defaultdict

import pytest

from sad_envs.webshop.catalogue import Catalogue, generated_catalogue
from sad_envs.webshop.generate import generated_goals, generated_shop
from sad_envs.webshop.goals import NO_CEILING, Goal
from sad_envs.webshop.products import clean
from sad_envs.webshop.reward import matched_attributes
from sad_envs.webshop.vocabulary import kinds
from sad_envs.webshop.wares import wares

SEEDS = (0, 7)
DIGEST = """
import hashlib
from sad_envs.webshop.generate import generated_goals, generated_shop
told = repr((generated_shop(5), generated_goals(5, 200)))
print(hashlib.sha256(told.encode()).hexdigest())
"""
CATEGORIES = {"beauty", "fashion", "garden", "electronics", "grocery"}


def test_same_seed_gives_the_same_bytes_in_another_process() -> None:
    told = repr((generated_shop(5), generated_goals(5, 200)))
    there = subprocess.run(
        [sys.executable, "-c", DIGEST],
        env={"PYTHONHASHSEED": "17"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == hashlib.sha256(told.encode()).hexdigest()


def test_the_bytes_of_a_seed_stay() -> None:
    told = json.dumps(generated_shop(0).items[:50])
    said = json.dumps([goal.instruction for goal in generated_goals(0, 50)])
    digest = hashlib.sha256((told + said).encode()).hexdigest()
    assert digest[:16] == "badf6c1b9086e5d4", (
        "a changed shop needs a new version of the environment"
    )


def test_another_seed_is_another_shop() -> None:
    first, second = ({item["name"] for item in generated_shop(seed).items} for seed in SEEDS)
    assert len(first & second) < 10


def test_more_goals_begin_with_the_fewer() -> None:
    assert generated_goals(3, 60)[:20] == generated_goals(3, 20)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_shop_has_a_thousand_products_in_five_categories(seed: int) -> None:
    items = generated_shop(seed).items
    assert len({item["asin"] for item in items}) == len(items) == 1000
    counts = Counter(item["category"] for item in items)
    assert set(counts) == CATEGORIES
    assert min(counts.values()) > 60


@pytest.mark.parametrize("seed", SEEDS)
def test_records_are_of_the_releases_form(seed: int) -> None:
    shop = generated_shop(seed)
    for item in shop.items:
        product = clean(item, shop.attributes[item["asin"]])
        assert product is not None
        assert len(product.asin) == 10
        assert product.title
        assert product.bullets
        assert product.image
        assert " › " in product.product_category
        assert product.attributes == tuple(shop.attributes[product.asin]["attributes"])
        values = [value for group in product.options.values() for value in group]
        assert len(values) == len(set(values))
        assert all(len(group) >= 2 for group in product.options.values())


def test_titles_and_prices_are_spread() -> None:
    items = generated_shop(0).items
    words = sorted(len(item["name"].split()) for item in items)
    assert 12 < statistics.median(words) < 22
    assert words[100] < 11
    assert words[900] > 24
    prices = Counter(item["pricing"].count("$") for item in items)
    assert prices[1] > 700
    assert prices[2] > 50
    assert prices[0] > 30
    groups = Counter(len(item["customization_options"] or {}) for item in items)
    assert set(groups) == {0, 1, 2, 3}


def test_near_duplicates_differ_in_one_thing() -> None:
    families = defaultdict(list)
    for ware in wares(0):
        families[ware.family].append((ware.attributes, ware.options, ware.cents))
    twists: Counter[int] = Counter()
    whole = 0
    for members in families.values():
        differ = [
            [[i for i in range(3) if one[i] != other[i]] for other in members] for one in members
        ]
        # One of them is what the others were made of, unless the shop's end has cut it off.
        first = min(differ, key=lambda ways: max(map(len, ways)))
        whole += all(len(ways) <= 1 for ways in first)
        twists.update(way for ways in first for way in ways)
    assert whole >= len(families) - 1
    assert min(twists[i] for i in range(3)) > 30


def test_texts_name_the_attributes_a_product_has_and_no_others() -> None:
    shop = generated_shop(0)
    by_query = {kind.query: kind for kind in kinds()}
    for item in shop.items[:300]:
        has = shop.attributes[item["asin"]]["attributes"]
        bare = clean(item, {"attributes": []})
        assert bare is not None
        assert matched_attributes(bare, has) == len(has)
        lacks = [one for one in by_query[bare.query].attributes if one not in has]
        assert matched_attributes(bare, lacks) == 0, (bare.title, lacks)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_goal_can_be_won(seed: int) -> None:
    shop = generated_catalogue(seed)
    for goal in generated_goals(seed, 1000):
        product = shop.product(goal.asin)
        chosen = {
            name: value
            for name, values in product.options.items()
            for value in values
            if value in goal.option_values
        }
        assert shop.reward(goal, goal.asin, chosen).total == 1.0, goal


def test_goals_are_of_both_manners_and_state_what_they_ask_for() -> None:
    goals = generated_goals(0, 1000)
    assert len({goal.instruction for goal in goals}) == len(goals)
    synthetic = [goal for goal in goals if goal.instruction.startswith("Find me ")]
    assert 350 < len(synthetic) < 650
    for goal in goals:
        assert goal.attributes
        assert all(value in goal.instruction for value in goal.option_values)
        assert all(attribute in goal.instruction for attribute in goal.attributes)
        assert goal.price_upper == NO_CEILING or goal.instruction.endswith(
            f", and price lower than {goal.price_upper:.2f} dollars"
        )


def test_the_thing_asked_for_tells_near_duplicates_apart() -> None:
    """Of the goals on products with siblings, many can be won with one member only."""
    shop = generated_catalogue(0)
    family = {ware.asin: ware.family for ware in wares(0)}
    members = defaultdict(list)
    for asin, number in family.items():
        members[number].append(asin)
    told = several = 0
    for goal in generated_goals(0, 300):
        siblings = [one for one in members[family[goal.asin]] if one != goal.asin]
        if not siblings:
            continue
        several += 1
        told += all(_best(shop, goal, one) < 1.0 for one in siblings)
    assert several > 100
    assert told > 0.5 * several


def _best(shop: Catalogue, goal: Goal, asin: str) -> float:
    options = {
        name: value
        for name, values in shop.product(asin).options.items()
        for value in values
        if value in goal.option_values
    }
    return shop.reward(goal, asin, options).total
