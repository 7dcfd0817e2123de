"""The embedded engine beside the plain formula, and what it does with odd queries."""

from __future__ import annotations

import math
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_corpus import make_passages

from sad_envs.base import EnvError
from sad_envs.search import (
    CONTENTS,
    TITLE_AND_TEXT,
    Passage,
    Scoring,
    SearchEngine,
    build_index,
    open_engine,
)
from sad_envs.search.analysis import Analyzer
from sad_envs.search.length import length_byte


@pytest.fixture(scope="module")
def passages() -> list[Passage]:
    return make_passages(400)


@pytest.fixture(scope="module")
def engine(passages: list[Passage], tmp_path_factory: pytest.TempPathFactory) -> SearchEngine:
    folder = tmp_path_factory.mktemp("index") / "bm25"
    build_index(passages, folder)
    return open_engine(folder)


def plain_scores(passages: list[Passage], query: str, scoring: Scoring) -> dict[str, float]:
    """Score by id, straight from the formula."""
    analyzer = Analyzer()
    scores: Counter[str] = Counter()
    for name, weight in scoring.weights:
        bags = {p.id: Counter(analyzer.terms(p.field_text(name))) for p in passages}
        bags = {doc_id: bag for doc_id, bag in bags.items() if bag}
        mean = sum(bag.total() for bag in bags.values()) / len(bags)
        for term in analyzer.terms(query):
            having = sum(term in bag for bag in bags.values())
            idf = math.log(1 + (len(bags) - having + 0.5) / (having + 0.5))
            for doc_id, bag in bags.items():
                if bag[term]:
                    # 40 and 41 share a byte, and so on; a text here has at most 60 words.
                    length = max(
                        n
                        for n in (*range(41), 42, 44, 46, 48, 50, 52, 54, 56, 60)
                        if n <= bag.total()
                    )
                    norm = 0.9 * (1 - 0.4 + 0.4 * length / mean)
                    scores[doc_id] += weight * idf * bag[term] / (bag[term] + norm)
    return dict(scores)


@pytest.mark.parametrize("query", ["river", "River film, river!", "castle of the singer's novels"])
def test_scores_are_those_of_the_formula(
    engine: SearchEngine, passages: list[Passage], query: str
) -> None:
    expected = plain_scores(passages, query, TITLE_AND_TEXT)
    found = engine.search(query, 1000)
    assert {hit.id for hit in found} == set(expected)
    for hit in found:
        assert hit.score == pytest.approx(expected[hit.id], abs=1e-5)


def test_one_field_is_scored_alone(passages: list[Passage], tmp_path: Path) -> None:
    build_index(passages, tmp_path / "one", scoring=CONTENTS)
    expected = plain_scores(passages, "harbour market", CONTENTS)
    for hit in open_engine(tmp_path / "one").search("harbour market", 1000):
        assert hit.score == pytest.approx(expected[hit.id], abs=1e-5)


def test_few_hits_are_the_first_of_many(engine: SearchEngine) -> None:
    for query in ("river", "king of the castle", "north south war battle museum"):
        assert engine.search(query, 7) == engine.search(query, 1000)[:7]


def test_equal_scores_come_by_title_then_id(engine: SearchEngine) -> None:
    found = engine.search("river city film", 1000)
    assert len({hit.score for hit in found}) < len(found)
    keys = [(-hit.score, hit.title, hit.id) for hit in found]
    assert keys == sorted(keys)


def test_a_search_leaves_no_trace(engine: SearchEngine) -> None:
    before = engine.search("river city")
    engine.search("river river bridge king")
    assert engine.search("river city") == before


@pytest.mark.parametrize(
    "query",
    ["", " ", "the of and", "zzzz", "\x00", "\ud800", "AND OR NOT", '"(((', "[]^~*?:\\/", "½", "﷽"],
)
def test_queries_without_a_known_word_have_no_hits(engine: SearchEngine, query: str) -> None:
    assert engine.search(query) == []


def test_operators_and_brackets_are_no_syntax(engine: SearchEngine) -> None:
    assert engine.search('+(river) -"city" title: film^9 film~2') == engine.search(
        "river city title film 9 film 2"
    )


def test_a_query_of_ten_kilobytes_is_answered(engine: SearchEngine) -> None:
    assert len(engine.search("river unknown " * 700)) == 5


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=200))
def test_no_query_fails(engine: SearchEngine, query: str) -> None:
    assert len(engine.search(query)) <= 5


@pytest.mark.parametrize("k", [0, -1])
def test_no_hits_asked_for_is_no_hits(engine: SearchEngine, k: int) -> None:
    assert engine.search("river", k) == []


def test_threads_share_an_engine(engine: SearchEngine) -> None:
    queries = ["river city", "king", "castle novel school", "war"] * 20
    expected = [engine.search(query) for query in queries]
    found: dict[int, list[object]] = {}

    def ask(name: int) -> None:
        found[name] = [engine.search(query) for query in queries]

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(found.values()) == [expected] * 4


def test_documents_by_id_and_title(tmp_path: Path) -> None:
    passages = [
        Passage("1", "The Beach", "A film.", redirects=("Beach, The",)),
        Passage("2", "the beach", "A novel."),
        Passage("3", "Beach Boys", "A band."),
    ]
    build_index(passages, tmp_path / "index")
    engine = open_engine(tmp_path / "index")
    assert engine.document("2") is not None
    assert engine.document("2").text == "A novel."  # type: ignore[union-attr]
    assert engine.document("4") is None
    assert [one.id for one in engine.with_title(" [the_BEACH] ")] == ["1", "2"]
    assert [one.id for one in engine.with_title("the beach")] == ["2", "1"]
    assert [one.id for one in engine.with_title("beach, the")] == ["1"]
    assert engine.with_title("Beaches\ud800") == []


def test_a_closed_engine_says_so(tmp_path: Path) -> None:
    build_index(make_passages(3), tmp_path / "index")
    engine = open_engine(tmp_path / "index")
    engine.close()
    engine.close()
    for call in (engine.search, engine.document, engine.with_title):
        with pytest.raises(EnvError, match="closed"):
            call("river")


def test_a_deleted_index_goes_on_answering_while_open(tmp_path: Path) -> None:
    build_index(make_passages(50), tmp_path / "index")
    engine = open_engine(tmp_path / "index")
    before = open_engine(tmp_path / "index").search("river")
    for path in (tmp_path / "index").iterdir():
        path.unlink()
    assert engine.search("river") == before


def test_lengths_are_exact_below_forty_and_then_coarse() -> None:
    assert [length_byte(n) for n in range(40)] == list(range(40))
    assert [length_byte(n) for n in (40, 41, 42, 1000, 2**31 - 1)] == [40, 40, 41, 87, 255]


@pytest.mark.parametrize("weights", [(), (("title", 1.0), ("title", 2.0)), (("text", -1.0),)])
def test_odd_weights_are_refused(weights: tuple[tuple[str, float], ...]) -> None:
    with pytest.raises(EnvError, match="weight"):
        Scoring(weights=weights)  # type: ignore[arg-type]
