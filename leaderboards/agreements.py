"""What `harness agreement` measured of a model, for the row and column it belongs to.

`agreement.json` is looked for in the run directories of the row and in the checkpoints they played
with. Keys read: `cot_match` and `action_match`, shares of `n_turns` turns; `env_id` and `weights`,
where they are there, must be those of the run. Several seeds are averaged over their turns. What
was not measured is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaderboards.files import read_object
from leaderboards.players import column_of
from leaderboards.results import Result
from leaderboards.runs import Run

AGREEMENT = "agreement.json"


@dataclass(frozen=True)
class Agreement:
    """Shares of the teacher's turns that the model reproduces, in [0, 1]."""

    cot_match: float | None
    action_match: float | None
    n_turns: int


def agreement_of(result: Result) -> Agreement | None:
    """The agreement of a row in an environment; None where none was measured."""
    runs = [run for run in result.player.runs if column_of(run) == result.column]
    found = {}
    for run in runs:
        for path in _places(run):
            data = read_object(path)
            if data.get("env_id", run.env_id) == run.env_id and _is_of(data, run):
                found[path] = data
                break
    if not found:
        return None
    parts = list(found.values())
    return Agreement(
        _mean(parts, "cot_match"),
        _mean(parts, "action_match"),
        sum(int(part.get("n_turns") or 0) for part in parts),
    )


def _places(run: Run) -> Iterator[Path]:
    folders = [run.path]
    if run.model is not None and ":" in run.model:
        folders.append(Path(run.model.partition(":")[2]))
    for folder in folders:
        if (folder / AGREEMENT).is_file():
            yield folder / AGREEMENT


def _is_of(data: dict[str, Any], run: Run) -> bool:
    weights = data.get("weights")
    return weights is None or run.weights is None or weights == run.weights


def _mean(parts: list[dict[str, Any]], key: str) -> float | None:
    known = [(part[key], part.get("n_turns") or 1) for part in parts if part.get(key) is not None]
    total = sum(n for _, n in known)
    return sum(value * n for value, n in known) / total if total else None
