"""A small encyclopaedia with the odd cases in it, and an environment on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sad_envs.hotpotqa.env import HotPotQAEnv
from sad_envs.hotpotqa.tasks import Question
from sad_envs.hotpotqa.wiki import Wiki
from sad_envs.search import Passage, SearchEngine, build_index, open_engine

ADA = (
    "A was x. She wrote notes on an engine. The notes were published in 1843.\n"
    "Her father was a poet. Her mother liked mathematics. The engine was never built.\n"
    "An engine like it stands in a museum."
)
TEXTS = {
    "Ada Byron": ADA,
    "Zzyzx, California": "Zzyzx is a settlement. The name Zzyzx was made up to be the last word.",
    "Zzyzx Road": "The road leads through the desert for some miles.",
    "Mercury": "Mercury may refer to: a planet; an element; a god.",
    "Mercury (planet)": "Mercury is the planet nearest to the sun.",
    "Mercury (element)": "Mercury is a metal that is liquid.",
    "Mercury (mythology)": "Mercury is a god of trade.",
    "Project Mercury": "Project Mercury sent people to space.",
    "Mercury Records": "Mercury Records is a record label.",
    "the twins": "The first one of two articles.",
    "The Twins": "The second one of two articles.",
    "Dr No": "Two words\nIt was seen by Dr. Smith at noon. It ends here.",
}


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> SearchEngine:
    folder: Path = tmp_path_factory.mktemp("hotpotqa") / "index"
    redirects = {"Ada Byron": ("Ada Lovelace",)}
    build_index(
        (Passage(title, title, text, redirects.get(title, ())) for title, text in TEXTS.items()),
        folder,
    )
    return open_engine(folder)


@pytest.fixture
def make(engine: SearchEngine) -> Callable[..., HotPotQAEnv]:
    """An environment with one task, begun: `make("gold answer", faithful=True)`."""

    def begin(answer: str = "Ada Byron", **arguments: bool | int) -> HotPotQAEnv:
        env = HotPotQAEnv(split="generated:0:1", **arguments)  # type: ignore[arg-type]
        question = Question("task", 0, "Who wrote notes?", answer, "bridge")
        env._split = replace(env._split, questions=(question,))
        env._wiki = Wiki(engine, bool(arguments.get("faithful", False)))
        env.reset(options={"task_id": "task"})
        return env

    return begin


@pytest.fixture(scope="session")
def hotpotqa_data() -> Path:
    """The verified HotPotQA folder, fetched from the mirror when it is not in the cache."""
    from sad_envs.data import data_path, fetch, is_present

    if not is_present("hotpotqa"):
        fetch("hotpotqa")
    return data_path("hotpotqa")
