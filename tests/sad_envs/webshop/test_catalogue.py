"""Search, prices and goals of a catalogue."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from shop_parts import goal, raw_product, release

from sad_envs.webshop.catalogue import Catalogue

MakeShop = Callable[..., Catalogue]

ITEMS = [
    raw_product("B3", name="Red Mug", category="garden"),
    raw_product("B1", name="Blue Mug", category="beauty", pricing="$10 - $20"),
    raw_product("B2", name="Blue Mug", category="garden", query="Blue mugs"),
]


@pytest.fixture
def shop(make_shop: MakeShop) -> Catalogue:
    attributes = {asin: {"attributes": ["easy clean", asin]} for asin in ("B1", "B3")}
    return make_shop(release(ITEMS, attributes))


def test_equal_scores_come_in_the_order_of_asins(shop: Catalogue) -> None:
    assert shop.search(["blue"]) == ("B1", "B2")


def test_at_most_fifty_are_found(make_shop: MakeShop) -> None:
    many = make_shop(release([raw_product(f"B{number:03}") for number in range(60)]))
    assert len(many.search(["mug"])) == 50
    assert len(many.search(["<c>", "garden"])) == 60


@pytest.mark.parametrize("words", [["the"], ["zzz"], [""], ["", ""], ["\ud800"], []])
def test_nothing_is_found_for_unknown_words(shop: Catalogue, words: list[str]) -> None:
    assert shop.search(words) == ()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["<a>", "easy", "clean"], ("B3", "B1")),
        (["<a>", "easy"], ()),
        (["<c>", "garden", "ignored"], ("B3", "B2")),
        (["<c>"], ()),
        (["<q>", "blue", "mugs"], ("B2",)),
        (["<q>"], ()),
    ],
)
def test_special_first_words_list_products_in_load_order(
    shop: Catalogue, words: list[str], found: tuple[str, ...]
) -> None:
    assert shop.search(words) == found


def test_a_random_sample_is_the_same_for_the_same_draw(make_shop: MakeShop) -> None:
    many = make_shop(release([raw_product(f"B{number:03}") for number in range(60)]))
    one, other = many.search(["<r>"], "one"), many.search(["<r>"], "other")
    assert one == many.search(["<r>"], "one")
    assert one != other
    assert len(set(one)) == 50


def test_a_random_sample_of_a_small_shop_has_all(shop: Catalogue) -> None:
    assert sorted(shop.search(["<r>"], "x")) == ["B1", "B2", "B3"]


def test_prices_within_a_range_are_upstreams_after_seeding(make_shop: MakeShop) -> None:
    random.seed(5)
    expected = random.uniform(10.0, 20.0)
    seeded = make_shop(release(ITEMS), price_seed=5)
    assert seeded.price("B1") == expected
    assert seeded.price("B2") == 12.5


WISH = {"instruction": "Find a mug", "instruction_attributes": ["red"], "attributes": ["red"]}


def upstream_goals(items: list[dict[str, Any]], seed: int) -> list[tuple[str, float]]:
    """Asins and ceilings as upstream draws them, written down plainly."""
    random.seed(seed)
    prices = {}
    for item in items:
        found = [float(part) for part in item["pricing"].replace("$", "").split(" - ")]
        prices[item["asin"]] = random.uniform(*found) if len(found) == 2 else found[0]
    goals = []
    for item in items:
        candidates = [step for step in range(10, 1000, 10) if step > prices[item["asin"]]][:4]
        goals.append((item["asin"], float(sorted(random.sample(candidates, 2))[1])))
    random.seed(233)
    random.shuffle(goals)
    return goals


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_goals_are_upstreams_after_seeding(make_shop: MakeShop, seed: int) -> None:
    items = [
        raw_product(f"B{n:02}", pricing=f"${n + 1} - ${3 * n + 2}" if n % 2 else f"${n}")
        for n in range(30)
    ]
    shop = make_shop(release(items, {item["asin"]: WISH for item in items}), price_seed=seed)
    made = [(one.asin, one.price_upper) for one in shop.synthetic_goals()]
    assert made == upstream_goals(items, seed)


def test_the_order_of_goals_does_not_depend_on_the_price_seed(make_shop: MakeShop) -> None:
    items = [raw_product(f"B{n:02}") for n in range(30)]
    wishes = {item["asin"]: WISH for item in items}
    one = make_shop(release(items, wishes), price_seed=0).synthetic_goals()
    other = make_shop(release(items, wishes), price_seed=1).synthetic_goals()
    assert [goal.asin for goal in one] == [goal.asin for goal in other]
    assert one != other


def test_one_goal_each_is_one_of_all(make_shop: MakeShop) -> None:
    items = [raw_product(f"B{n:02}", options={"Size": ["S", "M", "L"]}) for n in range(9)]
    shop = make_shop(release(items, {item["asin"]: WISH for item in items}))
    chosen = shop.one_goal_each()
    assert [one.asin for one in chosen] == [item["asin"] for item in items]
    assert {one.instruction for one in chosen} <= {
        one.instruction for one in shop.synthetic_goals()
    }
    assert len({one.options for one in chosen}) > 1


def test_human_goals_come_in_the_order_of_products(make_shop: MakeShop) -> None:
    asked = {"instruction_attributes": ["red"], "instruction_options": []}
    human = {
        "B1": [{**asked, "instruction": "one"}, {**asked, "instruction": "two"}],
        "B3": [{**asked, "instruction": "three"}],
        "B9": [{**asked, "instruction": "of a product that is not there"}],
    }
    shop = make_shop(release(ITEMS, human=human))
    told = [one.instruction.partition(",")[0] for one in shop.human_goals()]
    expected = ["three", "one", "two"]
    random.Random(233).shuffle(expected)
    assert told == expected


def test_the_reward_takes_price_and_nouns_from_the_store(shop: Catalogue) -> None:
    wish = goal(asin="B2", name="Blue Mug", attributes=("easy clean",), price_upper=12.5)
    assert shop.reward(wish, "B2", {}).title_score == 1.0
    assert shop.reward(wish, "B2", {}).total == 0.5
    assert shop.reward(wish, "B3", {}).title_score == 0.5
    assert shop.reward(wish, "B3", {}).total == 1.0
