"""The gate that model calls pass: how many at once, and what becomes of those that fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from harness import scheduling
from harness.budget import Budget, Ledger, Price
from harness.deadlines import Deadlines, EpisodeOver, EpisodeWatch, watching
from harness.errors import ProviderError, RateLimited, ServerBusy, TransientError
from harness.models.base import Completion, Request
from harness.scheduling import CallGate, gated
from harness.trajectory import Outcome, Usage

USAGE = Usage(model_calls=1, prompt_tokens=100, cached_tokens=40, completion_tokens=10)


class Scripted:
    """Raises or answers as the list says, then answers."""

    name = "scripted"
    tokenizer: Any | None = None
    max_context: int | None = None

    def __init__(self, *failures: Exception | None, body: Callable[[], None] = lambda: None):
        self.failures = list(failures)
        self.body = body
        self.calls = 0

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        self.calls += 1
        self.body()
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        return [Completion("yes", "stop", USAGE) for _ in requests]

    def describe(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "FIRST_WAIT", 0.01)


def ask(model: Scripted, gate: CallGate, ledger: Ledger | None = None, retries: int = 3) -> str:
    (answer,) = gated(model, gate, ledger or Ledger(), retries=retries).generate([Request("?")])
    return answer.text


def test_no_more_calls_at_once_than_the_gate_lets_in() -> None:
    gate = CallGate(3)
    most, now, lock = 0, 0, threading.Lock()

    def body() -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1

    model = Scripted(body=body)
    threads = [threading.Thread(target=ask, args=(model, gate)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, model.calls, gate.under_way) == (3, 20, 0)


@pytest.mark.parametrize("error", [RateLimited("429"), ServerBusy("503")])
def test_a_server_that_is_overrun_gets_half_and_then_one_more_a_round(error: Exception) -> None:
    gate = CallGate(16)
    assert ask(Scripted(error), gate) == "yes"
    assert gate.limit == pytest.approx(8 + 1 / 8)
    for _ in range(8):
        ask(Scripted(), gate)
    assert 9 < gate.limit < 9.2
    for _ in range(500):
        ask(Scripted(), gate)
    assert gate.limit == 16


def test_calls_of_one_round_halve_the_limit_once() -> None:
    gate = CallGate(16)
    watch = EpisodeWatch()
    leases = [gate.enter(watch) for _ in range(10)]
    for lease in leases:
        gate.overrun(lease, None)
    assert gate.limit == 8


def test_the_limit_never_falls_below_one() -> None:
    gate = CallGate(2)
    for _ in range(5):
        gate.overrun(gate.enter(EpisodeWatch()), None)
        gate.under_way = 0
    assert gate.limit == 1


def test_other_failures_leave_the_limit_alone() -> None:
    gate = CallGate(4)
    assert ask(Scripted(TransientError("reset")), gate) == "yes"
    assert gate.limit == 4


def test_retry_after_closes_the_gate_for_everybody() -> None:
    gate = CallGate(4)
    model = Scripted(RateLimited("429", retry_after=0.3))
    first = threading.Thread(target=ask, args=(model, gate))
    started = time.monotonic()
    first.start()
    time.sleep(0.05)
    other = Scripted()
    assert ask(other, gate) == "yes"
    assert time.monotonic() - started >= 0.3
    first.join()


def test_trying_again_ends_and_says_how_often_it_was_tried() -> None:
    model = Scripted(*[TransientError("reset")] * 9)
    with pytest.raises(TransientError, match=r"reset \(4 attempts\)"):
        ask(model, CallGate(1))
    assert model.calls == 4


def test_a_refusal_is_not_tried_again() -> None:
    model = Scripted(ProviderError("no"))
    gate = CallGate(1)
    with pytest.raises(ProviderError, match="no"):
        ask(model, gate)
    assert (model.calls, gate.under_way) == (1, 0)


def test_a_server_that_asks_for_an_hour_is_one_that_refuses() -> None:
    model = Scripted(RateLimited("429", retry_after=3600))
    with pytest.raises(ProviderError, match="alone for 3600 s"):
        ask(model, CallGate(1))
    assert model.calls == 1


def test_waiting_for_a_place_ends_with_the_episode() -> None:
    gate = CallGate(1)
    gate.enter(EpisodeWatch())
    watch = EpisodeWatch("t", Deadlines(episode=0.1))
    with watching(watch), pytest.raises(EpisodeOver) as over:
        ask(Scripted(), gate)
    assert over.value.outcome is Outcome.TRUNCATED_TIME
    assert "0.1 s" in str(over.value)


def test_an_episode_ended_from_outside_gives_its_place_back() -> None:
    gate = CallGate(1)
    watch = EpisodeWatch()
    gate.enter(watch)
    watch.end()
    gate.wake()
    assert ask(Scripted(), gate) == "yes"


def test_tokens_are_counted_and_the_limit_holds_for_the_next_call() -> None:
    ledger = Ledger(Budget(total_tokens=200))
    model = Scripted()
    ask(model, CallGate(1), ledger)
    ask(model, CallGate(1), ledger)
    with pytest.raises(EpisodeOver, match="220 of 200 tokens") as over:
        ask(model, CallGate(1), ledger)
    assert over.value.outcome is Outcome.TRUNCATED_BUDGET
    assert model.calls == 2


def test_cached_tokens_have_a_price_of_their_own() -> None:
    usage = Usage(prompt_tokens=1_000_000, cached_tokens=400_000, completion_tokens=100_000)
    assert Price(prompt=1.0, completion=5.0).cost(usage) == pytest.approx(1.5)
    assert Price(prompt=1.0, cached=0.1, completion=5.0).cost(usage) == pytest.approx(1.14)
    ledger = Ledger(Budget(cost=1.0), Price(prompt=1.0, completion=5.0))
    assert ledger.exhausted() is None
    ledger.add(usage)
    assert ledger.exhausted() == "the budget is spent: 1.5 of 1 USD"
