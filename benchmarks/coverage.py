"""How often the board's intervals contain what they are about, and how often its tests cry wolf.

    python benchmarks/coverage.py [--replications N] [--write]

Students are simulated: the log-odds that a student solves a task are a mean, plus the task's
difficulty (standard deviation 1.5), plus what its training seed gave (0.3: at a rate of 50 %,
seeds then spread by about 5 points). Every interval is asked about three quantities, and the table
shows all of them: the rate of *these students on other tasks*, of *other seeds on these tasks*, and
of *other seeds on other tasks*, which is what a reader takes a board's number for.

`--write` renews docs/coverage.md and leaderboards/coverage.json, against which the tests hold the
warnings of `leaderboards.statistics.known_short`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaderboards import statistics

__all__ = ["page_of"]

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

from coverage_page import Alarm, Coverage, Difference, page, page_of, wilson_range  # noqa: E402

SIZES = (20, 50, 134, 500)
RATES = (0.5, 0.9)
PAIRS = ((0.6, 0.5), (0.95, 0.9))
TASK_SPREAD, SEED_SPREAD = 1.5, 0.3
RESAMPLES = 999
DATA = ROOT / "leaderboards/coverage.json"
POINTS = np.polynomial.hermite_e.hermegauss(41)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Students of one method on some tasks.

    Attributes:
        outcomes: shares solved over the repeats, [tasks, seeds].
        truths: the three quantities, in the order of `Coverage`.
    """

    outcomes: Floats
    truths: tuple[float, float, float]


def expit(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def mean_over(centre: Floats, spread: float) -> Floats:
    """The mean of expit over a normal distribution about each centre."""
    nodes, weights = POINTS
    values = expit(np.asarray(centre)[..., None] + spread * nodes)
    return np.asarray(values @ weights / math.sqrt(2 * math.pi))


@cache
def centre_of(rate: float) -> float:
    """The mean log-odds at which other seeds on other tasks succeed at `rate`."""
    total = math.hypot(TASK_SPREAD, SEED_SPREAD)
    low, high = -12.0, 12.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        below = float(mean_over(np.array(middle), total)) < rate
        low, high = (middle, high) if below else (low, middle)
    return low


def draw(rng: np.random.Generator, tasks: int, seeds: int, repeats: int, centre: float) -> World:
    """One replication."""
    difficulty = rng.normal(0, TASK_SPREAD, tasks)
    luck = rng.normal(0, SEED_SPREAD, seeds)
    odds = centre + difficulty[:, None] + luck
    outcomes = rng.binomial(repeats, expit(odds)) / repeats
    truths = (
        float(mean_over(centre + luck, TASK_SPREAD).mean()),
        float(mean_over(centre + difficulty, SEED_SPREAD).mean()),
        float(mean_over(np.array(centre), math.hypot(TASK_SPREAD, SEED_SPREAD))),
    )
    return World(outcomes, truths)


Interval = tuple[float, float] | None


def wilson(world: World, repeats: int) -> Interval:
    return statistics.wilson(float(world.outcomes.sum()), len(world.outcomes))


def bootstrap(world: World, repeats: int) -> Interval:
    sums = world.outcomes.sum(1) * repeats
    counts = np.full(len(sums), world.outcomes.shape[1] * repeats)
    return statistics.cluster_bootstrap(sums, counts, resamples=RESAMPLES)


def over_seeds(world: World, repeats: int) -> Interval:
    return statistics.seed_interval(world.outcomes.mean(0))


def tasks_and_seeds(world: World, repeats: int) -> Interval:
    return statistics.tasks_and_seeds(world.outcomes, resamples=RESAMPLES)


KINDS: dict[str, tuple[Callable[[World, int], Interval], tuple[tuple[int, int], ...]]] = {
    "wilson": (wilson, ((1, 1),)),
    "bootstrap": (bootstrap, ((1, 3), (3, 1), (5, 1))),
    "seeds": (over_seeds, ((3, 1), (5, 1))),
    "tasks and seeds": (tasks_and_seeds, ((10, 1),)),
}
"""Interval to what makes it, and the (seeds, repeats) it is measured at."""


def coverages(replications: int, rng: np.random.Generator) -> Iterator[Coverage]:
    """Every line of the table of intervals; a missing interval contains nothing."""
    for kind, (make, designs) in KINDS.items():
        for seeds, repeats in designs:
            for rate in RATES:
                centre = centre_of(rate)
                for tasks in SIZES if kind != "tasks and seeds" else SIZES[:3]:
                    hits = np.zeros(3)
                    width = 0.0
                    for _ in range(replications):
                        world = draw(rng, tasks, seeds, repeats, centre)
                        low, high = make(world, repeats) or (math.nan, math.nan)
                        hits += [low <= truth <= high for truth in world.truths]
                        width += min(1.0, high) - max(0.0, low) if low <= high else 0.0
                    shares = [float(round(hit / replications, 4)) for hit in hits]
                    mean_width = round(width / replications, 4)
                    line = (kind, tasks, seeds, repeats, rate)
                    yield Coverage(*line, shares[0], shares[1], shares[2], mean_width)


def paired(one: Floats, two: Floats) -> Interval:
    differences = one.mean(1) - two.mean(1)
    return statistics.paired_interval(differences, resamples=RESAMPLES)


def welch(one: Floats, two: Floats) -> Interval:
    return statistics.seed_difference(one.mean(0), two.mean(0))[0]


DIFFERENCES: dict[str, tuple[Callable[[Floats, Floats], Interval], tuple[tuple[int, int], ...]]] = {
    "paired": (paired, ((1, 1), (1, 3), (3, 1), (5, 1))),
    "welch": (welch, ((3, 1), (5, 1))),
}
"""Interval of a difference to what makes it, and the (seeds, repeats) it is measured at."""


def draw_two(
    rng: np.random.Generator, tasks: int, seeds: int, repeats: int, rates: tuple[float, float]
) -> tuple[Floats, Floats, Floats]:
    """One replication: outcomes of both methods, [tasks, seeds], and the three true differences."""
    difficulty = rng.normal(0, TASK_SPREAD, tasks)
    outcomes, truths = [], []
    for rate in rates:
        centre, luck = centre_of(rate), rng.normal(0, SEED_SPREAD, seeds)
        odds = centre + difficulty[:, None] + luck
        outcomes.append(rng.binomial(repeats, expit(odds)) / repeats)
        truths.append(
            (
                mean_over(centre + luck, TASK_SPREAD).mean(),
                mean_over(centre + difficulty, SEED_SPREAD).mean(),
                rate,
            )
        )
    return outcomes[0], outcomes[1], np.subtract(*map(np.array, truths))


def differences(replications: int, rng: np.random.Generator) -> Iterator[Difference]:
    """Every line of the table of differences; a missing interval contains nothing."""
    for kind, (make, designs) in DIFFERENCES.items():
        for seeds, repeats in designs:
            for rates in PAIRS:
                for tasks in SIZES:
                    hits, width = np.zeros(3), 0.0
                    for _ in range(replications):
                        one, two, truths = draw_two(rng, tasks, seeds, repeats, rates)
                        low, high = make(one, two) or (math.nan, math.nan)
                        hits += [low <= truth <= high for truth in truths]
                        width += min(1.0, high) - max(-1.0, low) if low <= high else 0.0
                    shares = [float(round(hit / replications, 4)) for hit in hits]
                    mean_width = round(width / replications, 4)
                    line = (kind, tasks, seeds, repeats, rates)
                    yield Difference(*line, shares[0], shares[1], shares[2], mean_width)


def alarms(replications: int, rng: np.random.Generator) -> Iterator[Alarm]:
    """Every line of the table of tests: two methods that are the same."""
    centre = centre_of(0.5)
    for tasks in SIZES:
        counts = dict.fromkeys(("mcnemar", "flips", "scores", "one seed"), 0)
        for _ in range(replications):
            difficulty = rng.normal(0, TASK_SPREAD, tasks)
            solved = rng.random((2, tasks)) < expit(centre + difficulty)
            only = [int(np.sum(solved[i] & ~solved[1 - i])) for i in (0, 1)]
            counts["mcnemar"] += statistics.mcnemar(*only) <= 0.05
            shares = rng.binomial(3, expit(centre + difficulty), (2, tasks)) / 3
            counts["flips"] += _flip(shares[0] - shares[1]) <= 0.05
            scores = np.clip(expit(difficulty) + rng.normal(0, 0.2, (2, tasks)), 0, 1)
            counts["scores"] += _flip(scores[0] - scores[1]) <= 0.05
            luck = rng.normal(0, SEED_SPREAD, (2, 1))
            seen = rng.random((2, tasks)) < expit(centre + difficulty + luck)
            only = [int(np.sum(seen[i] & ~seen[1 - i])) for i in (0, 1)]
            counts["one seed"] += statistics.mcnemar(*only) <= 0.05
        for test, key, about, seeds in (
            ("McNemar", "mcnemar", "these students, other tasks", 0),
            ("sign flips, 3 repeats", "flips", "these students, other tasks", 0),
            ("sign flips, scores", "scores", "these students, other tasks", 0),
            ("McNemar", "one seed", "methods, one seed each", 1),
        ):
            yield Alarm(test, about, tasks, seeds, round(counts[key] / replications, 4))
        for seeds in (3, 5):
            welch, both = 0, 0
            for _ in range(replications):
                difficulty = rng.normal(0, TASK_SPREAD, tasks)
                luck = rng.normal(0, SEED_SPREAD, (2, 1, seeds))
                seen = rng.random((2, tasks, seeds)) < expit(centre + difficulty[:, None] + luck)
                p_seeds = statistics.seed_difference(seen[0].mean(0), seen[1].mean(0))[1]
                p_tasks = _flip(seen[0].mean(1) - seen[1].mean(1))
                welch += (1.0 if p_seeds is None else p_seeds) <= 0.05
                both += max(p_tasks, p_seeds or 0.0) <= 0.05
            about = "methods, other seeds"
            yield Alarm("Welch over seeds", about, tasks, seeds, round(welch / replications, 4))
            yield Alarm("the larger p", about, tasks, seeds, round(both / replications, 4))


def _flip(differences: Floats) -> float:
    p = statistics.sign_flip(differences, resamples=RESAMPLES)
    return 1.0 if p is None else p


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--replications", type=int, default=600)
    parser.add_argument("--write", action="store_true", help="renew the page and the data")
    arguments = parser.parse_args()
    rng = np.random.default_rng(7)
    intervals = list(coverages(arguments.replications, rng))
    tests = list(alarms(4 * arguments.replications, rng))
    # A generator of its own: a line added here changes no line above.
    pairs = list(differences(arguments.replications, np.random.default_rng(8)))
    text = page(intervals, pairs, tests, arguments.replications)
    print(text)
    if arguments.write:
        (ROOT / "docs/coverage.md").write_text(text, encoding="utf-8")
        data = {
            "replications": arguments.replications,
            "wilson_134": wilson_range(),
            "intervals": [asdict(line) for line in intervals],
            "differences": [asdict(line) for line in pairs],
            "tests": [asdict(line) for line in tests],
        }
        DATA.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
