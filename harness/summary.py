"""What a run amounts to, computed from its rows."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness.trajectory import Episode, Prompt, Usage

if TYPE_CHECKING:
    from harness.budget import Price


def wilson(successes: float, n: int, z: float = 1.959963984540054) -> tuple[float, float] | None:
    """Wilson score interval of a rate; None below two trials (Wilson 1927, without continuity)."""
    if n < 2:
        return None
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At the ends the bound is exact; rounding would leave it a hair inside.
    low = centre - half if rate > 0 else 0.0
    high = centre + half if rate < 1 else 1.0
    return max(0.0, low), min(1.0, high)


@dataclass(frozen=True)
class Row:
    """Aggregates of one task type, or of all. Rates are over scored episodes and their turns.

    `interval` is Wilson's with tasks as trials, since repeats of a task are not independent.

    `steps_over_optimal` is the number of steps that solved episodes took for each step that a
    shortest solution needs; `goal_conditions` is the mean share of goal conditions met. Both are
    None where the environment does not tell.
    """

    task_type: str
    planned: int
    scored: int
    successes: int
    success_rate: float | None
    interval: tuple[float, float] | None
    mean_score: float | None
    mean_steps: float | None
    steps_over_optimal: float | None
    goal_conditions: float | None
    invalid_rate: float | None
    prompt_tokens: int
    cached_tokens: int
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
        light = episode.model_copy(update={"turns": (), "prompt": Prompt()})
        groups[episode.task_type].append(light)
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
    tasks = len({(episode.env_id, episode.task_id) for episode in group})
    steps = sum(episode.n_steps for episode in group)
    solved = [e for e in group if e.success and e.optimal_steps]
    needed = sum(e.optimal_steps or 0 for e in solved)
    met = [r for e in group if (r := e.goal_condition_success_rate) is not None]
    return Row(
        task_type=name,
        planned=planned,
        scored=n,
        successes=successes,
        success_rate=successes / n if n else None,
        interval=wilson(successes * tasks / n, tasks) if n else None,
        mean_score=sum(e.score or 0.0 for e in group) / n if n else None,
        mean_steps=steps / n if n else None,
        steps_over_optimal=sum(e.n_steps for e in solved) / needed if needed else None,
        goal_conditions=sum(met) / len(met) if met else None,
        invalid_rate=sum(e.n_invalid for e in group) / steps if steps else None,
        prompt_tokens=sum(e.usage.prompt_tokens for e in group),
        cached_tokens=sum(e.usage.cached_tokens for e in group),
        completion_tokens=sum(e.usage.completion_tokens for e in group),
        wall_seconds=sum(e.wall_seconds for e in group),
    )


def as_json(rows: list[Row]) -> list[dict[str, Any]]:
    """Rows as plain data."""
    return [asdict(row) for row in rows]


class Spending:
    """What the attempts of a run have spent: a total of all, and a mean over scored episodes."""

    def __init__(self) -> None:
        self.scored, self.unscored = Usage(), Usage()
        self.n_scored, self.n_unscored = 0, 0

    def add(self, attempt: Episode) -> None:
        """Count an attempt, scored or not."""
        if attempt.outcome.scored:
            self.n_scored += 1
            self.scored += attempt.usage
        else:
            self.n_unscored += 1
            self.unscored += attempt.usage

    def as_json(self, price: Price | None) -> dict[str, Any]:
        """Plain data; costs are there when there is a price. Nothing is a mean but what says so."""
        parts = {
            "total": self.scored + self.unscored,
            "scored_total": self.scored,
            "unscored_total": self.unscored,
        }
        data: dict[str, Any] = {name: _usage(usage, price) for name, usage in parts.items()}
        data["mean_per_scored_episode"] = (
            {key: value / self.n_scored for key, value in data["scored_total"].items()}
            if self.n_scored
            else None
        )
        data["attempts"] = {"scored": self.n_scored, "unscored": self.n_unscored}
        data["currency"] = price.currency if price is not None else None
        return data

    def lines(self, price: Price | None) -> list[str]:
        """The same for people; empty when no model was called."""
        total = self.scored + self.unscored
        if not total.model_calls:
            return []
        lines = [f"total: {_words(total, price)} in {total.model_calls:,} model calls"]
        if self.unscored.model_calls:
            lines.append(f"of it in {self.n_unscored} attempts without a score: "
                         f"{_words(self.unscored, price)}")  # fmt: skip
        if self.n_scored:
            n = self.n_scored
            line = (
                f"mean per scored episode: {self.scored.prompt_tokens / n:,.0f} tokens in, "
                f"{self.scored.completion_tokens / n:,.0f} out"
            )
            if price is not None:
                line += f", {price.cost(self.scored) / n:.4g} {price.currency}"
            lines.append(line)
        return lines


def _usage(usage: Usage, price: Price | None) -> dict[str, float]:
    data: dict[str, float] = usage.model_dump()
    if price is not None:
        data["cost"] = price.cost(usage)
    return data


def _words(usage: Usage, price: Price | None) -> str:
    words = (
        f"{usage.prompt_tokens:,} tokens in ({usage.cached_tokens:,} cached), "
        f"{usage.completion_tokens:,} out"
    )
    return words if price is None else f"{words}, {price.cost(usage):.4g} {price.currency}"
