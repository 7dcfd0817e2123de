"""Errors that a user can do something about, and the boundary a failure crossed.

A model backend says what kind of failure it met and nothing more; whether and when a call is made
again is decided in one place, by whoever makes the call:

- `ContextOverflow`: the prompt does not fit. Asking again cannot help; the episode is scored, as
  `truncated_context`.
- `TransientError`: the same call may succeed later. `RateLimited` and `ServerBusy` also ask for
  fewer calls at once; a plain `TransientError` (reset or refused connection, broken answer, 500)
  does not.
- any other `ProviderError`: asking again would give the same refusal.
"""

from __future__ import annotations


class HarnessError(Exception):
    """A bad argument or a missing prerequisite. The message is one line: what, why, how to mend."""


class ContextOverflow(HarnessError):
    """Not even the latest turn fits in the model's context."""


class ProviderError(HarnessError):
    """A model backend failed; the episode is not scored and is owed again."""


class TransientError(ProviderError):
    """A failure that may be gone on the next attempt.

    Attributes:
        retry_after: seconds the server asked to be left alone, None when it did not say.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(TransientError):
    """The server answers that too much was asked of it (429)."""


class ServerBusy(TransientError):
    """The server answers that it cannot take more just now (503, 529)."""


class CallTimeout(ProviderError):
    """A call took longer than it may, and was given up."""
