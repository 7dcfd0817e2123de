"""Generated encyclopaedias: the same for everybody, free of contradictions, and answerable."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from sad_envs.hotpotqa.articles import write_articles
from sad_envs.hotpotqa.generate import generated_engine, generated_passages, generated_questions
from sad_envs.hotpotqa.pages import SHOWN, sentences_of
from sad_envs.hotpotqa.scoring import normalise
from sad_envs.hotpotqa.tasks import Question
from sad_envs.hotpotqa.wiki import AMBIGUOUS
from sad_envs.hotpotqa.world import World

SEEDS = (0, 7)
DIGEST = """
import hashlib
from sad_envs.hotpotqa.generate import generated_passages, generated_questions
told = repr((list(generated_passages(5)), generated_questions(5, 300)))
print(hashlib.sha256(told.encode()).hexdigest())
"""


@pytest.fixture(scope="module", params=SEEDS)
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


@pytest.fixture(scope="module", params=SEEDS)
def questions(request: pytest.FixtureRequest) -> tuple[Question, ...]:
    return generated_questions(request.param, 1000)


def test_same_seed_gives_the_same_bytes_in_another_process() -> None:
    told = repr((list(generated_passages(5)), generated_questions(5, 300)))
    there = subprocess.run(
        [sys.executable, "-c", DIGEST],
        env={"PYTHONHASHSEED": "17"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == hashlib.sha256(told.encode()).hexdigest()


def test_another_seed_is_another_world() -> None:
    titles = [{passage.title for passage in generated_passages(seed)} for seed in SEEDS]
    assert len(titles[0] & titles[1]) < 0.1 * len(titles[0])


def test_more_questions_begin_with_the_fewer() -> None:
    assert generated_questions(3, 60)[:20] == generated_questions(3, 20)


def test_an_encyclopaedia_has_some_hundreds_of_articles_of_some_sentences() -> None:
    passages = list(generated_passages(0))
    assert 400 < len(passages) < 700
    lengths = [len(sentences_of(passage.text)) for passage in passages]
    assert sum(lengths) / len(lengths) > 4
    assert sum(length > SHOWN for length in lengths) > 100
    assert sum(AMBIGUOUS in passage.text for passage in passages) >= 10


def test_titles_differ_and_shared_names_have_a_page(world: World) -> None:
    articles = write_articles(world, 0)
    titles = [thing.title for thing in world.things]
    assert len(set(titles)) == len(titles)
    for thing in world.things:
        if thing.title != thing.name:
            assert thing.title in articles[thing.name].sentences[0]


def test_sentences_are_what_a_page_is_cut_into(world: World) -> None:
    for article in write_articles(world, 0).values():
        assert sentences_of(article.text) == list(article.sentences)


def test_nothing_happens_before_what_it_rests_on(world: World) -> None:
    for thing in world.things:
        if thing.kind in ("novel", "film", "painting", "opera"):
            maker, year = thing.links["maker"].numbers, thing.numbers["year"]
            assert maker["born"] + 20 < year <= maker["died"]
            house = thing.links.get("house")
            if house and house.kind in ("publisher", "studio"):
                assert house.numbers["founded"] <= year
        if thing.kind == "person":
            born = thing.numbers["born"]
            if "university" in thing.links:
                assert thing.links["university"].numbers["founded"] < born + 20
            if "teacher" in thing.links:
                assert thing.links["teacher"].numbers["born"] + 18 <= born
        for role in ("founder", "architect", "leader"):
            if role in thing.links:
                year = thing.numbers.get("founded", thing.numbers.get("year", 0))
                person = thing.links[role].numbers
                assert person["born"] + 20 < year <= person["died"]


def test_questions_are_of_both_types_and_every_level(questions: tuple[Question, ...]) -> None:
    assert len({question.question for question in questions}) == len(questions)
    types = [question.type for question in questions]
    assert types.count("comparison") > 150
    assert types.count("bridge") > 600
    assert {question.level for question in questions} == {"easy", "medium", "hard"}
    closed = [q.answer for q in questions if q.answer in ("yes", "no")]
    assert 0.25 < closed.count("yes") / len(closed) < 0.75


def test_answer_follows_from_the_supporting_facts(questions: tuple[Question, ...]) -> None:
    for question in questions:
        first, second = question.facts
        assert first.title != second.title
        if question.type == "bridge":
            assert normalise(question.answer) in normalise(second.sentence)
            assert normalise(question.answer) not in normalise(question.question)
        elif question.answer not in ("yes", "no"):
            assert question.answer in question.question


def test_supporting_sentences_stand_in_the_articles() -> None:
    engine = generated_engine(0)
    for question in generated_questions(0, 200):
        for fact in question.facts:
            (document,) = engine.with_title(fact.title)[:1]
            assert document.title == fact.title
            assert fact.sentence in document.text
