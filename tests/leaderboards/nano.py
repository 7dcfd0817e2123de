"""The first board's modules, its scale, and plays of its cells with chosen outcomes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from board_runs import ALFWORLD, student

FOLDER = Path(__file__).parents[2] / "leaderboards" / "results" / "2026-11-24-nano"
MODULES = (
    *("plan", "state", "decide", "jobs", "steps", "played", "family", "tables", "write_up"),
    "drive",
)
SPLITS = "alfworld=train,valid_seen,valid_unseen webshop=learn,,report hotpotqa=learn,,report"
SCALE = {
    "BOARD_OUT": "out",
    "BOARD_TEACHER": "nano:L",
    "BOARD_SCALES": "XS=config:xs.json S=nano:S M=nano:M",
    "BOARD_MIDDLE": "S",
    "BOARD_SEEDS": "0 1 2",
    "BOARD_STEPS": "690",
    "BOARD_TUNING_STEPS": "230",
    "BOARD_EPOCHS": "2",
    "BOARD_TEACHER_EPOCHS": "3",
    "BOARD_PACK": "4096",
    "BOARD_ROWS": "2",
    "BOARD_RATES": "0.001 0.002 0.004",
    "BOARD_CONCURRENCY": "32",
    "BOARD_SPLITS": SPLITS,
}
ENVIRONMENTS = {"alfworld": ALFWORLD, "webshop": "sad/WebShop-v1", "hotpotqa": "sad/HotPotQA-v1"}
PARAMETERS = {"XS": 300_000, "S": 1_000_000, "M": 3_000_000}


def modules(monkeypatch: pytest.MonkeyPatch, *names: str) -> SimpleNamespace:
    """Modules of the board's folder, which is no package, all anew."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for known in MODULES:
        monkeypatch.delitem(sys.modules, known, raising=False)
    return SimpleNamespace(**{name: importlib.import_module(name) for name in names})


def finish(state: Any, cell: Any, **more: Any) -> None:
    """Write the record of a cell as the driver does when it is done."""
    record = {
        "name": cell.name,
        "stage": cell.stage,
        "about": dict(cell.about),
        "template": list(cell.command),
        "command": ["harness", *cell.command],
        "seconds": 60.0,
        "cpu_seconds": 90.0,
    }
    state.write("done", cell.name, record | more)


def write_play(cell: Any, outcomes: Sequence[bool]) -> None:
    """Write the run of a play; what a cell does not say of its student is made up."""
    about = {"seed": "0", "size": "S", **cell.about}
    student(
        cell.out,
        outcomes,
        method=about["method"],
        seed=int(about["seed"]),
        parameters=PARAMETERS[about["size"]],
        student=f"nano:{about['size']}",
        env_id=ENVIRONMENTS[about["env"]],
        split=about["split"],
    )


def standing(
    board: Any,
    out: Path,
    outcomes: Callable[[Any], Sequence[bool] | None],
    primary: str = "S",
    rule: str = "",
) -> Any:
    """A board whose main plays have these outcomes; None for those that are not done."""
    scale = board.plan.Scale.from_environment({**SCALE, "BOARD_OUT": str(out)})
    cells = board.plan.cells(scale, primary)
    state = board.state.State(out)
    for cell in cells:
        chosen = outcomes(cell) if cell.stage == "main" and not cell.trains else None
        if chosen is not None:
            write_play(cell, chosen)
            finish(state, cell)
    best = {"sad": 0.01, "token-kd-masked": 0.02} if rule else {}
    return board.played.Standing(
        scale, cells, state.done(cells), {}, board.decide.Primary(primary, rule, best)
    )
