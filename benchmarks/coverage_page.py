"""What `coverage.py` measures, line by line, and docs/coverage.md made from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from leaderboards import statistics


@dataclass(frozen=True)
class Coverage:
    """A line of the table: shares of replications in which an interval contains its quantity."""

    kind: str
    tasks: int
    seeds: int
    repeats: int
    rate: float
    these_students_other_tasks: float | None
    other_seeds_these_tasks: float | None
    other_seeds_other_tasks: float | None
    width: float


@dataclass(frozen=True)
class Alarm:
    """Share of replications in which a test at 5 % finds a difference that is not there."""

    test: str
    about: str
    tasks: int
    seeds: int
    share: float


@dataclass(frozen=True)
class Difference:
    """A line of the table of differences: two methods, seeds of their own, the same tasks."""

    kind: str
    tasks: int
    seeds: int
    repeats: int
    rates: tuple[float, float]
    these_students_other_tasks: float
    other_seeds_these_tasks: float
    other_seeds_other_tasks: float
    width: float


def wilson_range(n: int = 134) -> tuple[float, float]:
    """Least and greatest exact coverage of Wilson's interval for rates from 0.05 to 0.95."""
    solved = np.arange(n + 1)
    ends = np.array([statistics.wilson(int(k), n) for k in solved], dtype=np.float64)
    shares = []
    for rate in np.linspace(0.05, 0.95, 181):
        inside = (ends[:, 0] <= rate) & (rate <= ends[:, 1])
        shares.append(float(stats.binom.pmf(solved, n, rate)[inside].sum()))
    return min(shares), max(shares)


def page(
    intervals: list[Coverage], pairs: list[Difference], tests: list[Alarm], replications: int
) -> str:
    """docs/coverage.md."""
    low, high = wilson_range()
    lines = [
        "# How often the intervals are right",
        "",
        "Measured, not derived: students are simulated as `benchmarks/coverage.py` describes, "
        f"{replications:,} times a line (tests: {4 * replications:,}), so that a share of 95 % is "
        f"known to within {196 * math.sqrt(0.95 * 0.05 / replications):.1f} points. The command "
        "is `python benchmarks/coverage.py --write`.",
        "",
        "Wilson's interval alone can be computed exactly: with 134 tasks it covers "
        f"{100 * low:.1f} to {100 * high:.1f} % for every true rate from 5 to 95 %.",
        "",
        "## Intervals that say 95 %",
        "",
        "An interval about tasks (`wilson`, `bootstrap`) is made for *these students, other "
        "tasks*; one about training seeds (`seeds`, Student's t) for *other seeds, these tasks*; "
        "`tasks and seeds`, which is used from ten seeds on, for *other seeds, other tasks*. That "
        "is what a reader takes a method's number for; where an interval is short of it, the "
        "report says so.",
        "",
        "| interval | tasks | seeds | repeats | rate | these students, other tasks | "
        "other seeds, these tasks | other seeds, other tasks | mean width |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [_line(c, f"{100 * c.rate:.0f} %") for c in intervals]
    lines += [
        "",
        "## Differences that say 95 %",
        "",
        "Two methods with training seeds of their own on the same tasks. `paired` draws whole "
        "tasks and is made for *these students, other tasks*; `welch` is Welch's t over the means "
        "of the seeds and is made for *other seeds, these tasks*.",
        "",
        "| interval | tasks | seeds of each | repeats | rates | these students, other tasks | "
        "other seeds, these tasks | other seeds, other tasks | mean width |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [_line(d, " and ".join(f"{100 * r:.0f} %" for r in d.rates)) for d in pairs]
    lines += [
        "",
        "## Tests at 5 %",
        "",
        "Two methods that are the same: how often a difference is found all the same.",
        "",
        "| test | about | tasks | seeds | found |",
        "|---|---|--:|--:|--:|",
    ]
    lines += [
        f"| {a.test} | {a.about} | {a.tasks} | {a.seeds or '–'} | {100 * a.share:.1f} % |"
        for a in tests
    ]
    lines += [
        "",
        "The tests on tasks are exact or nearly so for the students at hand. The lines *methods, "
        "one seed each* show what happens when they are read as tests of methods: two students of "
        "one seed each do differ, by luck of training, and no test on tasks can tell that from a "
        "better method. The report warns of it. With several seeds it takes the larger p of sign "
        "flips and Welch's t.",
        "",
    ]
    return "\n".join(lines)


def _line(line: Coverage | Difference, rate: str) -> str:
    shares = (
        line.these_students_other_tasks,
        line.other_seeds_these_tasks,
        line.other_seeds_other_tasks,
    )
    shown = " | ".join(f"{100 * s:.1f} %" if s is not None else "–" for s in shares)
    return (
        f"| {line.kind} | {line.tasks} | {line.seeds} | {line.repeats} | {rate} | {shown} | "
        f"{100 * line.width:.1f} points |"
    )


def page_of(data: dict[str, Any]) -> str:
    """The page of measurements that were written before."""
    intervals = [Coverage(**line) for line in data["intervals"]]
    pairs = [Difference(**line) for line in data["differences"]]
    tests = [Alarm(**line) for line in data["tests"]]
    return page(intervals, pairs, tests, data["replications"])
