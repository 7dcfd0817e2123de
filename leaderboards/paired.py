"""A row against the baseline, task by task.

A comparison is about the tasks that both played; each is one difference, of means where a task was
played more than once. Two questions are kept apart, as in `leaderboards.statistics`: whether these
agents differ on other tasks of the kind (McNemar's exact test, or sign flips), and, where a side
has several training seeds, whether the methods differ under other seeds (Welch's t). The p-value
that counts is the larger of the two, and what is adjusted over the whole table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leaderboards import statistics
from leaderboards.results import Measure, Result
from leaderboards.statistics import Interval


@dataclass(frozen=True)
class Comparison:
    """One result against the baseline's, on one measure in one column.

    Attributes:
        n_tasks: tasks that both played.
        difference: of the means on those tasks, result minus baseline, in [-1, 1].
        interval: about tasks; `over_seeds` about training seeds, None without two on a side.
        test: `McNemar` or `sign flips`; `p_tasks` is its p-value.
        p_seeds: of Welch's t over seed means.
        detectable: the true difference that would be found in 80 of 100 cases; None where no task
            differs, which leaves nothing to measure it by.
    """

    measure: Measure
    n_tasks: int
    baseline: float
    difference: float
    interval: Interval | None
    over_seeds: Interval | None
    test: str
    p_tasks: float | None
    p_seeds: float | None
    detectable: float | None

    @property
    def p(self) -> float | None:
        """The larger of the p-values there are."""
        known = [p for p in (self.p_tasks, self.p_seeds) if p is not None]
        return max(known, default=None)


def compare_results(result: Result, baseline: Result, measure: Measure) -> Comparison | None:
    """The comparison on common tasks; None where there are none."""
    ours, theirs = result.per_task(measure).dropna(), baseline.per_task(measure).dropna()
    common = sorted(set(map(str, ours.index)) & set(map(str, theirs.index)))
    if not common:
        return None
    one, two = ours[common].to_numpy(), theirs[common].to_numpy()
    differences = one - two
    binary = measure == "success" and _single(result, common) and _single(baseline, common)
    if binary and len(common) > 1:
        p_tasks: float | None = statistics.mcnemar(
            int(np.sum(differences > 0)), int(np.sum(differences < 0))
        )
    else:
        p_tasks = statistics.sign_flip(differences)
    over, p_seeds, seed_error, df = None, None, 0.0, math.inf
    if max(result.player.seeds, baseline.player.seeds) >= 2 and _both_sampled(result, baseline):
        over, p_seeds, seed_error, df = statistics.seed_difference(
            result.seed_means(measure, common), baseline.seed_means(measure, common)
        )
    task_error = statistics.standard_error_of_difference(differences)
    detectable = max(
        statistics.minimum_detectable_difference(task_error),
        statistics.minimum_detectable_difference(seed_error, df=df),
    )
    return Comparison(
        measure=measure,
        n_tasks=len(common),
        baseline=float(two.mean()),
        difference=float(differences.mean()),
        interval=statistics.paired_interval(differences),
        over_seeds=over,
        test="McNemar" if binary else "sign flips",
        p_tasks=p_tasks,
        p_seeds=p_seeds,
        detectable=min(1.0, detectable) or None,
    )


def _single(result: Result, tasks: Sequence[str]) -> bool:
    chosen = result.frame.task_id[result.frame.task_id.isin(tasks)]
    return not chosen.duplicated().any()


def _both_sampled(result: Result, baseline: Result) -> bool:
    """Whether neither side is a single draw of something that was trained."""
    return result.player.seeds != 1 and baseline.player.seeds != 1
