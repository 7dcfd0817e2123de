"""Small functions of upstream, on its own examples."""

from __future__ import annotations

import random

import pytest

from sad_envs.webshop.upstream import colour_map, random_goal, session_code, size_map


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        ("3 meter", "(.*)meter"),
        ("40cm plus", "(.*)plus"),
        ("142", "numeric_size"),
        ("2 petite", "(.*)petite"),
        ("91ft walnut feet", "(.*)ft"),
        ("random value", "not_matched"),
    ],
)
def test_sizes_have_the_first_pattern_found(size: str, kind: str) -> None:
    assert size_map([size]) == {"N.A.": "not_matched", size: kind}


def test_colours_have_the_first_colour_of_the_list() -> None:
    assert colour_map(["Violet Lavender", "webshop"]) == {
        "N.A.": "not_matched",
        "violet lavender": "lavender",
        "webshop": "not_matched",
    }


def test_a_random_goal_is_off_by_one() -> None:
    draw = random.Random(24)
    weights = [draw.randint(0, 10) for _ in range(50)]
    assert [random_goal(weights, draw) for _ in range(3)] == [44, 15, 36]


@pytest.mark.parametrize(("sid", "code"), [("ABC", "3C01BDBB26"), ("", "DA39A3EE5E")])
def test_the_code_of_a_session(sid: str, code: str) -> None:
    assert session_code(sid) == code
