"""Answers are compared as the official evaluation compares them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sad_envs.hotpotqa.scoring import exact_match, f1, normalise


@pytest.mark.parametrize(
    ("answer", "normalised"),
    [
        ("The Quick, Brown Fox!", "quick brown fox"),
        ("U.S. Army", "us army"),
        ("a.m.", "am"),
        ("1,800 to 7,000 ft", "1800 to 7000 ft"),
        ("New–York", "new–york"),
        ("The", ""),
    ],
)
def test_normalised_answer(answer: str, normalised: str) -> None:
    assert normalise(answer) == normalised


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        ("Barack Obama", "Obama", 2 / 3),
        ("yes", "no", 0),
        ("yes it is", "yes", 0),
        ("the U.S.", "US", 1),
        ("New York New York", "New York City", 4 / 7),
        ("", "", 0),
    ],
)
def test_f1_over_words(answer: str, gold: str, expected: float) -> None:
    assert f1(answer, gold) == pytest.approx(expected)


def test_two_empty_answers_match() -> None:
    assert exact_match("", "the")


@given(st.text(max_size=30), st.text(max_size=30))
def test_normalising_twice_is_harmless_and_f1_is_symmetric(answer: str, gold: str) -> None:
    assert normalise(normalise(answer)) == normalise(answer)
    assert f1(answer, gold) == f1(gold, answer)
    assert 0 <= f1(answer, gold) <= 1
