"""Models that take their time or count their tokens; used by path from the tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from harness.models.base import Completion, Request
from harness.trajectory import Usage


class Moody:
    """Says `Action: look`, 10 tokens in and 5 out, after whatever `mood` does with the call."""

    tokenizer: Any | None = None
    max_context: int | None = None
    concurrent = True

    def __init__(self, name: str, mood: Callable[[int, Request], None]) -> None:
        self.name = name
        self._mood = mood
        self._lock = threading.Lock()
        self._calls = 0

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        with self._lock:
            self._calls += 1
            number = self._calls
        for request in requests:
            self._mood(number, request)
        usage = Usage(model_calls=1, prompt_tokens=10, cached_tokens=4, completion_tokens=5)
        return [Completion("Action: look\n", "stop", usage) for _ in requests]

    def describe(self) -> dict[str, Any]:
        return {"spec": "moody"}

    def close(self) -> None:
        pass


def _wait_long(number: int, request: Request) -> None:
    if number == 2:
        threading.Event().wait(1000)


def _pause(number: int, request: Request) -> None:
    time.sleep(0.2)


def even() -> Moody:
    """Answers at once."""
    return Moody("even", lambda number, request: None)


def hangs_once() -> Moody:
    """Never returns from its second call."""
    return Moody("hangs_once", _wait_long)


def hangs() -> Moody:
    """Never returns."""
    return Moody("hangs", lambda number, request: _wait_long(2, request))


def slow() -> Moody:
    """Takes 0.2 s for a call."""
    return Moody("slow", _pause)
