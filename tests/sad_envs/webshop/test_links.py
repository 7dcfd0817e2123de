"""Addresses: whatever the text, it comes back."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sad_envs.webshop import links

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(TEXTS))
def test_keywords_come_back(words: list[str]) -> None:
    sent = links.results_link("abc", words, 1)
    assert sent.isascii()
    assert sent.count("/") == 4
    assert links.read_keywords(unquote(sent.split("/")[3])) == tuple(words)


@given(st.dictionaries(TEXTS, TEXTS))
def test_options_come_back(options: dict[str, str]) -> None:
    sent = links.done_link("a/b", "B00", options)
    assert sent.count("/") == 4
    assert links.read_options(unquote(sent.split("/")[4])) == options


@pytest.mark.parametrize(
    "text", ["{'size': '5'}", '{"size": "5"}', "{ 'size' : \"5\" }", '{"size": "\\u0035"}']
)
def test_options_may_be_written_as_python_or_json(text: str) -> None:
    assert links.read_options(text) == {"size": "5"}


def test_keywords_without_a_bracket_are_one_keyword() -> None:
    assert links.read_keywords("red mug") == ("red mug",)


def test_json_escapes_of_one_character_are_joined() -> None:
    assert links.read_options('{"a": "\\ud83d\\ude42"}') == {"a": "🙂"}


def test_a_lone_surrogate_is_replaced() -> None:
    assert links.read_keywords("['\\ud800']") == ("\ufffd",)


@pytest.mark.parametrize(
    "text", ["[", "[1]", "['a', 1]", "[" * 9000, "['a'.upper()]", "[x]", "[]]"]
)
def test_broken_keywords_are_refused(text: str) -> None:
    with pytest.raises(links.BrokenLink, match="keywords"):
        links.read_keywords(text)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{1: 'a'}", "{'a': None}", "{'a', 'b'}", "__import__('os')", "{'a': '\\x'}",
     "{'a': 'b'}" + " " * links.LONGEST_LITERAL, "{'a\x00': '1'}"],
)  # fmt: skip
def test_broken_options_are_refused(text: str) -> None:
    with pytest.raises(links.BrokenLink, match="options"):
        links.read_options(text)


def test_unknown_escapes_stand_for_themselves(recwarn: pytest.WarningsRecorder) -> None:
    assert links.read_options(r"{'a': '\d\\d'}") == {"a": r"\d\d"}
    assert not recwarn.list
