"""Fuzzy matching decides as the plain definition does."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sad_envs.webshop.fuzzy import THRESHOLD, similar, token_set_ratio


@pytest.mark.parametrize(
    ("first", "second", "score"),
    [
        ("essential oil", "essential oils", 96),
        ("machine wash", "machine washable", 86),
        ("tea bag", "tea tree", 60),
        ("6", "6.5", 100),
        ("pack of 12", "pack of 2", 95),
        ("+", "+", 0),
        ("gluten free", "dairy free", 57),
        ("large", "xx-large", 100),
        ("8.5", "5.8", 100),
        ("", "red", 0),
        ("café", "caf", 100),
    ],
)
def test_scores_of_thefuzz_on_difflib(first: str, second: str, score: int) -> None:
    assert token_set_ratio(first, second) == score


TEXT = (
    "machine wash washable washables easy clean cleaning pack of 2 12 x-large large oil oils tea "
    "tree non gmo free gluten-free stainless steel 6.5 é _ + ('color', 'navy') aaaaaaaa"
)
WORDS = st.sampled_from(TEXT.split())
TEXTS = st.lists(WORDS, max_size=8).map(" ".join) | st.text(max_size=30)
LONG = st.lists(WORDS, min_size=30, max_size=60).map(" ".join)


@settings(max_examples=600, deadline=None)
@given(TEXTS | LONG, TEXTS | LONG)
@example("a" * 199, "a" * 200 + "b" * 30)
@example("ab" * 100 + " c", "ab" * 100 + " d")
@example("machine wash", "machine washable")
def test_similar_is_a_score_above_the_threshold(first: str, second: str) -> None:
    assert similar(first, second) == (token_set_ratio(first, second) > THRESHOLD)


@settings(max_examples=400, deadline=None)
@given(st.text("abc ", max_size=14), st.text("abc ", max_size=14))
def test_similar_agrees_on_texts_of_few_letters(first: str, second: str) -> None:
    assert similar(first, second) == (token_set_ratio(first, second) > THRESHOLD)


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS, min_size=40, max_size=60), st.integers(0, 2), st.integers(0, 2))
def test_similar_agrees_on_long_texts_with_most_words_in_common(
    words: list[str], first: int, second: int
) -> None:
    numbered = [f"{word}{number}" for number, word in enumerate(words)]
    one = " ".join([*numbered, *("left",) * first])
    other = " ".join([*numbered, *("a right", "zz right")[:second]])
    assert similar(one, other) == (token_set_ratio(one, other) > THRESHOLD)
