"""Two runs task by task."""

from __future__ import annotations

from pathlib import Path

import pytest
from board_runs import play, result, write_run

from harness.errors import HarnessError
from harness.store import read_episodes
from leaderboards.compare import compare
from leaderboards.render import render
from leaderboards.table import Report


def texts(report: Report, key: str) -> list[list[str]]:
    table = next(t for t in report.tables if t.key == key)
    return [[cell.text for cell in row.cells] for row in table.rows]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    one = play(tmp_path / "one", [True] * 8 + [False] * 4, model="smollm2")
    two = play(tmp_path / "two", [True] * 3 + [False] * 8 + [True], agent="random")
    return one, two


def test_table_counts_who_is_better_where(pair: tuple[Path, Path]) -> None:
    first = texts(compare(*pair), "success")[0]
    assert first[:3] == ["all tasks", "12", "66.7"]
    assert first[3] == "33.3"
    assert first[4].startswith("+33.3 [")
    assert first[5:8] == ["5", "1", "0.219"]


def test_every_task_type_has_a_line(pair: tuple[Path, Path]) -> None:
    assert [row[0] for row in texts(compare(*pair), "success")] == [
        "all tasks", "clean", "heat", "put",
    ]  # fmt: skip


def test_tasks_that_differ_are_listed_with_both_trajectories(pair: tuple[Path, Path]) -> None:
    made = compare(*pair, beside=pair[0].parent)
    table = next(t for t in made.tables if t.key == "tasks")
    assert table.title == "The 6 of 12 tasks where they differ"
    assert [row.cells[0].text for row in table.rows] == ["t3", "t4", "t5", "t6", "t7", "t11"]
    links = [cell.link for cell in table.rows[-1].cells if cell.link]
    assert links == ["one/episodes.jsonl#L12", "two/episodes.jsonl#L12"]
    assert list(read_episodes(pair[0]))[11].task_id == "t11"


def test_links_lead_into_a_site(pair: tuple[Path, Path]) -> None:
    made = compare(*pair, site=pair[0].parent / "site", beside=pair[0].parent)
    table = next(t for t in made.tables if t.key == "tasks")
    links = [cell.link for cell in table.rows[0].cells if cell.link]
    assert links == [
        "site/index.html#/episode?run=one&task=t3&with=two",
        "site/index.html#/episode?run=two&task=t3&with=one",
    ]


def test_partial_scores_have_a_table_of_their_own(tmp_path: Path) -> None:
    runs = [
        play(tmp_path / name, [False] * 6, agent=name, scores=[s] * 6)
        for name, s in (("random", 0.25), ("expert", 0.5))
    ]
    made = compare(*runs)
    assert texts(made, "score")[0][4].startswith("-25.0")
    assert next(t for t in made.tables if t.key == "tasks").title.startswith("The 6 of 6")


def test_tasks_of_one_run_alone_are_left_out_and_counted(tmp_path: Path) -> None:
    one = play(tmp_path / "one", [True] * 5, agent="expert")
    two = play(tmp_path / "two", [True] * 3, agent="random")
    made = compare(one, two)
    assert made.warnings == ("Tasks that one run alone has scored are left out: 2 of one.",)
    assert texts(made, "success")[0][1] == "3"


def test_other_versions_are_refused(tmp_path: Path) -> None:
    one = play(tmp_path / "one", [True], agent="expert", env_version="v+1")
    two = play(tmp_path / "two", [True], agent="random", env_version="v+2")
    with pytest.raises(HarnessError, match=r"v\+1 \(one\) and v\+2 \(two\)"):
        compare(one, two)


def test_other_environments_are_refused(tmp_path: Path) -> None:
    one = play(tmp_path / "one", [True], agent="expert")
    two = play(tmp_path / "two", [True], agent="expert", env_id="sad/WebShop-v1")
    with pytest.raises(HarnessError, match="expected two runs of one environment and split"):
        compare(one, two)


def test_the_same_run_is_refused(pair: tuple[Path, Path]) -> None:
    with pytest.raises(HarnessError, match="are the same run"):
        compare(pair[0], pair[0])


def test_runs_without_a_common_task_are_refused(tmp_path: Path) -> None:
    one, two = (
        write_run(tmp_path / task, [result(task, True, agent=agent, model=None)])
        for task, agent in (("t1", "expert"), ("t2", "random"))
    )
    with pytest.raises(HarnessError, match="no scored task in common"):
        compare(one, two)


def test_every_format_renders_it(pair: tuple[Path, Path]) -> None:
    for form in ("md", "csv", "latex", "html", "json"):
        assert "t11" in render(compare(*pair), form)


def test_intervals_of_few_tasks_are_said_to_be_short(pair: tuple[Path, Path]) -> None:
    assert any("a bootstrap over 4 tasks covers less" in note for note in compare(*pair).notes)
