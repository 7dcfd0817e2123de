"""The measured coverage: it is good where it must be, and the warnings know where it is not."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from leaderboards.statistics import known_short

ROOT = Path(__file__).parents[2]
DATA: dict[str, Any] = json.loads((ROOT / "leaderboards/coverage.json").read_text())
ABOUT_TASKS = ("wilson", "bootstrap")


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "measured_coverage", ROOT / "benchmarks/coverage.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["measured_coverage"] = module
    spec.loader.exec_module(module)
    return module


def test_wilson_at_134_tasks_is_within_93_and_97_percent() -> None:
    low, high = DATA["wilson_134"]
    assert 0.93 <= low <= high <= 0.97


def test_every_size_and_number_of_seeds_is_measured() -> None:
    measured = {(line["tasks"], line["seeds"]) for line in DATA["intervals"]}
    assert measured >= {(n, k) for n in (20, 50, 134, 500) for k in (1, 3, 5)}


def test_reader_is_warned_where_an_interval_is_short_of_a_methods_number() -> None:
    for line in DATA["intervals"]:
        if line["kind"] in ABOUT_TASKS and line["other_seeds_other_tasks"] < 0.93:
            assert known_short(line["kind"], line["tasks"], line["seeds"]), line


def test_reader_is_warned_where_a_bootstrap_is_short_of_its_own_claim() -> None:
    short = [
        line
        for line in DATA["intervals"]
        if line["kind"] in ABOUT_TASKS and line["these_students_other_tasks"] < 0.93
    ]
    assert short
    for line in short:
        assert known_short(line["kind"], line["tasks"], 0), line


def test_intervals_over_seeds_cover_what_they_are_about() -> None:
    for line in DATA["intervals"]:
        if line["kind"] == "seeds":
            assert line["other_seeds_these_tasks"] >= 0.93, line


def test_differences_are_measured_at_every_size_and_number_of_seeds() -> None:
    measured = {(line["tasks"], line["seeds"]) for line in DATA["differences"]}
    assert measured == {(n, k) for n in (20, 50, 134, 500) for k in (1, 3, 5)}


def test_reader_is_warned_where_a_paired_interval_is_short() -> None:
    paired = [line for line in DATA["differences"] if line["kind"] == "paired"]
    for line in paired:
        if line["these_students_other_tasks"] < 0.93:
            assert known_short("paired", line["tasks"], 0), line
        if line["other_seeds_other_tasks"] < 0.93:
            assert known_short("paired", line["tasks"], line["seeds"]), line
    assert min(line["these_students_other_tasks"] for line in paired) < 0.93


def test_differences_over_seeds_cover_what_they_are_about() -> None:
    for line in DATA["differences"]:
        if line["kind"] == "welch":
            assert line["other_seeds_these_tasks"] >= 0.93, line


def test_no_test_finds_more_than_it_may() -> None:
    for line in DATA["tests"]:
        if line["about"] != "methods, one seed each":
            assert line["share"] <= 0.055, line


def test_page_says_what_was_measured(benchmark: ModuleType) -> None:
    page = (ROOT / "docs/coverage.md").read_text(encoding="utf-8")
    assert page == benchmark.page_of(DATA)


def test_simulated_world_has_the_rate_it_is_asked_for(benchmark: ModuleType) -> None:
    centre = benchmark.centre_of(0.9)
    worlds = [benchmark.draw(np.random.default_rng(i), 400, 3, 1, centre) for i in range(200)]
    assert np.mean([world.outcomes.mean() for world in worlds]) == pytest.approx(0.9, abs=0.01)
    assert worlds[0].truths[2] == pytest.approx(0.9)
