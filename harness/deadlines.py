"""What an episode is doing, since when, and until when it may.

Every episode has a watch. Its own thread notes there what it begins (a model call, a step) and for
how long that may last; another thread looks at the watches and ends what is overdue, so that
nothing that hangs, in Python or outside, can hang a run. Whoever claims a watch first, the
episode's thread or the one that looks on, decides how the episode ended; the other finds it gone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.trajectory import Outcome, Usage

if TYPE_CHECKING:
    from harness.scheduling import Lease

GRACE_SECONDS = 1.0
"""How long what has a deadline of its own (a socket, a pipe) may take to say so itself."""

NEVER = float("inf")


class EpisodeOver(BaseException):
    """The episode ends here, without a score. Not an `Exception`, lest an agent swallows it."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


@dataclass(frozen=True)
class Deadlines:
    """Seconds that one model call, one answer of an environment, one episode, the run may take."""

    call: float = 600.0
    step: float = 600.0
    episode: float | None = None
    run: float | None = None


@dataclass(frozen=True)
class Activity:
    """What is waited for. `late` is how the episode ends when `until` has passed."""

    what: str
    since: float
    until: float
    late: Outcome


class EpisodeWatch:
    """The watch of one episode.

    Args:
        name: the task, for messages.
        deadlines: what it may take.
        run_ends: when the run's time is up, on the monotonic clock.

    Attributes:
        ends: when the episode's or the run's time is up.
        spent: usage of the model calls that were answered, those of unfinished turns included.
        turn: the turn under way, from 1.
        lease: the model call under way holds this.
    """

    def __init__(
        self, name: str = "", deadlines: Deadlines = Deadlines(), run_ends: float = NEVER
    ) -> None:
        self.name = name
        self.deadlines = deadlines
        self.started = time.monotonic()
        self.run_ends = run_ends
        limit = NEVER if deadlines.episode is None else self.started + deadlines.episode
        self.ends = min(limit, run_ends)
        self.spent = Usage()
        self.turn = 0
        self.lease: Lease | None = None
        self.activity = self._idle = Activity("the agent", self.started, self.ends, _TIME)
        self._claim = threading.Lock()
        self._gone = threading.Event()

    @contextmanager
    def doing(self, what: str, seconds: float, late: Outcome) -> Iterator[None]:
        """Note that `what` begins and may take `seconds`; raises `EpisodeOver` as `check`."""
        self.check()
        now = time.monotonic()
        until = now + seconds
        if until >= self.ends:
            until, late = self.ends, _TIME
        self.activity = Activity(what, now, until, late)
        try:
            yield
        finally:
            self.activity = Activity("the agent", time.monotonic(), self.ends, _TIME)

    def wait(self, what: str, seconds: float) -> None:
        """Sleep, unless the episode ends meanwhile."""
        with self.doing(what, NEVER, _TIME):
            self._gone.wait(min(seconds, max(0.0, self.ends - time.monotonic())))
        self.check()

    def check(self) -> None:
        """Raise `EpisodeOver` when the episode has been ended or its time is up."""
        if self._gone.is_set():
            raise EpisodeOver(Outcome.CANCELLED, "ended from outside")
        if self.over:
            raise EpisodeOver(_TIME, self.out_of_time)

    @property
    def over(self) -> bool:
        """Whether the episode's time is up."""
        return time.monotonic() >= self.ends

    @property
    def out_of_time(self) -> str:
        """Which time is up, as a line."""
        if self.ends == self.run_ends:
            return f"the run's time ({self.deadlines.run:g} s) was up"
        return f"the episode took longer than {self.deadlines.episode:g} s"

    @property
    def gone(self) -> bool:
        """Whether the episode was ended from outside."""
        return self._gone.is_set()

    def claim(self) -> bool:
        """Take the decision on the episode; only the first caller gets it."""
        return self._claim.acquire(blocking=False)

    def end(self) -> None:
        """Let the episode's thread know that it plays for nothing, and free its model call."""
        self._gone.set()
        lease = self.lease
        if lease is not None:
            lease.release()


_TIME = Outcome.TRUNCATED_TIME
_current: ContextVar[EpisodeWatch | None] = ContextVar("episode_watch", default=None)


@contextmanager
def watching(watch: EpisodeWatch) -> Iterator[None]:
    """Make `watch` the one of this thread."""
    token = _current.set(watch)
    try:
        yield
    finally:
        _current.reset(token)


def current_watch() -> EpisodeWatch:
    """The watch of the episode this thread plays; outside of one, a watch that never ends."""
    return _current.get() or EpisodeWatch()
