"""Drawing a token: which tokens are possible, with what share, from which random numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.models import Sampling

pytestmark = pytest.mark.models

SHARES = [0.1, 0.4, 0.1, 0.3, 0.1]


def logits_of(shares: list[float]) -> Any:
    import torch

    return torch.tensor(shares, dtype=torch.float64).log()


def shares_of(shares: list[float], sampling: Sampling) -> list[float]:
    from harness.models.sampling import token_shares

    return [round(share, 9) for share in token_shares(logits_of(shares), sampling).tolist()]


def draws(shares: list[float], sampling: Sampling, n: int, seed: int = 0) -> list[int]:
    from harness.models.sampling import draw, make_generator

    generator, logits = make_generator(seed), logits_of(shares)
    return [draw(logits, sampling, generator) for _ in range(n)]


def test_temperature_one_keeps_the_models_distribution() -> None:
    assert shares_of(SHARES, Sampling(temperature=1)) == SHARES


def test_temperature_divides_the_logits() -> None:
    raised = [share**2 for share in SHARES]
    expected = [round(share / sum(raised), 9) for share in raised]
    assert shares_of(SHARES, Sampling(temperature=0.5)) == expected


def test_top_k_keeps_the_likeliest_and_the_lower_id_of_equals() -> None:
    shares = shares_of(SHARES, Sampling(temperature=1, top_k=3))
    assert shares == [0.125, 0.5, 0, 0.375, 0]


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    assert shares_of(SHARES, Sampling(temperature=1, top_p=0.39)) == [0, 1, 0, 0, 0]
    half = shares_of(SHARES, Sampling(temperature=1, top_p=0.5))
    assert half == pytest.approx([0, 4 / 7, 0, 3 / 7, 0])


def test_top_p_is_of_what_top_k_left() -> None:
    # Of 0.4 and 0.3 the first alone is 4/7; of all tokens it would be 0.4 and not reach 0.5.
    assert shares_of(SHARES, Sampling(temperature=1, top_k=2, top_p=0.5)) == [0, 1, 0, 0, 0]


def test_more_top_k_than_tokens_leaves_all() -> None:
    assert shares_of(SHARES, Sampling(temperature=1, top_k=50)) == SHARES


def test_greedy_takes_the_lowest_id_of_equals() -> None:
    assert draws([0.2, 0.4, 0.4], Sampling(), 3) == [1, 1, 1]


def test_a_tiny_temperature_is_nearly_greedy() -> None:
    assert set(draws(SHARES, Sampling(temperature=1e-9), 20)) == {1}


def test_frequencies_follow_the_shares() -> None:
    n = 20_000
    drawn = draws(SHARES, Sampling(temperature=1), n)
    for token, share in enumerate(SHARES):
        deviation = math.sqrt(share * (1 - share) / n)
        assert abs(drawn.count(token) / n - share) < 4.5 * deviation


def test_impossible_tokens_are_never_drawn() -> None:
    import torch

    from harness.models.sampling import draw, make_generator

    logits = torch.tensor([-math.inf, 0.0, -math.inf], dtype=torch.float64)
    generator = make_generator(1)
    assert {draw(logits, Sampling(temperature=5), generator) for _ in range(50)} == {1}


def test_a_token_costs_one_random_number_whatever_the_sampling() -> None:
    from harness.models.sampling import draw, make_generator

    states = []
    for sampling in (Sampling(temperature=1), Sampling(temperature=2, top_k=2, top_p=0.4)):
        generator = make_generator(4)
        draw(logits_of(SHARES), sampling, generator)
        states.append(generator.get_state().tolist())
    assert states[0] == states[1]


@pytest.mark.parametrize("seed", [0, -1, 2**64 + 5])
def test_any_integer_is_a_seed(seed: int) -> None:
    sampling = Sampling(temperature=1)
    assert draws(SHARES, sampling, 30, seed) == draws(SHARES, sampling, 30, seed)
    assert draws(SHARES, sampling, 30, seed) != draws(SHARES, sampling, 30, seed + 1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_logits_that_are_no_numbers_are_refused(bad: float) -> None:
    import torch

    from harness.models.sampling import draw, make_generator

    with pytest.raises(FloatingPointError, match="largest logit"):
        draw(torch.full((3,), bad, dtype=torch.float64), Sampling(), make_generator(0))
