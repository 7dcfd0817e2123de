"""What a run amounts to, computed from its rows."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
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
    scored: Iterable[Episode], unscored: Iterable[Episode], planned: Sequence[str]
) -> list[Row]:
    """A row per task type in alphabetical order when there are several, then `all`.

    Args:
        scored: rows of `episodes.jsonl`.
        unscored: attempts that are owed again; they tell the type of a task when nothing else does.
        planned: the task type of every episode the run owes, empty where it is not known before
            the episode begins.
    """
    groups: dict[str, list[Episode]] = defaultdict(list)
    done = set()
    for episode in scored:
        done.add(episode.key)
        groups[episode.task_type].append(episode.model_copy(update={"turns": ()}))
    owed = Counter(kind for kind in planned if kind)
    if not owed:
        tried = {e.key: e.task_type for e in unscored if e.key not in done}
        owed = Counter(filter(None, tried.values()))
        owed.update({kind: len(group) for kind, group in groups.items()})
    types = sorted(groups.keys() | owed.keys())
    everything = [episode for group in groups.values() for episode in group]
    rows = [_row(name, groups[name], owed[name]) for name in types] if len(types) > 1 else []
    return [*rows, _row("all", everything, len(planned))]


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
