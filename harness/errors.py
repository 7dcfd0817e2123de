"""Errors that a user can do something about, and the boundary a failure crossed."""

from __future__ import annotations


class HarnessError(Exception):
    """A bad argument or a missing prerequisite. The message is one line: what, why, how to mend."""


class ProviderError(HarnessError):
    """A model backend failed; the episode is not scored and is owed again."""
