"""A model that counts down from the number it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.models import Completion, Request
from harness.trajectory import Usage


class Parrot:
    """Answers a number with the number `by` below it."""

    name = "parrot"
    tokenizer: Any | None = None
    max_context: int | None = None

    def __init__(self, by: str = "1") -> None:
        self.by = int(by)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        return [
            Completion(f"Thought: Next.\nAction: {int(request.text) - self.by}", "stop", Usage())
            for request in requests
        ]

    def describe(self) -> dict[str, Any]:
        return {"spec": self.name, "by": self.by}

    def close(self) -> None:
        pass
