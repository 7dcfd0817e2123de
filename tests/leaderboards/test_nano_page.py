"""The page of the first board: tables of what is done, the declared family, every note once."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from board_runs import student
from nano import modules, standing

from harness.errors import HarnessError
from leaderboards.statistics import holm, sign_flip

METHODS = ("sad", "token-kd-masked", "imitation", "token-kd")
GAMES = 40


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Any:
    return modules(monkeypatch, "plan", "state", "decide", "played", "family", "write_up")


def won(cell: Any) -> list[bool]:
    """Better methods solve more games; every seed and scale others."""
    worse = METHODS.index(cell.about["method"])
    shift = 7 * int(cell.about["seed"]) + 3 * "XS M".index(cell.about["size"][0])
    return [(i * 11 + shift) % GAMES < 24 - 4 * worse for i in range(GAMES)]


def written(board: Any, found: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(board.write_up, "_publish", lambda *_: None)
    board.write_up.write_up(found, {}, folder, "harness")
    return (folder / "README.md").read_text(encoding="utf-8")


def test_a_page_without_done_cells_has_no_results(
    board: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = standing(board, tmp_path / "out", lambda _: None)
    page = written(board, found, tmp_path / "page", monkeypatch)
    assert f"0 of {len(found.plan)} cells are done" in page
    assert "%" not in page
    assert json.loads((tmp_path / "page" / "cells.json").read_text())["cells"] == []


def test_every_paragraph_is_there_once_and_the_main_table_has_every_row(
    board: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = standing(board, tmp_path / "out", won)
    page = written(board, found, tmp_path / "page", monkeypatch)
    paragraphs = [p for p in page.split("\n") if len(p) > 60 and not p.startswith("| ---")]
    assert max(Counter(paragraphs).values()) == 1
    main = page.partition("## Main table")[2].partition("## ")[0]
    rows = [line for line in main.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 12
    assert [row.split("|")[2].strip() for row in rows[:4]] == ["S"] * 4
    assert page.count("95 % intervals in brackets") == 1
    assert (tmp_path / "page" / "figures" / "success-parameters.svg").exists()


def test_the_primary_comparison_is_averaged_over_seeds_paired_by_game_and_not_adjusted(
    board: Any, tmp_path: Path
) -> None:
    found = standing(board, tmp_path, won)
    family = board.family.declared(board.played.Played(found))
    (primary,) = [one for one in family if one.primary]
    cells = {(c.about["method"], c.about["seed"]): won(c) for c in found.plays(
        stage="main", size="S", choice="likelihood")}  # fmt: skip
    differences = [
        sum(cells["sad", s][i] - cells["token-kd-masked", s][i] for s in "012") / 3
        for i in range(GAMES)
    ]
    assert primary.found.difference == pytest.approx(sum(differences) / GAMES)
    assert primary.found.test == "sign flips"
    assert primary.p_games == pytest.approx(sign_flip(differences))
    assert primary.found.p_seeds == primary.p_seeds


def test_the_seventeen_others_are_one_family(board: Any, tmp_path: Path) -> None:
    found = standing(board, tmp_path, won)
    family = board.family.declared(board.played.Played(found))
    others = [one for one in family if not one.primary]
    assert len(others) == 17
    assert [one.p_games for one in others] == holm([one.found.p_tasks for one in others])
    tested = [one for one in others if one.found.p_seeds is not None]
    assert [one.p_seeds for one in tested] == holm([one.found.p_seeds for one in tested])


def test_when_the_scale_is_moved_the_page_says_so_first_and_the_family_follows(
    board: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = standing(board, tmp_path / "out", won, primary="M", rule="floor")
    family = board.family.declared(board.played.Played(found))
    assert [(o.size, o.method, o.choice) for o in family if o.primary] == [
        ("M", "token-kd-masked", "likelihood")
    ]
    page = written(board, found, tmp_path / "page", monkeypatch)
    assert page.splitlines()[2].startswith("> **The primary scale.** On valid_seen")
    assert "at scale M, by the rule of the design" in page
    assert "scale M, actions by likelihood" in page


def test_a_seed_that_lacks_one_of_two_methods_is_shown_and_not_in_their_test(
    board: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def some(cell: Any) -> list[bool] | None:
        about = cell.about
        late = about["seed"] == "2" and about["method"] in METHODS[1:3]
        return None if about["size"] != "S" or late else won(cell)

    found = standing(board, tmp_path / "out", some)
    family = board.family.declared(board.played.Played(found))
    (primary,) = [one for one in family if one.primary]
    assert primary.seeds == (0, 1)
    seeds = {one.method: one.seeds for one in family if one.size == "S"}
    assert seeds == {METHODS[1]: (0, 1), METHODS[2]: (0, 1), METHODS[3]: (0, 1, 2)}
    assert all(one.found is None for one in family if one.size != "S")
    page = written(board, found, tmp_path / "page", monkeypatch)
    main = page.partition("## Main table")[2].partition("## ")[0]
    rows = [line.split("|")[6].strip() for line in main.splitlines() if "| S " in line]
    assert rows == ["3", "2", "2", "3"]
    assert "2 of 3 training seeds" in page


def test_two_methods_are_tested_as_soon_as_a_seed_has_both(board: Any, tmp_path: Path) -> None:
    found = standing(
        board, tmp_path, lambda c: won(c) if c.about["method"] in METHODS[:2] else None
    )
    family = board.family.declared(board.played.Played(found))
    tested = {one.method for one in family if one.found is not None}
    assert tested == {METHODS[1]}


def test_a_method_that_failed_for_good_does_not_keep_its_seed_from_the_tests(
    board: Any, tmp_path: Path
) -> None:
    gone = "main-S-token-kd-s0"
    found = standing(board, tmp_path, lambda c: None if c.name.startswith(gone) else won(c))
    found.failed[gone] = {"times": 2, "reason": "it broke"}
    family = board.family.declared(board.played.Played(found))
    seeds = {o.method: o.seeds for o in family if (o.size, o.choice) == ("S", "likelihood")}
    assert seeds == {"token-kd-masked": (0, 1, 2), "imitation": (0, 1, 2), "token-kd": (1, 2)}


def test_runs_that_differ_in_a_setting_are_not_averaged(board: Any, tmp_path: Path) -> None:
    found = standing(board, tmp_path, lambda c: won(c) if c.about["seed"] == "0" else None)
    odd = found.plays(stage="main", method="sad", size="S", choice="likelihood")[1]
    student(
        odd.out, won(odd), seed=1, student="nano:S",
        settings={"training": {"seed": 1, "learning_rate": 0.5}},
    )  # fmt: skip
    found.done[odd.name] = {"seconds": 1.0, "cpu_seconds": 1.0}
    with pytest.raises(HarnessError, match=r"learning_rate=0\.5"):
        board.played.Played(found).main("sad", "S", "likelihood", (0, 1))
