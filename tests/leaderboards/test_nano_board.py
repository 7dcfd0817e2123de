"""The plan of the first board: every command is one the product takes, and none looks ahead."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer
from nano import FOLDER, SCALE, modules


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Any:
    return modules(monkeypatch, "plan").plan


@pytest.fixture
def cells(plan: Any) -> Any:
    return plan.cells(plan.Scale.from_environment(SCALE))


def test_names_are_unique_and_every_cell_comes_after_what_it_needs(cells: Any) -> None:
    seen: set[str] = set()
    for cell in cells:
        assert cell.name not in seen
        assert set(cell.needs) <= seen, cell.name
        seen.add(cell.name)


def test_the_product_takes_every_command(cells: Any) -> None:
    import harness.cli

    harness.cli._mount()
    commands: Any = typer.main.get_command(harness.cli.app)
    for cell in cells:
        name, *words = cell.command
        command = commands.commands[name]
        command.make_context(name, [*words, "--out", str(cell.out)], resilient_parsing=False)


def test_every_recipe_takes_its_settings(cells: Any) -> None:
    pytest.importorskip("torch")
    from sad_distill.recipes import load_recipe

    values = {"{steps}": "690", "{tuning_steps}": "230"}
    for cell in (one for one in cells if one.trains):
        words = [w.replace("{rate:", "0.001 ").partition(" ")[0] for w in cell.command]
        words = [w.partition("{act:")[0] + "2.0" if "{act:" in w else w for w in words]
        for name, value in values.items():
            words = [w.replace(name, value) for w in words]
        pairs = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        recipe = load_recipe(words[words.index("--recipe") + 1], pairs)
        assert recipe.method == cell.about["method"] or cell.about["method"] == "teacher"


def test_all_methods_have_as_many_trials_and_as_many_steps(plan: Any, cells: Any) -> None:
    tried = Counter(c.about["method"] for c in cells if c.stage == "tuning" and c.trains)
    assert set(tried) == set(plan.METHODS)
    assert len(set(tried.values())) == 1
    steps = {
        tuple(word for word in cell.command if word.startswith("training.max_steps="))
        for cell in cells
        if cell.trains and cell.stage in ("main", "ablation")
    }
    assert steps == {("training.max_steps={steps}",)}


def test_nothing_is_chosen_on_the_split_that_is_reported(cells: Any) -> None:
    tuned = {c.about["split"] for c in cells if c.stage == "tuning" and not c.trains}
    assert tuned == {"valid_seen"}
    played = Counter(
        (c.needs[0], c.about["choice"]) for c in cells if c.about.get("split") == "valid_unseen"
    )
    assert set(played.values()) == {1}


def test_the_primary_scale_comes_first_and_then_that_of_the_tuning(plan: Any) -> None:
    scale = plan.Scale.from_environment(SCALE)
    sizes = [c.about["size"] for c in plan.cells(scale, "M") if c.stage == "main"]
    assert list(dict.fromkeys(sizes)) == ["M", "S", "XS"]
    first = [c.about["method"] for c in plan.cells(scale) if c.stage == "main" and c.trains][:6]
    assert first == list(plan.PRIMARY) * 3
    assert {c.name for c in plan.cells(scale, "M")} == {c.name for c in plan.cells(scale)}


def test_a_lost_trial_is_not_waited_for_but_a_method_without_trials_is_lost(
    plan: Any, cells: Any
) -> None:
    by_name = {cell.name: cell for cell in cells}
    trained = {f"tune-imitation-{n}" for n in range(3)}
    one = plan.without_hope(cells, {"tune-imitation-2"})
    assert one == {"tune-imitation-2", "tune-imitation-2-valid_seen-likelihood"}
    student = by_name["main-S-imitation-s0"]
    assert plan.excused(student, one) == {"tune-imitation-2-valid_seen-likelihood"}
    everything = plan.without_hope(cells, trained)
    assert "main-S-imitation-s0-valid_unseen-generate" in everything
    assert "main-S-sad-s0" not in everything


def test_the_script_lists_its_cells(tmp_path: Path) -> None:
    asked = subprocess.run(
        ["bash", str(FOLDER / "run.sh"), "--list", "--only", "main-S-sad-s0*"],
        capture_output=True, text=True, check=True, timeout=60,
        env={"PATH": "/usr/bin:/bin", "SAD_BOARD_DIR": str(tmp_path / "out")},
    )  # fmt: skip
    assert "main-S-sad-s0-valid_unseen-likelihood" in asked.stdout
    assert "0 of 11 cells are done" in asked.stdout
