"""What a run amounts to, computed from its rows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from harness.trajectory import Episode


def wilson(successes: int, n: int, z: float = 1.959963984540054) -> tuple[float, float] | None:
    """Wilson score interval of a rate; None below two trials (Wilson 1927, without continuity)."""
    if n < 2:
        return None
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class Row:
    """Aggregates of one task type, or of all. Rates are over scored episodes and their turns."""

    task_type: str
    planned: int
    scored: int
    successes: int
    success_rate: float | None
    interval: tuple[float, float] | None
    mean_score: float | None
    mean_steps: float | None
    invalid_rate: float | None
    prompt_tokens: int
    completion_tokens: int
    wall_seconds: float


def summarise(
    episodes: Iterable[Episode], planned: dict[str, int], *, unscored: int = 0
) -> list[Row]:
    """A row per task type in alphabetical order, then `all`.

    Args:
        episodes: scored rows.
        planned: episodes the run owes, by task type; types not yet seen are under an empty name.
    """
    groups: dict[str, list[Episode]] = defaultdict(list)
    for episode in episodes:
        slim = episode.model_copy(update={"turns": (), "prompt": None})
        groups[episode.task_type].append(slim)
        groups["all"].append(slim)
    rows = [
        _row(name, groups[name], planned.get(name, len(groups[name])))
        for name in sorted(groups)
        if name != "all"
    ]
    if len(rows) == 1:
        rows = []
    return [*rows, _row("all", groups["all"], planned["all"])]


def _row(name: str, group: list[Episode], planned: int) -> Row:
    n = len(group)
    successes = sum(bool(episode.success) for episode in group)
    steps = sum(episode.n_steps for episode in group)
    return Row(
        task_type=name,
        planned=planned,
        scored=n,
        successes=successes,
        success_rate=successes / n if n else None,
        interval=wilson(successes, n),
        mean_score=sum(e.score or 0.0 for e in group) / n if n else None,
        mean_steps=steps / n if n else None,
        invalid_rate=sum(e.n_invalid for e in group) / steps if steps else None,
        prompt_tokens=sum(e.usage.prompt_tokens for e in group),
        completion_tokens=sum(e.usage.completion_tokens for e in group),
        wall_seconds=sum(e.wall_seconds for e in group),
    )


def as_json(rows: list[Row]) -> list[dict[str, Any]]:
    """Rows as plain data."""
    return [asdict(row) for row in rows]
