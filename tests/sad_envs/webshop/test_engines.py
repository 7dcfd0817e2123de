"""Both search engines rank the real products alike."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from sad_envs.search import CONTENTS, SearchEngine, build_index, open_engine
from sad_envs.webshop.catalogue import Catalogue

pytestmark = [pytest.mark.lucene, pytest.mark.realdata]

QUERIES = (
    *("red shoes", "color: black", "speaker speaker bluetooth", "the", "zzzz", "8.5", "3.5mm jack"),
    *("women's dress", "easy to clean coffee table", "gluten free snacks, pack of 12", "1/2"),
    *("noise cancelling usb microphone", "natural hair extension clip in", "XX-Large", "50.00"),
    *("men's machine washable t-shirt size: x-large, and color: navy", "tea tree oil shampoo"),
    *("🙂", "½ inch", "café", "stainless steel wall mounted", "<r", "sofa tables", "of the and"),
    *("technology", "easy use us", "(12 oz) [blue] +red -green", "long clip-in hair extension"),
)


@pytest.fixture(scope="module")
def lucene(thousand: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchEngine]:
    folder: Path = tmp_path_factory.mktemp("webshop") / "index"
    build_index(thousand.store.passages(), folder, "lucene", scoring=CONTENTS)
    engine = open_engine(folder, "lucene")
    yield engine
    engine.close()


@pytest.mark.parametrize("query", QUERIES)
def test_queries_give_the_same_fifty(thousand: Catalogue, lucene: SearchEngine, query: str) -> None:
    expected = [(hit.id, hit.score) for hit in lucene.search(query, 50)]
    found = [(hit.id, hit.score) for hit in thousand.engine.search(query, 50)]
    assert [asin for asin, _ in found] == [asin for asin, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected])


def test_instructions_give_the_same_fifty(thousand: Catalogue, lucene: SearchEngine) -> None:
    for goal in random.Random(0).sample(thousand.one_goal_each(), 60):
        expected = tuple(hit.id for hit in lucene.search(goal.instruction, 50))
        assert thousand.search(goal.instruction.split(" ")) == expected
