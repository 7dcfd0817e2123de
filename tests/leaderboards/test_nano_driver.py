"""The driver of the first board: what is decided by rule, and what failing twice means."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from board_runs import play
from nano import FOLDER, MODULES, SCALE, finish, modules, write_play

TRIES = 3


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Any:
    return modules(monkeypatch, "plan", "state", "decide", "steps", "drive")


@pytest.fixture
def scale(board: Any, tmp_path: Path) -> Any:
    return board.plan.Scale.from_environment({**SCALE, "BOARD_OUT": str(tmp_path)})


def tune(board: Any, scale: Any, best: dict[str, float]) -> None:
    """Finish all trials; the second of each method is the best."""
    state, cells = board.state.State(scale.out), board.plan.cells(scale)
    for method, success in best.items():
        for number, cell in enumerate(board.decide.trials_of(method, cells)):
            finish(state, cell, success=success if number == 1 else success / 2)
    board.decide.decide(scale, cells, state)


@pytest.mark.parametrize(
    ("best", "size", "rule"),
    [
        ((0.30, 0.28), "S", ""),
        ((0.049, 0.04), "M", "floor"),
        ((0.05, 0.0), "S", ""),
        ((0.96, 0.97), "M", "ceiling"),
        ((0.96, 0.95), "S", ""),
    ],
)
def test_floor_and_ceiling_move_the_primary_scale(
    board: Any, scale: Any, best: tuple[float, float], size: str, rule: str
) -> None:
    tune(board, scale, dict(zip(("sad", "token-kd-masked"), best, strict=True)))
    state = board.state.State(scale.out)
    found = board.decide.known_primary(scale, state)
    assert (found.size, found.rule) == (size, rule)
    kept = state.read("", "primary")
    assert kept["best"] == {"sad": best[0], "token-kd-masked": best[1]}
    assert (kept["floor"], kept["ceiling"]) == (0.05, 0.95)


def test_the_order_follows_the_rule(board: Any, scale: Any) -> None:
    driver = board.drive.Board(scale)
    before = [c.about["size"] for c in driver.chosen() if c.stage == "main"]
    tune(board, scale, {"sad": 0.0, "token-kd-masked": 0.0})
    after = [c.about["size"] for c in driver.chosen() if c.stage == "main"]
    assert (before[0], after[0]) == ("S", "M")
    smoke = [c.name for c in board.drive.Board(scale, smoke=True).chosen()]
    assert "main-M-token-kd-masked-s2" in smoke
    assert "main-S-token-kd-masked-s2" not in smoke


def test_nothing_is_decided_while_a_trial_is_left(board: Any, scale: Any) -> None:
    state, cells = board.state.State(scale.out), board.plan.cells(scale)
    for cell in board.decide.trials_of("sad", cells)[:2]:
        finish(state, cell, success=0.5)
    board.decide.decide(scale, cells, state)
    assert state.read("choice", "sad") is None
    assert not board.decide.known_primary(scale, state).decided


def test_the_best_trial_is_chosen_the_first_of_equals_and_fills_the_commands(
    board: Any, scale: Any
) -> None:
    tune(board, scale, {"sad": 0.3, "token-kd-masked": 0.0})
    state = board.state.State(scale.out)
    assert state.read("choice", "sad")["chosen"]["act"] == "2"
    assert state.read("choice", "token-kd-masked")["chosen"]["rate"] == "0.001"
    driver = board.drive.Board(scale)
    by_name = {cell.name: cell for cell in driver.cells}
    words = driver._filled(by_name["ablation-S-sad-random-spans-s0"])
    assert "spans.weights.random-act=2" in words
    assert "training.max_steps=690" in words
    assert not any("{" in word for word in words)


def test_a_lost_trial_is_chosen_around(board: Any, scale: Any) -> None:
    state, cells = board.state.State(scale.out), board.plan.cells(scale)
    trials = board.decide.trials_of("sad", cells)
    for cell in trials[:2]:
        finish(state, cell, success=0.2)
    training = next(c for c in cells if c.name == trials[2].needs[0])
    for _ in range(2):
        state.fail(training, 2, "not a number", Path("log"))
    board.decide.decide(scale, cells, state)
    assert [one["rate"] for one in state.read("choice", "sad")["tried"]] == ["0.002", "0.002"]


def test_steps_are_what_no_order_falls_short_of(board: Any, scale: Any) -> None:
    found = {"main-S-sad-s0": 701, "main-S-imitation-s0": 699, "tune-sad-0": 7, "tune-sad-1": 8}
    kept = board.steps.summary(scale, found)
    assert (kept["steps"], kept["tuning_steps"]) == (690, 7)
    assert kept["cut"] == pytest.approx(1 - 690 / 701, abs=1e-4)


def test_steps_that_were_counted_are_taken_unless_given_or_of_another_packing(
    board: Any, tmp_path: Path
) -> None:
    values = {**SCALE, "BOARD_OUT": str(tmp_path), "BOARD_STEPS": "", "BOARD_TUNING_STEPS": ""}
    scale = board.plan.Scale.from_environment(values)
    assert board.steps.known_steps(scale) == (None, None)
    kept = board.steps.summary(scale, {"main-S-sad-s0": 123, "tune-sad-0": 45})
    (tmp_path / "steps.json").write_text(json.dumps(kept))
    assert board.steps.known_steps(scale) == (120, 40)
    given = board.plan.Scale.from_environment({**values, "BOARD_STEPS": "50"})
    assert board.steps.known_steps(given) == (50, 40)
    other = board.plan.Scale.from_environment({**values, "BOARD_EPOCHS": "3"})
    assert board.steps.known_steps(other) == (None, None)


def run(out: Path, harness: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The driver with a command of its own; the page is not made."""
    code = (
        "import sys; sys.argv[0] = 'run.sh'; import drive; "
        "drive.Board.write_up = lambda *_: None; "
        f"drive.Board.__init__.__globals__['sys'].executable = {str(harness.parent / 'python')!r}; "
        "raise SystemExit(drive.main())"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60,
        check=False, env={**os.environ, **SCALE, "BOARD_OUT": str(out), "PYTHONPATH": str(FOLDER)},
    )  # fmt: skip


@pytest.fixture
def harness(tmp_path: Path) -> Path:
    """A command that fails as long as there is no file `mended` beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "harness"
    command.write_text(
        f"#!{sys.executable}\n"
        "import json, pathlib, sys\n"
        "if not (pathlib.Path(__file__).parent / 'mended').exists():\n"
        "    print('error: out of something'); sys.exit(2)\n"
        "out = pathlib.Path(sys.argv[sys.argv.index('--out') + 1]); out.mkdir(parents=True)\n"
        "(out / 'config.json').write_text(json.dumps({'digest': 'd'}))\n"
        "(out / 'episodes.jsonl').write_text(json.dumps({'success': True}) + '\\n')\n"
    )
    command.chmod(0o755)
    return command


def test_a_cell_is_left_after_failing_twice_until_it_is_mended(
    board: Any, tmp_path: Path, harness: Path
) -> None:
    out = tmp_path / "out"
    asked = ("--only", "expert-alfworld")
    first, second, third = (run(out, harness, *asked) for _ in range(TRIES))
    assert first.returncode == second.returncode == third.returncode == 1
    assert "the next call tries it again" in first.stdout
    assert "it is left" in second.stdout
    assert "expert-alfworld: FAILED" not in third.stdout
    assert "--retry NAME" in third.stdout
    listed = run(out, harness, "--list").stdout
    assert "failed: error: out of something" in listed
    assert "waits for one that failed" in listed
    (harness.parent / "mended").touch()
    assert run(out, harness, *asked, "--retry", "expert-alfworld").returncode == 0
    state = board.state.State(out)
    assert state.read("failed", "expert-alfworld")["mended"] == ["error: out of something"]
    assert state.read("done", "expert-alfworld")["success"] == 1.0


def test_retry_names_a_cell_that_failed(tmp_path: Path, harness: Path) -> None:
    asked = run(tmp_path / "out", harness, "--retry", "teacher-alfworld")
    assert asked.returncode == 2
    assert "no cell that failed is called 'teacher-alfworld'" in asked.stderr


def test_what_another_command_did_is_refused(board: Any, tmp_path: Path, harness: Path) -> None:
    out = tmp_path / "out"
    scale = board.plan.Scale.from_environment({**SCALE, "BOARD_OUT": str(out)})
    cell = board.plan.cells(scale)[0]
    finish(board.state.State(out), cell, template=["run", "--agent", "random"])
    asked = run(out, harness, "--only", "expert-alfworld")
    assert asked.returncode == 2
    assert "done by other commands" in asked.stderr


def test_the_smoke_goes_the_whole_way(
    board: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command is answered by what it would leave; no game is solved, so the floor holds."""
    written = modules(monkeypatch, *MODULES)
    scale = written.plan.Scale.from_environment(
        {**SCALE, "BOARD_OUT": str(tmp_path / "out"), "BOARD_SEEDS": "0 1"}
    )
    driver = written.drive.Board(scale, smoke=True)
    called: list[list[str]] = []
    running: list[str] = []

    def answer(name: str, words: list[str], *_: Any) -> None:
        called.append(words)
        running.append(name)
        cell = next(c for c in driver.cells if str(c.out) == words[-1])
        cell.out.parent.mkdir(parents=True, exist_ok=True)
        if cell.trains:
            cell.out.mkdir()
            (cell.out / "model.safetensors").write_bytes(b"weights")
            made = {"ended": "done", "steps": 690, "tokens": 1, "parameters": 1, "settings": {}}
            made["settings"] = {"training": {"max_steps": 690 if cell.about.get("size") else None}}
            (cell.out / "distillation.json").write_text(json.dumps(made))
        elif cell.name.startswith("expert-"):
            play(cell.out, [True] * 4, agent="expert", split=cell.about.get("split", "train"))
        else:
            write_play(cell, [False] * 4)

    class Answered:
        """Jobs that have done their work before anybody waits for them."""

        __len__ = running.__len__
        __contains__ = running.__contains__
        start = staticmethod(answer)

        @staticmethod
        def wait() -> Any:
            return written.jobs.Ended(running.pop(0), 0, 60.0, 90.0)

        @staticmethod
        def interrupt() -> list[Any]:
            return []

    driver.jobs, driver.at_once = Answered(), 2
    monkeypatch.setattr(written.write_up, "_publish", lambda *_: None)
    assert driver.run(None) == 0
    driver.write_up(tmp_path / "page")
    names = [Path(words[-1]).name for words in called]
    assert len(names) == len(set(names)) == len(driver.chosen())
    assert {"main-M-sad-s1", "main-S-sad-s0", "hotpotqa-S-sad-s0"} <= set(names)
    assert "main-S-sad-s1" not in names
    assert not any("{" in word for words in called for word in words)
    page = (tmp_path / "page" / "README.md").read_text(encoding="utf-8")
    assert "at scale M, by the rule of the design" in page
    assert "2 of 2 training seeds" in page
