"""Goals and their draws, against upstream's way of making them."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from shop_parts import goal

from sad_envs.webshop.goals import (
    NO_CEILING,
    Origin,
    ceilings,
    draw_ceiling,
    human_goals,
    in_order,
    synthetic_goals,
    weighted,
)


def origin(asin: str = "B1", price: float = 24.99, **options: tuple[str, ...]) -> Origin:
    return Origin(asin, "garden", "mugs", "Mug", "Home › Mugs", price, options)


@pytest.mark.parametrize(
    ("price", "candidates"),
    [
        (24.99, [30, 40, 50, 60]),
        (10.0, [20, 30, 40, 50]),
        (979.99, [980, 990]),
        (980.0, [990]),
        (990.0, []),
    ],
)
def test_candidates_are_the_next_four_tens(price: float, candidates: list[int]) -> None:
    assert ceilings(price) == candidates


def test_the_ceiling_is_never_the_nearest_ten() -> None:
    drawn = {draw_ceiling(24.99, random.Random(seed)) for seed in range(200)}
    assert {ceiling for ceiling, _ in drawn} == {40.0, 50.0, 60.0}
    assert (40.0, ", and price lower than 40.00 dollars") in drawn


def test_expensive_products_have_no_clause_and_take_no_draw() -> None:
    draw = random.Random(0)
    assert draw_ceiling(980.0, draw) == (NO_CEILING, "")
    assert draw.getstate() == random.Random(0).getstate()


def record(instruction: str = "..a mug.", attributes: tuple[str, ...] = ("red",)) -> dict[str, Any]:
    return {
        "instruction": instruction,
        "instruction_attributes": list(attributes),
        "instruction_options": ["8 oz"],
    }


def test_human_goals_lose_their_periods_and_keep_option_values() -> None:
    (made,) = human_goals([(origin(price=985.0), record())], random.Random(0))
    assert (made.instruction, made.options) == ("a mug", ("8 oz",))


def test_human_instructions_without_attributes_are_left_out_before_any_draw() -> None:
    empty, full = record(attributes=()), record()
    one = list(human_goals([(origin(), empty), (origin(), full)], random.Random(1)))
    other = list(human_goals([(origin(), full)], random.Random(1)))
    assert one == other


def test_two_instructions_of_a_product_have_ceilings_of_their_own() -> None:
    made = list(human_goals([(origin(), record())] * 20, random.Random(0)))
    assert len({one.price_upper for one in made}) > 1


def test_synthetic_goals_are_all_combinations_in_the_order_of_names() -> None:
    product = origin(price=985.0, size=("s", "m"), color=("red", "blue"))
    (group,) = synthetic_goals([(product, record("Find a mug"))], random.Random(0))
    assert [one.instruction for one in group] == [
        "Find a mug with color: red, and size: s",
        "Find a mug with color: red, and size: m",
        "Find a mug with color: blue, and size: s",
        "Find a mug with color: blue, and size: m",
    ]
    assert group[0].options == (("color", "red"), ("size", "s"))
    assert group[0].option_values == ("red", "s")


def test_a_product_without_options_has_one_synthetic_goal() -> None:
    (group,) = synthetic_goals([(origin(price=985.0), record("Find a mug"))], random.Random(0))
    assert [one.instruction for one in group] == ["Find a mug"]


def test_one_ceiling_is_drawn_for_all_combinations() -> None:
    product = origin(size=("s", "m", "l"))
    (group,) = synthetic_goals([(product, record())], random.Random(0))
    assert len({one.price_upper for one in group}) == 1


def test_weights_are_means_of_inverse_counts() -> None:
    made = weighted([goal(attributes=("a", "b")), goal(attributes=("a",)), goal(attributes=("a",))])
    assert [one.weight for one in made] == [(1 / 3 + 1) / 2, 1 / 3, 1 / 3]


def test_the_order_is_that_of_upstreams_seeded_shuffle() -> None:
    made = in_order([goal(asin=f"B{number}") for number in range(50)])
    expected = [f"B{number}" for number in range(50)]
    random.seed(233)
    random.shuffle(expected)
    assert [one.asin for one in made] == expected
    assert [one.index for one in made] == list(range(50))


def test_draws_are_those_of_upstream_after_seeding() -> None:
    prices = [12.0, 985.0, 24.99, 300.0]
    random.seed(7)
    expected = []
    for price in prices:
        candidates = [step for step in range(10, 1000, 10) if step > price][:4]
        if len(candidates) >= 2:
            _, upper = sorted(random.sample(candidates, 2))
            expected.append(float(upper))
        else:
            expected.append(1000000.0)
    records = [(origin(price=price), record()) for price in prices]
    assert [one.price_upper for one in human_goals(records, random.Random(7))] == expected


def test_ids_are_asin_and_index() -> None:
    assert [one.task_id for one in in_order([goal(asin="B7")])] == ["B7-0"]


def test_a_record_has_upstreams_field_names() -> None:
    pairs = goal(options=(("color", "red"),)).record()
    assert pairs["goal_options"] == {"color": "red"}
    assert goal(options=("red",)).record()["goal_options"] == ["red"]
    assert list(itertools.islice(pairs, 6)) == [
        *("asin", "category", "query", "name", "product_category", "instruction_text"),
    ]
