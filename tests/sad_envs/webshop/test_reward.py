"""The reward: upstream's own examples, logs of human shoppers, and the quirks."""

from __future__ import annotations

import pytest
from shop_parts import goal, product

from sad_envs.webshop.reward import (
    Reward,
    matched_attributes,
    matched_options,
    normalise,
    reward,
    same_category,
    title_score,
    type_reward,
)


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("violet lavender", "lavender"),
        ("steelivy fuchsia", "fuchsia"),
        ("123alabaster", "alabaster"),
        ("webshop", "webshop"),
        ("", ""),
        ("standard", "tan"),
    ],
)
def test_the_first_colour_of_the_list_stands_for_the_text(text: str, colour: str) -> None:
    assert normalise(text) == colour


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("a › b › c", "b › c › a", True),
        ("a › b › c", "a › a › b", True),
        ("a › b › c", "a › a › d", False),
        ("a › b › c", "d › e › f", False),
    ],
)
def test_categories_agree_in_two_distinct_elements(first: str, second: str, same: bool) -> None:
    assert same_category(first, second) is same


WANTED = ("tea tree", "essential oils", "natural ingredients")


def test_attributes_match_fuzzily() -> None:
    shampoo = product(attributes=("tea tree", "essential oil", "natural ingredients"))
    assert matched_attributes(shampoo, WANTED) == 3


def test_attributes_match_in_bullets_and_description() -> None:
    shampoo = product(
        attributes=(),
        name="Shampoo",
        small_description=["This shampoo has essential oils and smells like lemons"],
        full_description="This shampoo is made with natural ingredients",
    )
    assert matched_attributes(shampoo, WANTED) == 2


def test_a_wanted_attribute_is_looked_for_as_it_is_written() -> None:
    assert matched_attributes(product(attributes=(), name="Tea Tree oil"), ("Tea Tree",)) == 0


@pytest.mark.parametrize(
    ("chosen", "wanted", "matched"),
    [
        (["pack of 12", "powder snow", "XL"], ("cool powder snow", "XL", "pack of 12"), 3),
        (["pack of 12", "blue", "XL"], ("grey", "XL", "pack of 12"), 2),
        (["red"], (), 0),
        ([], ("red", "XL"), 0),
    ],
)
def test_options_match_in_any_order(
    chosen: list[str], wanted: tuple[str, ...], matched: int
) -> None:
    assert matched_options(chosen, wanted) == matched


def test_a_colour_word_that_is_no_colour_fails_as_a_pair_and_works_as_a_value() -> None:
    assert matched_options(["titanium"], (("color", "titanium"),)) == 0
    assert matched_options(["titanium"], ("titanium",)) == 1
    assert matched_options(["navy"], (("color", "navy"),)) == 1


@pytest.mark.parametrize(
    ("score", "query", "category", "expected"),
    [
        (0.3, False, False, 1),
        (0.2, False, False, 0.5),
        (0.2, True, False, 1),
        (0.1, False, False, 0.5),
        (0.1, True, True, 1),
        (0.0909, True, True, 0.1),
        (0.0, True, True, 0),
    ],
)
def test_the_type_reward_by_title_query_and_category(
    score: float, query: bool, category: bool, expected: float
) -> None:
    assert type_reward(score, query, category) == expected


def test_a_title_counts_common_nouns_once_and_the_goals_as_often_as_they_occur() -> None:
    assert title_score(["mug", "mug", "red"], ["mug", "mug", "red"]) == pytest.approx(2 / 3)


def test_a_goal_without_nouns_gives_half() -> None:
    assert type_reward(title_score(["mug"], []), query_match=False, category_match=False) == 0.5


def buy(
    attributes: tuple[str, ...],
    wanted: tuple[str, ...],
    chosen: list[str],
    asked: tuple[str, ...],
    *,
    price: float = 20.0,
    ceiling: float = 30.0,
    query: str = "coffee mugs",
    nouns: tuple[str, ...] = ("mug",),
) -> Reward:
    """The reward for a product of the type that is asked for, unless `query` or `nouns` differ."""
    return reward(
        product(attributes=attributes, name="x", full_description="", small_description=[]),
        goal(attributes=wanted, options=asked, price_upper=ceiling, query=query)
        if query == "coffee mugs"
        else goal(attributes=wanted, options=asked, query=query, product_category="other"),
        chosen,
        price=price,
        nouns=nouns,
        goal_nouns=["mug", "a", "b", "c", "d", "e", "f", "g"],
    )


def test_everything_matched_is_one() -> None:
    assert buy(WANTED, WANTED, ["blue", "XL"], ("blue", "XL")).total == 1.0


def test_two_attributes_less() -> None:
    assert buy(WANTED[:1], WANTED, ["blue", "XL"], ("blue", "XL")).total == pytest.approx(2 / 3)


def test_a_third_option_missed() -> None:
    bought = buy(WANTED[:1], WANTED, ["blue", "XL"], ("blue", "XL", "pack of 12"))
    assert bought.total == pytest.approx(4 / 7)


def test_another_type_halves_it() -> None:
    bought = buy(WANTED[:1], WANTED, ["blue", "XL"], ("blue", "XL", "pack of 12"), query="plates")
    assert bought.r_type == 0.5
    assert bought.total == pytest.approx(2 / 7)


def test_no_common_noun_is_nothing_whatever_else_matches() -> None:
    assert buy(WANTED, WANTED, ["blue"], ("blue",), nouns=("plate",)).total == 0.0


def test_a_human_log_with_half_the_attributes() -> None:
    bought = buy(
        ("wood frame",), ("wood frame", "living room"), ["black"], ("grey",), price=129.99,
        ceiling=490.0,
    )  # fmt: skip
    assert bought.total == 0.5


def test_a_human_log_with_one_attribute_missed() -> None:
    bought = buy((), ("teen girls",), ["8", "z2-pink"], ("pink", "8"), price=17.92, ceiling=50.0)
    assert bought.total == 0.75


def test_a_human_log_with_only_the_price_matched() -> None:
    assert buy((), ("long lasting",), ["red"], ("blue",)).total == pytest.approx(1 / 3)


def test_the_price_may_be_the_ceiling() -> None:
    assert buy(WANTED, WANTED, [], (), price=30.0).r_price == 1.0
    assert buy(WANTED, WANTED, [], (), price=30.01).r_price == 0.0


def test_parts_have_upstreams_names_and_no_option_where_none_is_asked_for() -> None:
    record = buy(WANTED, WANTED, ["red"], ()).record()
    assert "r_option" not in record
    assert "w_option" not in record
    assert record["w_att"] == 3 / 4
    assert record["w_price"] == 1 / 4


def test_weights_add_up() -> None:
    bought = buy(WANTED, WANTED, ["blue"], ("blue", "XL"))
    assert bought.r_option == 0.5
    assert bought.w_option is not None
    assert bought.w_att + bought.w_option + bought.w_price == pytest.approx(1)
