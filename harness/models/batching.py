"""Requests of many episodes in one call of the model."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from harness.errors import ProviderError
from harness.models.base import Completion, Model, Request


class BatchingModel:
    """A model that several threads may ask at once; their requests are answered together.

    A thread of its own takes what is waiting, up to `max_batch`, and calls the model. It waits
    `gather_seconds` for company only, so a single caller loses no more than that.
    """

    def __init__(self, model: Model, *, max_batch: int, gather_seconds: float = 0.01) -> None:
        self.name = model.name
        self.tokenizer = model.tokenizer
        self.max_context = model.max_context
        self._model = model
        self._max_batch = max_batch
        self._gather = gather_seconds
        self._closed = False
        self._waiting: queue.Queue[tuple[Request, Future[Completion]] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._serve, name="model", daemon=True)
        self._thread.start()

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        if self._closed:
            raise ProviderError(f"model {self.name} is closed")
        futures: list[Future[Completion]] = [Future() for _ in requests]
        for request, future in zip(requests, futures, strict=True):
            self._waiting.put((request, future))
        return [future.result() for future in futures]

    def describe(self) -> dict[str, Any]:
        return self._model.describe()

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()
        self._model.close()

    def _serve(self) -> None:
        try:
            while (first := self._waiting.get()) is not None:
                batch = [first]
                while len(batch) < self._max_batch:
                    try:
                        item = self._waiting.get(timeout=self._gather)
                    except queue.Empty:
                        break
                    if item is None:
                        self._waiting.put(None)
                        break
                    batch.append(item)
                self._answer(batch)
        finally:
            self._fail_waiting()

    def _answer(self, batch: list[tuple[Request, Future[Completion]]]) -> None:
        try:
            completions = self._model.generate([request for request, _ in batch])
            if len(completions) != len(batch):
                raise ProviderError(
                    f"model {self.name} gave {len(completions)} completions for "
                    f"{len(batch)} requests"
                )
        except BaseException as error:  # noqa: BLE001  handed to the callers, who classify it
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            # One request that cannot be answered must not fail its neighbours.
            for item in batch:
                self._answer([item])
            return
        for (_, future), completion in zip(batch, completions, strict=True):
            future.set_result(completion)

    def _fail_waiting(self) -> None:
        self._closed = True
        while True:
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                return
            if item is not None:
                item[1].set_exception(ProviderError(f"model {self.name} is closed"))
