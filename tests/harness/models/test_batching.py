"""Requests of many threads in one call."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness.errors import ProviderError
from harness.models.base import Completion, Request
from harness.models.batching import BatchingModel
from harness.trajectory import Usage


class Counting:
    """Echoes prompts, remembers how many came at once, refuses the prompt `bad`."""

    name = "counting"
    tokenizer: Any = None
    max_context: int | None = None

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        self.sizes.append(len(requests))
        if any(request.text == "bad" for request in requests):
            raise ProviderError("refused")
        return [Completion(request.text, "eos", Usage()) for request in requests]

    def describe(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


def test_every_thread_gets_its_own_answer_from_few_calls() -> None:
    inner = Counting()
    model = BatchingModel(inner, max_batch=8, gather_seconds=0.2)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: model.generate([Request(str(i))])[0].text, range(8)))
    model.close()
    assert answers == [str(i) for i in range(8)]
    assert max(inner.sizes) > 1


def test_a_refused_request_does_not_fail_its_neighbours() -> None:
    model = BatchingModel(Counting(), max_batch=3, gather_seconds=0.2)
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(model.generate, [Request(text)]) for text in ("a", "bad", "b")]
    assert futures[0].result()[0].text == "a"
    assert futures[2].result()[0].text == "b"
    with pytest.raises(ProviderError):
        futures[1].result()
    model.close()
