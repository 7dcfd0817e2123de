"""Intervals and tests for success rates and scores, each with what it is about.

Episodes are not independent: repeats and students of several seeds play the same tasks, and seeds
of one method are few. So there are two kinds of statement, and no function mixes them:

- **about tasks**: what other tasks of the same kind would give, for the agents at hand. Wilson's
  interval (one episode a task), a bootstrap that draws whole tasks, paired differences on common
  tasks, McNemar's exact test, sign flips.
- **about training**: what other seeds would give, on the tasks at hand. Student's t over the means
  of the seeds, Welch's for two methods.

Arrays are float64, one entry per task unless said otherwise. What cannot be known from the data is
None (fewer than two tasks or seeds, seeds that are all alike), never a width of zero. Everything
that draws takes a seed and gives the same bytes again. How often each interval covers is measured
by `benchmarks/coverage.py` and written in docs/coverage.md; `known_short` says where that is too
seldom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from harness.summary import wilson

__all__ = [
    "FEW_SEEDS",
    "LEVEL",
    "RESAMPLES",
    "SEED",
    "cluster_bootstrap",
    "holm",
    "known_short",
    "mcnemar",
    "minimum_detectable_difference",
    "paired_interval",
    "seed_difference",
    "seed_interval",
    "sign_flip",
    "standard_error_of_difference",
    "tasks_and_seeds",
    "wilson",
]

LEVEL = 0.95
"""Confidence of every interval."""
RESAMPLES = 9_999
"""Draws of every bootstrap and every permutation test that is not exhaustive."""
SEED = 20250520
"""Seed of those draws where the caller gives none."""
FEW_SEEDS = 10
"""From as many training seeds on, a bootstrap may draw seeds as well as tasks."""

Interval = tuple[float, float]
Floats = NDArray[np.float64]

_BLOCK = 4_000_000  # numbers drawn at once: 32 MB
_FEW_KINDS = 300  # up to here, drawing how often a value comes is faster than drawing values


def cluster_bootstrap(
    sums: ArrayLike, counts: ArrayLike, *, resamples: int = RESAMPLES, seed: int = SEED
) -> Interval | None:
    """Interval of a mean over episodes, from a bootstrap that draws whole tasks.

    Equal to drawing n of n tasks with replacement, taking the mean over all their episodes, and
    reading off quantiles of those means. Tasks with the same sum and count are drawn together,
    which changes nothing. The quantiles are widened for few tasks as in Hesterberg, "What Teachers
    Should Know About the Bootstrap" (2015), section 5.3. Where all tasks have the same mean there
    is nothing to draw: the answer is Wilson's interval with tasks as trials.

    Args:
        sums: per task, the sum of its episodes' values, each in [0, 1].
        counts: per task, the number of its episodes.

    Returns:
        (low, high) in [0, 1], or None below two tasks.
    """
    total, number = _floats(sums), _floats(counts)
    n = len(total)
    if n < 2:
        return None
    means = total / number
    if np.ptp(means) == 0:
        return wilson(float(means[0]) * n, n)
    kinds, times = np.unique(np.stack([total, number], 1), axis=0, return_counts=True)
    drawn = _resampled(kinds, times, resamples, seed)  # [resamples, 2]
    low, high = _widened_quantiles(drawn[:, 0] / drawn[:, 1], n)
    return max(0.0, low), min(1.0, high)


def seed_interval(means: ArrayLike) -> Interval | None:
    """Student's t interval, df = k - 1, over the means of k training seeds.

    None below two, and where all seeds have the same mean: how far others would spread cannot be
    known from seeds that do not, at the floor above all. Not cut at 0 and 1: with two or three
    seeds it may reach beyond, which says how little they tell.
    """
    values = _floats(means)
    if len(values) < 2 or np.ptp(values) == 0:
        return None
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * stats.sem(values))
    centre = float(values.mean())
    return centre - half, centre + half


def paired_interval(
    differences: ArrayLike, *, resamples: int = RESAMPLES, seed: int = SEED
) -> Interval | None:
    """Bootstrap interval of the mean of paired differences, one per common task, in [-1, 1].

    Widened for few tasks as `cluster_bootstrap`. Where all differences are equal, tasks that differ
    otherwise are rarer than Wilson's bound on none of n, and the interval is that wide.
    """
    values = _floats(differences)
    n = len(values)
    if n < 2:
        return None
    if np.ptp(values) == 0:
        rare = wilson(0, n)
        assert rare is not None
        centre = float(values[0])
        return max(-1.0, centre - rare[1]), min(1.0, centre + rare[1])
    kinds, times = np.unique(values, return_counts=True)
    drawn = _resampled(kinds[:, None], times, resamples, seed)  # [resamples, 1]
    low, high = _widened_quantiles(drawn[:, 0] / n, n)
    return max(-1.0, low), min(1.0, high)


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p of McNemar's test from the numbers of tasks that one alone solved.

    Source: McNemar (1947); the binomial test of the discordant tasks at one half.
    """
    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    return float(stats.binomtest(only_first, discordant, 0.5).pvalue)


def sign_flip(
    differences: ArrayLike, *, resamples: int = RESAMPLES, seed: int = SEED
) -> float | None:
    """Two-sided p of the permutation test that flips signs of paired differences.

    Exhaustive where at most 13 differences are not zero, else (b + 1) / (resamples + 1) with b the
    number of draws at least as far from zero (Phipson and Smyth 2010), so that p is never too
    small. None below two tasks.
    """
    values = _floats(differences)
    if len(values) < 2:
        return None
    values = values[values != 0]
    if len(values) == 0:
        return 1.0
    observed = abs(values.sum())
    slack = 1e-9 * np.abs(values).sum()
    if len(values) <= 13:
        bits = np.arange(2 ** len(values))[:, None] >> np.arange(len(values)) & 1
        return float(np.mean(np.abs((1 - 2 * bits) @ values) >= observed - slack))
    sums = _flipped_sums(np.abs(values), resamples, seed)
    return float((np.sum(np.abs(sums) >= observed - slack) + 1) / (resamples + 1))


def seed_difference(
    first: ArrayLike, second: ArrayLike
) -> tuple[Interval | None, float | None, float, float]:
    """Difference of two methods over training seeds: interval, p, standard error, df.

    Welch's t for two groups of seed means; where one group is a single fixed agent (an expert, a
    teacher), Student's t of the other against it. Interval and p are None where no group has two
    seeds, or no seed differs from another; then the standard error is 0 and df infinite.
    """
    one, two = _floats(first), _floats(second)
    larger = max(len(one), len(two))
    error = math.sqrt(sum(_variance_of_mean(group) for group in (one, two)))
    if larger < 2 or error == 0:
        return None, None, 0.0, math.inf
    if min(len(one), len(two)) < 2:
        df = float(larger - 1)
    else:
        a, b = _variance_of_mean(one), _variance_of_mean(two)
        df = (a + b) ** 2 / (a**2 / (len(one) - 1) + b**2 / (len(two) - 1))
    centre = float(one.mean() - two.mean())
    half = float(stats.t.ppf((1 + LEVEL) / 2, df)) * error
    p = float(2 * stats.t.sf(abs(centre) / error, df))
    return (centre - half, centre + half), p, error, df


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that hold over the whole family, in the order given (Holm 1979)."""
    adjusted = [0.0] * len(p_values)
    running = 0.0
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = running
    return adjusted


def minimum_detectable_difference(
    standard_error: float, *, df: float = math.inf, power: float = 0.8
) -> float:
    """The true difference that a two-sided test at 5 % would find with the given power.

    (t(0.975) + t(power)) times the standard error of the difference: 2.80 standard errors where df
    is infinite.
    """
    law = stats.t(df) if math.isfinite(df) else stats.norm()
    return float(law.ppf((1 + LEVEL) / 2) + law.ppf(power)) * standard_error


def standard_error_of_difference(differences: ArrayLike) -> float:
    """Standard error of the mean of paired differences; 0 below two tasks."""
    return math.sqrt(_variance_of_mean(_floats(differences)))


def known_short(kind: str, n_tasks: int, n_seeds: int) -> str | None:
    """Why an interval is known to cover less than it says, or None.

    Args:
        kind: `wilson`, `bootstrap`, `paired` (a bootstrap of differences) or `seeds`.
        n_tasks: tasks it rests on.
        n_seeds: training seeds, 0 for agents that were not trained here.
    """
    reasons = []
    if kind in ("bootstrap", "paired") and n_tasks < 100:
        reasons.append(f"a bootstrap over {n_tasks} tasks covers less than 95 %")
    if kind in ("wilson", "bootstrap", "paired") and 1 <= n_seeds < FEW_SEEDS:
        few = "one training seed" if n_seeds == 1 else f"{n_seeds} training seeds"
        reasons.append(f"of {few}, it does not contain what another seed would change")
    return "; ".join(reasons) or None


def tasks_and_seeds(table: ArrayLike, *, resamples: int = RESAMPLES, seed: int = SEED) -> Interval:
    """Bootstrap interval that draws tasks and training seeds, each with replacement.

    For ten seeds and more. Source: Owen (2007), "The pigeonhole bootstrap".

    Args:
        table: mean value of each task under each seed, [tasks, seeds].
    """
    values = np.asarray(table, dtype=np.float64)
    n_tasks, n_seeds = values.shape
    rng = np.random.default_rng(seed)
    estimates = []
    for size in _blocks(resamples, n_tasks + n_seeds):
        tasks = rng.multinomial(n_tasks, np.full(n_tasks, 1 / n_tasks), size=size)
        seeds = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=size)
        estimates.append(((tasks @ values) * seeds).sum(1) / (n_tasks * n_seeds))
    low, high = _widened_quantiles(np.concatenate(estimates), min(n_tasks, n_seeds))
    return max(0.0, low), min(1.0, high)


def _resampled(kinds: Floats, times: NDArray[Any], resamples: int, seed: int) -> Floats:
    """Column sums of n kinds drawn with replacement, n = sum(times); [resamples, columns]."""
    rng = np.random.default_rng(seed)
    n = int(times.sum())
    if len(times) <= _FEW_KINDS:
        sizes = _blocks(resamples, len(times))
        return np.concatenate([rng.multinomial(n, times / n, size=size) @ kinds for size in sizes])
    single = np.repeat(kinds, times, axis=0)
    picks = (rng.integers(n, size=(size, n)) for size in _blocks(resamples, n))
    return np.concatenate([np.stack([c[pick].sum(1) for c in single.T], 1) for pick in picks])


def _flipped_sums(values: Floats, resamples: int, seed: int) -> Floats:
    """Sums of positive values under random signs, [resamples]."""
    rng = np.random.default_rng(seed)
    sizes, times = np.unique(values, return_counts=True)
    if len(sizes) <= _FEW_KINDS:
        # Of m values of one size, a binomial number keeps its sign.
        kept = rng.binomial(times, 0.5, size=(resamples, len(sizes)))
        return np.asarray((2 * kept - times) @ sizes, dtype=np.float64)
    n = len(values)
    sums = []
    for size in _blocks(resamples, n):
        bits = np.frombuffer(rng.bytes(size * n // 8 + 1), dtype=np.uint8)
        signs = np.unpackbits(bits)[: size * n].reshape(size, n)
        sums.append(2 * (signs @ values) - values.sum())
    return np.concatenate(sums)


def _blocks(resamples: int, width: int) -> list[int]:
    size = max(1, _BLOCK // width)
    return [min(size, resamples - start) for start in range(0, resamples, size)]


def _widened_quantiles(estimates: Floats, n: int) -> Interval:
    tail = float(stats.norm.cdf(math.sqrt(n / (n - 1)) * stats.t.ppf((1 - LEVEL) / 2, n - 1)))
    low, high = np.quantile(estimates, [tail, 1 - tail])
    return float(low), float(high)


def _variance_of_mean(values: Floats) -> float:
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else 0.0


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
