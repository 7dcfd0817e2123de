"""Intervals and tests: against scipy, against their plain forms, and by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from leaderboards import statistics
from leaderboards.statistics import Floats


@pytest.mark.parametrize(("solved", "n"), [(0, 5), (3, 5), (5, 5), (58, 134), (134, 134)])
def test_wilson_is_scipys(solved: int, n: int) -> None:
    expected = stats.binomtest(solved, n).proportion_ci(method="wilson")
    assert statistics.wilson(solved, n) == pytest.approx(tuple(expected))


def test_wilson_covers_93_to_97_percent_at_134_tasks() -> None:
    n = 134
    ends = np.array([statistics.wilson(k, n) for k in range(n + 1)], dtype=np.float64)
    for rate in np.linspace(0.05, 0.95, 91):
        inside = (ends[:, 0] <= rate) & (rate <= ends[:, 1])
        covered = stats.binom.pmf(np.arange(n + 1), n, rate)[inside].sum()
        assert 0.93 <= covered <= 0.97, rate


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_is_known_below_two(n: int) -> None:
    one = [0.5] * n
    assert statistics.wilson(n, n) is None
    assert statistics.cluster_bootstrap(one, [1] * n) is None
    assert statistics.paired_interval(one) is None
    assert statistics.sign_flip(one) is None
    assert statistics.seed_interval(one) is None


def test_bootstrap_is_the_plain_one_widened() -> None:
    rng = np.random.default_rng(0)
    sums, counts = rng.integers(0, 4, 40).astype(float), np.full(40, 3)
    n = len(sums)
    picks = rng.integers(n, size=(20_000, n))
    means = sums[picks].sum(1) / counts[picks].sum(1)
    tail = stats.norm.cdf(math.sqrt(n / (n - 1)) * stats.t.ppf(0.025, n - 1))
    found = statistics.cluster_bootstrap(sums, counts)
    assert found == pytest.approx(tuple(np.quantile(means, [tail, 1 - tail])), abs=0.01)


def test_bootstrap_of_many_values_agrees_with_that_of_few() -> None:
    rng = np.random.default_rng(1)
    few = rng.integers(0, 2, 400).astype(float)
    many = few + rng.uniform(0, 1e-9, 400)
    found = statistics.cluster_bootstrap(many, np.ones(400))
    assert found == pytest.approx(statistics.cluster_bootstrap(few, np.ones(400)), abs=0.005)


def test_bootstrap_of_tasks_that_all_agree_is_not_a_point() -> None:
    found = statistics.cluster_bootstrap([3.0] * 20, [3] * 20)
    assert found == statistics.wilson(20, 20)


def test_bootstrap_gives_the_same_again() -> None:
    sums = np.random.default_rng(4).random(20)
    one, two = (statistics.cluster_bootstrap(sums, np.ones(20)) for _ in range(2))
    assert one == two
    assert one != statistics.cluster_bootstrap(sums, np.ones(20), seed=1)


def test_repeats_do_not_count_as_tasks() -> None:
    solved = np.array([1.0] * 10 + [0.0] * 10)
    once = statistics.cluster_bootstrap(solved, np.ones(20))
    assert statistics.cluster_bootstrap(5 * solved, np.full(20, 5)) == pytest.approx(once)


def test_seed_interval_is_students() -> None:
    means = [0.4, 0.5, 0.55]
    expected = stats.ttest_1samp(means, 0).confidence_interval()
    assert statistics.seed_interval(means) == pytest.approx(tuple(expected))


def test_seeds_that_are_alike_do_not_say_how_others_would_spread() -> None:
    assert statistics.seed_interval([0.0, 0.0, 0.0]) is None
    assert statistics.seed_interval([0.2, 0.2]) is None


def test_mcnemar_is_the_binomial_of_discordant_tasks() -> None:
    assert statistics.mcnemar(9, 2) == pytest.approx(stats.binomtest(9, 11).pvalue)
    assert statistics.mcnemar(0, 0) == 1.0


def test_sign_flip_of_few_differences_is_exhaustive() -> None:
    differences = np.array([0.5, -0.2, 0.7, 0.1, 0.4])
    signs = np.array(list(itertools.product([1, -1], repeat=5)))
    expected = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-12)
    assert statistics.sign_flip([*differences, 0.0, 0.0]) == pytest.approx(expected)


@pytest.mark.parametrize("kinds", [4, 400])
def test_sign_flip_of_many_agrees_with_scipy(kinds: int) -> None:
    rng = np.random.default_rng(2)
    differences = rng.integers(-kinds, kinds + 1, 420) / kinds + 0.05
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=4000, rng=rng,
        vectorized=True, axis=0,
    ).pvalue  # fmt: skip
    assert statistics.sign_flip(differences) == pytest.approx(expected, abs=0.03)


def test_sign_flip_is_never_zero() -> None:
    assert statistics.sign_flip(np.ones(200)) == pytest.approx(1 / (statistics.RESAMPLES + 1))


def test_seed_difference_is_welchs() -> None:
    one, two = [0.4, 0.5, 0.55], [0.3, 0.35]
    expected = stats.ttest_ind(one, two, equal_var=False)
    interval, p, _, df = statistics.seed_difference(one, two)
    assert p == pytest.approx(expected.pvalue)
    assert df == pytest.approx(expected.df)
    assert interval == pytest.approx(tuple(expected.confidence_interval()))


def test_seed_difference_from_a_fixed_agent_is_students() -> None:
    interval, p, _, _ = statistics.seed_difference([0.4, 0.5, 0.55], [0.3])
    expected = stats.ttest_1samp([0.4, 0.5, 0.55], 0.3)
    assert p == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval()
    assert interval == pytest.approx((low - 0.3, high - 0.3))


def test_seed_difference_without_two_seeds_says_nothing() -> None:
    assert statistics.seed_difference([0.5], [0.4])[:2] == (None, None)
    assert statistics.seed_difference([0.5, 0.5], [0.4, 0.4])[:2] == (None, None)


def test_holm_is_scipys_step_down() -> None:
    p = [0.01, 0.04, 0.03, 0.005]
    assert statistics.holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_detectable_difference_is_found_with_the_stated_power() -> None:
    rng = np.random.default_rng(3)
    error = 0.05
    true = statistics.minimum_detectable_difference(error)
    assert true == pytest.approx(2.8016 * error, rel=1e-4)
    found = np.abs(rng.normal(true, error, 20_000)) > stats.norm.ppf(0.975) * error
    assert found.mean() == pytest.approx(0.8, abs=0.01)


def test_paired_interval_without_any_difference_is_not_a_point() -> None:
    low, high = statistics.paired_interval([0.0] * 134) or (0, 0)
    assert low == -high
    assert 0.02 < high < 0.04


def _worlds(n: int, replications: int, seeds: int, luck: float) -> Floats:
    """Outcomes of two methods that are the same, [replications, 2, tasks, seeds]."""
    rng = np.random.default_rng(n + seeds)
    odds = rng.normal(0, 1.5, (replications, 1, n, 1))
    odds = odds + rng.normal(0, luck, (replications, 2, 1, seeds))
    return (rng.random(odds.shape) < 1 / (1 + np.exp(-odds))).astype(np.float64)


@pytest.mark.parametrize("n", [20, 134])
def test_mcnemar_finds_nothing_that_is_not_there(n: int) -> None:
    solved = _worlds(n, 4000, 1, 0.0)[..., 0]
    first = (solved[:, 0] > solved[:, 1]).sum(1)
    second = (solved[:, 0] < solved[:, 1]).sum(1)
    pairs, times = np.unique(np.stack([first, second], 1), axis=0, return_counts=True)
    found = np.array([statistics.mcnemar(int(a), int(b)) <= 0.05 for a, b in pairs])
    assert (found @ times) / times.sum() <= 0.055


@pytest.mark.parametrize("n", [20, 134])
def test_sign_flips_find_nothing_that_is_not_there(n: int) -> None:
    means = _worlds(n, 1000, 3, 0.0).mean(-1)
    found = [
        (statistics.sign_flip(d, resamples=399) or 1.0) <= 0.05 for d in means[:, 0] - means[:, 1]
    ]
    # 5.5 % and the luck of 1,000 replications.
    assert np.mean(found) <= 0.055 + 2 * math.sqrt(0.05 * 0.95 / 1000)


@pytest.mark.parametrize("seeds", [3, 5])
def test_welch_over_seeds_finds_nothing_that_is_not_there(seeds: int) -> None:
    means = _worlds(134, 2000, seeds, 0.4).mean(2)
    found = [(statistics.seed_difference(*pair)[1] or 0.0) <= 0.05 for pair in means]
    assert np.mean(found) <= 0.055


def test_one_seed_each_cries_wolf_and_is_known_to() -> None:
    solved = _worlds(134, 1000, 1, 0.4)[..., 0]
    p = [
        statistics.mcnemar(int((a > b).sum()), int((a < b).sum())) for a, b in solved
    ]  # fmt: skip
    assert np.mean(np.array(p) <= 0.05) > 0.08
    assert "another seed" in (statistics.known_short("wilson", 134, 1) or "")


def test_interval_with_enough_tasks_and_no_training_is_not_called_short() -> None:
    assert statistics.known_short("wilson", 20, 0) is None
    assert statistics.known_short("bootstrap", 134, 0) is None
    assert statistics.known_short("bootstrap", 20, 0) is not None
