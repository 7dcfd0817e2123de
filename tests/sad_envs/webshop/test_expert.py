"""The expert: buys what is asked for, reaching it only by what it was told and shown."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from shop_parts import goal, product

from sad_envs.webshop.env import WebShopEnv
from sad_envs.webshop.matching import choices, lacking_options, mentions, quoted
from sad_envs.webshop.queries import find_query, request, simple_queries, telling_words

Turn = tuple[str, str, str, dict[str, Any]]

N = 120


def play(env: WebShopEnv, task_id: str, seed: int = 0) -> tuple[str, list[Turn]]:
    """The opening and the turns of an episode: thought, action, observation, info."""
    task, info = env.reset(options={"task_id": task_id})
    observation, policy, turns, ended = task, env.make_expert(seed), [], False
    while not ended:
        thought, action = policy(observation, info)
        observation, _, terminated, truncated, info = env.step(action)
        turns.append((thought, action, observation, info))
        ended = terminated or truncated
    return task, turns


@pytest.fixture(scope="module")
def env() -> WebShopEnv:
    return WebShopEnv(split=f"generated:0:{N}")


@pytest.fixture(scope="module")
def episodes(env: WebShopEnv) -> list[tuple[str, list[Turn]]]:
    return [play(env, task_id) for task_id in env.task_ids]


def test_wins_generated_tasks(episodes: list[tuple[str, list[Turn]]]) -> None:
    last = [turns[-1][3] for _, turns in episodes]
    assert sum(info["success"] for info in last) >= 0.95 * N
    assert all("bought" in info for info in last)


def test_every_action_is_valid_and_no_observation_comes_of_nothing(
    episodes: list[tuple[str, list[Turn]]],
) -> None:
    assert all(info["valid_action"] for _, turns in episodes for *_, info in turns)


def test_clicks_only_what_the_page_shows(episodes: list[tuple[str, list[Turn]]]) -> None:
    for task, turns in episodes:
        page = task
        for _, action, observation, _ in turns:
            if action.startswith("click["):
                assert action[5:] in page, (action, page)
            if not observation.startswith("You have clicked"):
                page = observation


def test_searches_with_words_it_was_told_or_shown(
    episodes: list[tuple[str, list[Turn]]],
) -> None:
    for task, turns in episodes:
        known = set(telling_words(task))
        for _, action, observation, _ in turns:
            if action.startswith("search["):
                assert set(action[7:-1].split()) <= known
            known |= set(telling_words(observation))


def test_thoughts_name_products_prices_and_values_and_vary(
    episodes: list[tuple[str, list[Turn]]],
) -> None:
    opening = [
        (thought, action[6:-1])
        for _, turns in episodes
        for thought, action, _, _ in turns
        if action.startswith("click[B0")
    ]
    assert all(asin in thought and "$" in thought for thought, asin in opening)
    first = {re.sub(r"“.*”|\w*\d\w*", "", turns[0][0])[:20] for _, turns in episodes}
    assert len(first) >= 4
    for _, turns in episodes:
        assert all("{" not in thought for thought, *_ in turns)
        thoughts = [thought for thought, *_ in turns]
        assert len(set(thoughts)) == len(thoughts)


def test_some_episodes_leave_a_product_or_search_again(
    episodes: list[tuple[str, list[Turn]]],
) -> None:
    opened = [
        sum(action.startswith("click[B0") for _, action, *_ in turns) for _, turns in episodes
    ]
    assert max(opened) > 1
    assert sum(n > 1 for n in opened) >= 3
    courses = [[action for _, action, *_ in turns] for _, turns in episodes]
    at_once = [
        i for i, course in enumerate(courses)
        for one, other in itertools.pairwise(course)
        if one.startswith("click[B0") and other == "click[< Prev]"
    ]  # fmt: skip
    assert at_once, "none left for an option that is not offered"
    assert any("click[< Prev]click[< Prev]" in "".join(course) for course in courses)


def test_same_seed_same_episode_and_another_seed_other_words(env: WebShopEnv) -> None:
    task_id = env.task_ids[3]
    first, again, other = (play(env, task_id, seed) for seed in (0, 0, 1))
    assert first == again
    assert [turn[1] for turn in first[1]] == [turn[1] for turn in other[1]]
    assert [turn[0] for turn in first[1]] != [turn[0] for turn in other[1]]


@pytest.mark.parametrize(
    "arguments",
    [
        {"mode": "text"},
        {"mode": "text_rich", "max_steps": None},
        {"max_pages": 5, "shown_products": 10},
        {"max_steps": 7},
    ],
)
def test_works_in_other_modes_and_with_other_limits(arguments: dict[str, Any]) -> None:
    env = WebShopEnv(split="generated:0:25", **arguments)
    infos = [play(env, task_id)[1][-1][3] for task_id in env.task_ids]
    assert sum(info["success"] for info in infos) >= 22
    assert all("bought" in info for info in infos)


def test_episodes_after_each_other_are_told_apart(env: WebShopEnv) -> None:
    policy = env.make_expert(0)
    for task_id in env.task_ids[:3]:
        observation, info = env.reset(options={"task_id": task_id})
        for _ in range(2):
            _, action = policy(observation, info)
            observation, _, _, _, info = env.step(action)
        assert "[Buy Now]" in observation


@pytest.mark.realdata
@pytest.mark.usefixtures("webshop_data")
def test_reaches_the_aims_on_the_test_split() -> None:
    env = WebShopEnv(split="test", nouns="builtin")
    infos = [play(env, task_id)[1][-1][3] for task_id in env.task_ids]
    scores = [info["score"] for info in infos]
    assert sum(scores) >= 0.9 * len(scores)
    assert sum(info["success"] for info in infos) >= 0.75 * len(scores)


# -- parts ------------------------------------------------------------------------------------


def test_the_request_is_the_instruction_without_the_price() -> None:
    assert request("a mug, red, and price lower than 30.00 dollars") == "a mug, red"
    assert telling_words("I want a [red] mug - the red, 12 oz one!") == ["red", "mug", "12", "oz"]


def test_a_query_is_shortened_until_it_shows_the_product() -> None:
    ranks = {"b c": 1}
    assert find_query(["a", "b", "c", "d"], ranks.get, lambda place: place < 3) == "b c"
    assert find_query(["a", "b"], ranks.get, lambda place: place < 3) is None


def test_words_that_were_read_are_added_while_they_help() -> None:
    ranks = {"a b": 9, "a b y": 5, "a b x y": 0}
    found = find_query(["a", "b"], ranks.get, lambda place: place < 3, more=["x", "y"])
    assert found == "a b x y"


def test_simple_queries_begin_with_all_words() -> None:
    assert simple_queries(["a", "b", "c"])[:4] == ["a b c", "b c", "a c", "a b"]


@pytest.mark.parametrize(
    ("text", "attribute", "named"),
    [
        ("Leak-proof bottles", "leak proof", True),
        ("Easy to clean", "easy clean", True),
        ("Machine washable", "machine wash", True),
        ("A leak", "leak proof", False),
    ],
)
def test_an_attribute_is_named_by_its_words(text: str, attribute: str, named: bool) -> None:
    assert mentions(text, attribute) is named


def test_a_quote_is_the_sentence_that_names_the_attribute() -> None:
    pieces = ("Holds 12 oz. ", "It is heat resistant, as a mug should be. ")
    assert quoted(pieces, "heat resistant") == "It is heat resistant, as a mug should be."


def test_options_are_matched_by_name_then_value_then_likeness() -> None:
    mug = product(options={"Color": ["Red", "Dark Blue"], "Size": ["Small", "12 oz"]})
    assert choices(mug, goal(options=(("size", "small"),))) == [("size", "small", "small")]
    assert choices(mug, goal(options=("blue",))) == [("color", "dark blue", "blue")]
    assert lacking_options(mug, goal(options=("green", "small"))) == ["green"]
