"""Terms as Lucene makes them; the expected ones were printed by Lucene 9.9.1."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sad_envs.search.analysis import Analyzer, clean
from sad_envs.search.porter import stem
from sad_envs.search.segment import LONGEST, words


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        (
            "It's Ruth's easy-use 3.5mm jack, 1,299.50 dollars; the O'Neill's",
            ["ruth", "easi", "us", "3.5mm", "jack", "1,299.50", "dollar", "o'neil"],
        ),
        (
            "Technologies probably happily flying relational conditional",
            ["technolog", "probabl", "happili", "fly", "relat", "condit"],
        ),
        (
            "IBM_2000 _x_ a.b.c 1.a 192.168.0.1 ¾ ½ 50%",
            ["ibm_2000", "_x_", "a.b.c", "1", "192.168.0.1", "50"],
        ),
        ("Müller’s straße İSTANBUL ΟΔΥΣΣΕΥΣ", ["müller", "straße", "istanbul", "οδυσσευσ"]),
        (
            "日本語 ひら カタカナ 한국어 ภาษาไทย",
            ["日", "本", "語", "ひ", "ら", "カタカナ", "한국어", "ภาษาไทย"],
        ),
        ("👩\u200d👩\u200d👧 🇩🇪🇫🇷 1️⃣ ℹ️ ❤️", ["👩\u200d👩\u200d👧", "🇩🇪", "🇫🇷", "1️⃣", "ℹ️", "❤️"]),
        ("ℹ\u200d😀 Ⓜ\ufe0f ℹa", ["ℹ\u200d😀", "ⓜ\ufe0f", "ℹa"]),
        ("צה\"ל ג'ורג' ש\"ח", ['צה"ל', "ג'ורג'", 'ש"ח']),
        (
            "nai\u0308ve co\u00adoperate zero\u200dwidth",
            ["nai\u0308v", "co\u00adoper", "zero\u200dwidth"],
        ),
        ('("+foo" AND -bar~2) OR title:[a TO z]^3 *?', ["foo", "bar", "2", "titl", "z", "3"]),
        ("𐐀𐐨s 𝒳ing", ["𐐨𐐨", "𝒳ing"]),
        ("the of and", []),
        ("", []),
    ],
)
def test_terms_are_lucenes(text: str, terms: list[str]) -> None:
    assert Analyzer().terms(text) == terms


@pytest.mark.parametrize(
    ("word", "stemmed"),
    [
        ("caresses", "caress"),
        ("ponies", "poni"),
        ("agreed", "agre"),
        ("feed", "feed"),
        ("hopping", "hop"),
        ("falling", "fall"),
        ("filing", "file"),
        ("sky", "sky"),
        ("vietnamization", "vietnam"),
        ("adoption", "adopt"),
        ("controll", "control"),
        ("incredibly", "incred"),
        ("us", "us"),
        ("archaeology", "archaeolog"),
    ],
)
def test_stems(word: str, stemmed: str) -> None:
    assert stem(word) == stemmed


def test_long_words_are_cut_at_the_limit() -> None:
    assert [len(token) for token in words("x" * 600 + " y")] == [255, 255, 90, 1]


def test_the_limit_counts_utf16_units_and_keeps_pairs() -> None:
    assert [len(token) for token in words("𐐀" * 200)] == [127, 73]


@given(st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"])))
def test_tokens_stand_in_the_text_in_order(text: str) -> None:
    at = 0
    for token in words(text):
        assert 0 < len(token.encode("utf-16-le")) // 2 <= LONGEST
        at = text.index(token, at) + len(token)


def test_letters_and_digits_of_every_script_make_tokens() -> None:
    # Within what Unicode had when Lucene's tables were made.
    plane = (chr(code) for code in range(0x2C00) if unicodedata.category(chr(code)) in ("Lu", "Nd"))
    assert [letter for letter in plane if words(letter) != [letter]] == []


def test_clean_replaces_what_no_engine_takes() -> None:
    assert clean("a\x00b\ud800c\U0001f600") == "a\ufffdb\ufffdc\U0001f600"


def test_the_analyzers_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[Analyzer.__module__], "_MOST_CACHED", 10)
    analyzer = Analyzer()
    analyzer.terms(" ".join(f"word{n}" for n in range(100)))
    assert len(analyzer._terms) <= 10
