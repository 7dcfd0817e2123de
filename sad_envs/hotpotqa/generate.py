"""Generated tasks: a miniature encyclopaedia of a world that never was, and questions about it.

Nothing in it is true of our world, so no model has memorised an answer, and nothing in it
contradicts itself. A seed gives the same articles and questions, byte for byte, in every process;
a longer set of questions begins with the shorter one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

from sad_envs.hotpotqa.articles import Article, write_articles
from sad_envs.hotpotqa.questions import Asked, ask
from sad_envs.hotpotqa.tasks import Fact, Question
from sad_envs.hotpotqa.world import World
from sad_envs.search import EngineName, Passage, SearchEngine, build_index, open_engine

GENERATED_TASKS = 1000
"""Questions of a generated split whose name gives no number."""

MOST_TASKS = 20_000
"""Questions that one encyclopaedia is asked at most."""


def generated_questions(seed: int, n: int) -> tuple[Question, ...]:
    """The first `n` questions of a seed; their ids are `<seed>-<number>`."""
    world, articles = _encyclopaedia(seed)
    return tuple(
        _question(f"{seed}-{number:04d}", number, asked, articles)
        for number, asked in enumerate(islice(ask(world, articles, seed), n))
    )


def generated_passages(seed: int) -> Iterator[Passage]:
    """The articles of a seed's encyclopaedia, in the order of their titles."""
    for article in _encyclopaedia(seed)[1].values():
        yield Passage(article.title, article.title, article.text)


@lru_cache(maxsize=2)
def generated_engine(seed: int, engine: EngineName = "bm25") -> SearchEngine:
    """A search engine on the encyclopaedia, shared by all environments of a process.

    The index is built in a temporary folder, which is removed as soon as it is open.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        index = Path(folder, "index")
        build_index(generated_passages(seed), index, engine)
        return open_engine(index, engine)


@lru_cache(maxsize=2)
def _encyclopaedia(seed: int) -> tuple[World, dict[str, Article]]:
    world = World(seed)
    return world, write_articles(world, seed)


def _question(task_id: str, index: int, asked: Asked, articles: dict[str, Article]) -> Question:
    return Question(
        task_id=task_id,
        index=index,
        question=asked.question,
        answer=asked.answer,
        type=asked.type,
        level=asked.level,
        facts=tuple(
            Fact(title, articles[title].sentences[number]) for title, number in asked.supporting
        ),
    )
