"""How many model calls are made at once, and what happens to one that fails.

One gate is shared by all episodes of a run. Its limit adapts: every answered call raises it by one
part in its size (by one a round), an answer that asks for less (429, 503) halves it, once for all
calls that were under way at that time; `Retry-After` closes the gate for everybody until then.
Failures that may pass are tried again here and nowhere else, after an exponentially growing wait
of which a random half is taken off; the rest go to the episode as they are.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from harness.budget import Ledger
from harness.deadlines import NEVER, EpisodeWatch, current_watch
from harness.errors import ProviderError, RateLimited, ServerBusy, TransientError
from harness.models.base import (
    Completion,
    Model,
    Releasing,
    Request,
    ScoreRequest,
    Scores,
    ScoringModel,
)
from harness.trajectory import Outcome, Usage

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds before the second attempt, and the most that doubling makes of them."""

LONGEST_PAUSE = 600.0
"""A server that asks to be left alone for longer is taken for one that refuses."""

Answer = TypeVar("Answer")


class Lease:
    """The right to make one call; `release` may be called again, and by any thread."""

    def __init__(self, gate: CallGate) -> None:
        self._gate = gate
        self.began = time.monotonic()
        self._held = True

    def release(self) -> None:
        """Give the right back."""
        self._gate._give_back(self)


class CallGate:
    """Limits the calls under way to at most `most`, fewer while the server is overrun."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(most)
        self.under_way = 0
        self.answered = 0
        self._open_from = 0.0
        self._lowered = 0.0
        self._changed = threading.Condition()

    def enter(self, watch: EpisodeWatch) -> Lease:
        """Wait for a free place; raises `EpisodeOver` when the episode ends before there is one."""
        if self._paused() or self.under_way >= int(self.limit):
            with watch.doing("a place for a model call", NEVER, Outcome.TRUNCATED_TIME):
                return self._enter(watch)
        return self._enter(watch)

    def _enter(self, watch: EpisodeWatch) -> Lease:
        with self._changed:
            while True:
                watch.check()
                pause = self._paused()
                if not pause and self.under_way < int(self.limit):
                    break
                left = watch.ends - time.monotonic()
                seconds = min(left, pause) if pause else left
                self._changed.wait(None if seconds == NEVER else max(0.0, seconds))
            self.under_way += 1
            lease = watch.lease = Lease(self)
        return lease

    def succeeded(self) -> None:
        """A call was answered: one part in its size more."""
        with self._changed:
            self.answered += 1
            if self.limit < self.most:
                self.limit = min(float(self.most), self.limit + 1 / self.limit)
                self._changed.notify()

    def overrun(self, lease: Lease, retry_after: float | None) -> None:
        """The server asks for less: half of it, and a pause if it says so."""
        with self._changed:
            now = time.monotonic()
            # Calls that began before the last cut say nothing about the limit after it.
            if lease.began > self._lowered:
                self.limit = max(1.0, self.limit / 2)
                self._lowered = now
            if retry_after:
                self._open_from = max(self._open_from, now + retry_after)

    def wake(self) -> None:
        """Let those who wait see whether their episode still goes on."""
        with self._changed:
            self._changed.notify_all()

    def describe(self) -> str:
        """State in a few words."""
        pause = self._paused()
        paused = f", closed for {pause:.0f} s (Retry-After)" if pause else ""
        return f"{self.under_way} of {int(self.limit)} model calls{paused}"

    def _paused(self) -> float:
        return max(0.0, self._open_from - time.monotonic())

    def _give_back(self, lease: Lease) -> None:
        with self._changed:
            if lease._held:
                lease._held = False
                self.under_way -= 1
                self._changed.notify()


class GatedModel:
    """A model whose calls pass the gate, are tried again, have a deadline, and are accounted for.

    The deadline is enforced by whoever watches the episodes (`harness.runner`).

    Args:
        retries: attempts after the first.
    """

    def __init__(self, model: Model, gate: CallGate, ledger: Ledger, *, retries: int) -> None:
        self.name = model.name
        self.tokenizer = model.tokenizer
        self.max_context = model.max_context
        self.gate, self.ledger = gate, ledger
        self._model = model
        self._retries = retries

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete every request; one call of the model, one place at the gate.

        Raises:
            ProviderError: as the model does, once trying again has not helped.
            EpisodeOver: the budget is spent or the episode's time is up.
        """
        return self.call(
            lambda: self._model.generate(requests),
            lambda completions: sum((c.usage for c in completions), Usage()),
        )

    def call(self, ask: Callable[[], Answer], usage_of: Callable[[Answer], Usage]) -> Answer:
        """Make one call of the model."""
        watch = current_watch()
        attempt = 0
        while True:
            self.ledger.check()
            lease = self.gate.enter(watch)
            attempt += 1
            again = f", attempt {attempt}" if attempt > 1 else ""
            try:
                with watch.doing(
                    f"a model call{again}", watch.deadlines.call, Outcome.PROVIDER_ERROR
                ):
                    answer = ask()
            except TransientError as error:
                if isinstance(error, RateLimited | ServerBusy):
                    self.gate.overrun(lease, _bounded(error))
                if attempt > self._retries:
                    raise type(error)(
                        f"{error} ({attempt} attempts)" if attempt > 1 else str(error)
                    ) from error
                delay = min(error.retry_after or _backoff(attempt), LONGEST_PAUSE)
            else:
                usage = usage_of(answer)
                self.ledger.add(usage)
                watch.spent += usage
                self.gate.succeeded()
                return answer
            finally:
                watch.lease = None
                lease.release()
            watch.wait(f"another attempt of a model call (after {attempt})", delay)

    def release(self, session: str) -> None:
        """The episode is over: see `harness.models.base.Releasing`."""
        if isinstance(self._model, Releasing):
            self._model.release(session)

    def describe(self) -> dict[str, Any]:
        return self._model.describe()

    def close(self) -> None:
        self._model.close()


class GatedScoringModel(GatedModel):
    """The same for a model that can score."""

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Score every request; one call of the model, as `generate` is."""
        model: Any = self._model
        return self.call(
            lambda: list(model.score(requests)),
            lambda scores: sum((each.usage for each in scores), Usage()),
        )


def gated(model: Model, gate: CallGate, ledger: Ledger, *, retries: int) -> GatedModel:
    """`model` behind the gate; it can score if `model` can."""
    kind = GatedScoringModel if isinstance(model, ScoringModel) else GatedModel
    return kind(model, gate, ledger, retries=retries)


def _backoff(attempt: int) -> float:
    """Seconds to wait after a failed attempt, the first being 1."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)


def _bounded(error: TransientError) -> float | None:
    if error.retry_after is not None and error.retry_after > LONGEST_PAUSE:
        raise ProviderError(
            f"{error}: the server asks to be left alone for {error.retry_after:.0f} s"
        ) from error
    return error.retry_after
