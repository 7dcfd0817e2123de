"""Figures: what is drawn, said and repeated."""

from __future__ import annotations

import itertools
import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import typer
from board_runs import play, student
from typer.testing import CliRunner

from harness.cli.figures import figures
from harness.errors import HarnessError
from leaderboards.curves import read_curve
from leaderboards.drawing import Drawing, inline, mark, save
from leaderboards.figures import draw
from leaderboards.report import make_report

SVG = "{http://www.w3.org/2000/svg}"
YES, NO = True, False
UNITS = {
    "success-parameters": ("parameters", "success, % of scored episodes"),
    "success-tokens": ("tokens per episode, in and out", "success, % of scored episodes"),
    "success-methods": ("success, % of scored episodes",),
    "training-curves": ("optimiser steps", "nats per row", "share of rows"),
}


def training(folder: Path, steps: int = 20, **record: object) -> Path:
    folder.mkdir(parents=True)
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(1, steps + 1):
            left = math.exp(-step / 10)
            line = {"step": step, "loss": left, "divergence/act": left, "accuracy/act": 1 - left}
            file.write(json.dumps(line) + "\n")
    (folder / "distillation.json").write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    base = tmp_path_factory.mktemp("runs")
    runs = [
        play(base / "expert", [YES] * 10, agent="expert"),
        play(base / "big", [YES] * 8 + [NO] * 2, model="hf:teachers/big", parameters=1_700_000_000),
        training(base / "training", method="sad", student="nano:S", seed=0),
    ]
    for method, size, seed in itertools.product(("sad", "$kd_x$"), (3_000_000, 9_000_000), (0, 1)):
        won = 4 + seed + (size > 5_000_000)
        name = f"{method.strip('$')}-{size}-{seed}"
        outcomes = [YES] * won + [NO] * (10 - won)
        run = student(base / name, outcomes, method=method, parameters=size, seed=seed)
        runs.append(run)
    return runs


@pytest.fixture(scope="module")
def drawn(folders: list[Path]) -> dict[str, Drawing]:
    return {drawing.name: drawing for drawing in draw(folders)}


def words(drawing: Drawing) -> list[str]:
    """The texts in a figure's SVG."""
    root = ElementTree.fromstring(inline(drawing).svg)
    return ["".join(node.itertext()).strip() for node in root.iter(f"{SVG}text")]


def test_all_figures_are_drawn(drawn: dict[str, Drawing]) -> None:
    assert list(drawn) == list(UNITS)


@pytest.mark.parametrize("name", list(UNITS))
def test_every_figure_says_its_units_and_its_n(name: str, drawn: dict[str, Drawing]) -> None:
    said = words(drawn[name])
    for unit in UNITS[name]:
        assert unit in said
    assert any("(n = " in text for text in said)
    assert "n is" in drawn[name].caption


def test_n_is_the_number_of_episodes_of_a_mark_and_seeds_stand_beside(
    drawn: dict[str, Drawing],
) -> None:
    said = words(drawn["success-parameters"])
    assert "sad (n = 20, 2 seeds)" in said
    assert "teacher: react big (n = 10)" in said
    assert "expert (n = 10)" in said
    assert "45.0 (n = 20, 2 seeds)" in words(drawn["success-methods"])


def test_teachers_differ_in_line_and_mark_and_are_named_in_bars(tmp_path: Path) -> None:
    big: dict[str, Any] = {"model": "hf:teachers/big", "parameters": 10**7}
    runs = [student(tmp_path / "s", [YES, NO, NO])]
    for choice, won in (("generate", NO), ("likelihood", YES)):
        name = f"teacher-with-a-long-name-{choice}"
        how = {"action_choice": choice}
        runs.append(play(tmp_path / name, [YES, won, NO], settings=how, **big))
    made = {drawing.name: drawing for drawing in draw(runs)}
    for name in ("success-parameters", "success-tokens"):
        legend: Any = made[name].figure.legends[0]
        looks = {
            text.get_text(): (handle.get_marker(), handle._dash_pattern)
            for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
            if text.get_text().startswith("teacher: ")
        }
        assert len(looks) == 2
        assert len(set(map(repr, looks.values()))) == 2
        made[name].figure.draw_without_rendering()
        box, page = legend.get_window_extent(), made[name].figure.bbox
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
    bars = words(made["success-methods"])
    assert sum(text.startswith("teacher: react") for text in bars) == 2


def test_points_alike_in_tokens_still_have_ticks_to_read_them_by(drawn: dict[str, Drawing]) -> None:
    axis = drawn["success-tokens"].figure.axes[0]
    low, high = axis.get_xlim()
    assert len([tick for tick in axis.get_xticks() if low <= tick <= high]) >= 2


def test_names_are_drawn_as_they_are(drawn: dict[str, Drawing]) -> None:
    assert "$kd_x$ (n = 20, 2 seeds)" in words(drawn["success-parameters"])


def test_the_same_runs_give_the_same_bytes(folders: list[Path], tmp_path: Path) -> None:
    drawings = {name: draw(folders)[2] for name in ("one", "two")}
    for kind in ("svg", "png", "pdf"):
        for name, drawing in drawings.items():
            save(drawing, tmp_path / f"{name}.{kind}")
        one, two = ((tmp_path / f"{name}.{kind}").read_bytes() for name in ("one", "two"))
        assert one == two


def test_figures_of_one_page_have_ids_of_their_own(drawn: dict[str, Drawing]) -> None:
    ids = [
        [node.attrib["id"] for node in ElementTree.fromstring(inline(one).svg).iter() if "id" in
         node.attrib]
        for one in drawn.values()
    ]  # fmt: skip
    assert not set(ids[0]) & set(ids[1])
    together = "".join(inline(one).svg for one in drawn.values())
    known = set(itertools.chain(*ids))
    assert all(part.partition('"')[0] in known for part in together.split('href="#')[1:])
    assert all(part.partition(")")[0] in known for part in together.split("url(#")[1:])


def test_a_page_gets_no_script_and_no_address(drawn: dict[str, Drawing]) -> None:
    for one in drawn.values():
        svg = inline(one).svg
        assert svg.startswith("<svg role=")
        assert "<script" not in svg
        assert "<metadata" not in svg


def test_neighbouring_series_differ_in_grey() -> None:
    for place in range(20):
        one, two = mark(place), mark(place + 1)
        assert (one.marker, one.line, one.hatch) != (two.marker, two.line, two.hatch)
        assert one.marker != two.marker
        assert one.line != two.line
        assert one.hatch != two.hatch


def test_a_report_in_html_has_its_figures(folders: list[Path]) -> None:
    runs = [folder for folder in folders if folder.name != "training"]
    assert [figure.title for figure in make_report(runs, figures=True).figures] == [
        "Success against parameters",
        "Success against tokens per episode",
        "Success by method",
    ]
    assert make_report(runs).figures == ()


def test_runs_without_a_model_give_bars_alone(tmp_path: Path) -> None:
    run = play(tmp_path / "expert", [YES, YES, NO], agent="expert")
    assert [drawing.name for drawing in draw([run])] == ["success-methods"]


def test_one_episode_is_drawn_without_an_interval(tmp_path: Path) -> None:
    run = play(tmp_path / "expert", [YES], agent="expert")
    assert "100.0 (n = 1)" in words(draw([run])[0])


def test_a_torn_last_line_is_passed_over_and_any_other_is_named(tmp_path: Path) -> None:
    folder = training(tmp_path / "t", steps=3)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    curve = read_curve(folder)
    assert curve is not None
    assert [line["step"] for line in curve.lines] == [1, 2, 3]
    with (folder / "metrics.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(HarnessError, match="line 4"):
        read_curve(folder)


def test_a_run_of_a_student_brings_the_curves_of_its_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # The folder that a student's run names is the one its training wrote.
    training(tmp_path / "students" / "sad-1000000-0", method="sad", student="nano:S", seed=0)
    run = student(tmp_path / "run", [YES, NO], method="sad", parameters=1_000_000)
    drawn = {one.name: one for one in draw([run, tmp_path / "students" / "sad-1000000-0"])}
    assert "sad nano:S (n = 1, 20 steps)" in words(drawn["training-curves"])


def command(*arguments: object) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(figures)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout


def test_the_command_writes_every_figure_in_every_format(
    folders: list[Path], tmp_path: Path
) -> None:
    code, said = command(*folders, "--out", tmp_path / "f", "--format", "svg,pdf")
    assert code == 0
    names = [f"{name}.{kind}" for name in UNITS for kind in ("svg", "pdf")]
    assert [Path(line).name for line in said.split()] == names
    assert all((tmp_path / "f" / name).stat().st_size > 1000 for name in names)


def test_a_format_that_is_none_is_named(folders: list[Path]) -> None:
    app = typer.Typer()
    app.command()(figures)
    result = CliRunner().invoke(app, [str(folders[0]), "--format", "gif"])
    assert isinstance(result.exception, HarnessError)
    assert "'gif'" in str(result.exception)
