"""The real paragraphs, for tests of search."""

from __future__ import annotations

from pathlib import Path

import pytest

from sad_envs.search import Passage, read_passages


@pytest.fixture(scope="session")
def hotpotqa_files() -> list[Path]:
    """The files whose paragraphs make up the whole local corpus; the first has the questions."""
    from sad_envs.data import data_path, fetch, is_present

    folder = data_path("hotpotqa") if is_present("hotpotqa") else fetch("hotpotqa")
    return [
        folder / "hotpot_distractor_sample300.json",
        folder / "wikipedia_passages_6k.json",
    ]


@pytest.fixture(scope="session")
def real_passages(hotpotqa_files: list[Path]) -> list[Passage]:
    return list(read_passages(hotpotqa_files))
