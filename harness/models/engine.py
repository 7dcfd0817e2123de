"""Continuous batching over packed sequences, with each episode's cache kept between its turns.

One thread runs the model, step by step. Requests join between two steps and leave at their end. A
step computes the next token of every request that is being completed, and fills up with the
prompts of those that have just come, at most `step_tokens` in all, so that a long prompt does not
hold up the rest.

A request starts from the cached sequence that shares the most leading ids with its prompt: the one
its own session left, or a copy from another session, so that the instruction and the examples of
many episodes are computed once. The rest of the prompt is computed anew. Kept caches and running
requests together hold at most `cache_tokens` tokens, unless a single request needs more: the
caches used longest ago are dropped first, and requests wait for room.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Protocol

import torch

from harness.encoding import shared_prefix
from harness.errors import ProviderError
from harness.models.loading import first_line
from harness.models.packed import PackedModel, Segment, SequenceCache

logger = logging.getLogger(__name__)

_WORTH_COPYING = 32
"""Tokens that must be gained before another sequence's cache is copied, or waited for."""

_MAX_ROWS = 256
"""Requests computed at once."""


class Task(Protocol):
    """A request on its way through the engine.

    Attributes:
        prompt: the ids to have in the cache first; the engine computes what is not there.
        session: whose cache to use and to keep, or empty for neither.
        room: tokens that may come after the prompt.
        cached: tokens of the prompt that were not computed, set by the engine.
    """

    prompt: list[int]
    session: str
    room: int
    cached: int

    def following(self, budget: int) -> tuple[list[int], list[list[int]], list[int]]:
        """What to compute behind the prompt: its tokens, branches, and wanted indices.

        Called first together with the last token of the prompt, whose index is then -1.
        """
        ...

    def take(self, logits: torch.Tensor) -> None:
        """The wanted logits, [wanted, vocabulary]."""
        ...

    @property
    def done(self) -> bool: ...

    def result(self) -> Any: ...


class _Running:
    """A task with its cache."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.future: Future[Any] = Future()
        self.cache = SequenceCache()
        self.prefilling = False

    @property
    def needs(self) -> int:
        return SequenceCache.rounded(len(self.task.prompt) + self.task.room)

    def segment(self, budget: int) -> Segment:
        """The next tokens to compute, at most `budget` of a prompt."""
        have, prompt = len(self.cache.ids), self.task.prompt
        missing = prompt[have:]
        if len(missing) > budget:
            return Segment(self.cache, missing[:budget])
        tokens, branches, wanted = self.task.following(budget - len(missing))
        shift = len(missing)
        self.prefilling = False
        return Segment(
            self.cache, [*missing, *tokens], branches, [shift + index for index in wanted]
        )


class Engine:
    """Answers tasks from any thread.

    Args:
        packed: the model.
        name: what errors call it.
        cache_tokens: tokens of keys and values to hold at most.
        step_tokens: tokens to compute at once at most.
    """

    def __init__(
        self, packed: PackedModel, *, name: str, cache_tokens: int, step_tokens: int = 1024
    ) -> None:
        self._packed = packed
        self._name = name
        self._cache_tokens = cache_tokens
        self._step_tokens = step_tokens
        self._arriving: queue.SimpleQueue[_Running | str | None] = queue.SimpleQueue()
        self._waiting: list[_Running] = []
        self._running: list[_Running] = []
        self._kept: OrderedDict[str, SequenceCache] = OrderedDict()
        self._lock = threading.Lock()
        self._closed: str | None = None
        self._thread: threading.Thread | None = None

    def run(self, tasks: Sequence[Task]) -> list[Any]:
        """The results of `tasks`, in order; waits for all, then raises the first failure."""
        entries = [_Running(task) for task in tasks]
        with self._lock:
            if self._closed is not None:
                raise ProviderError(self._closed)
            if self._thread is None and entries:
                self._thread = threading.Thread(target=self._serve, name="model", daemon=True)
                self._thread.start()
            for entry in entries:
                self._arriving.put(entry)
        return [entry.future.result() for entry in entries]

    def release(self, session: str) -> None:
        """Drop what is kept of `session`, at the next step."""
        self._arriving.put(session)

    def close(self) -> None:
        """Fail what is under way, and everything that is asked later; drop all caches."""
        with self._lock:
            self._closed = self._closed or f"model {self._name} is closed"
            self._arriving.put(None)
        if self._thread is not None:
            self._thread.join()
        self._packed.forget()

    @property
    def held_tokens(self) -> int:
        """Tokens there is memory for, in kept caches and in those of running requests."""
        kept = sum(cache.capacity for cache in list(self._kept.values()))
        return kept + sum(entry.cache.capacity for entry in list(self._running))

    def _serve(self) -> None:
        try:
            while self._receive():
                self._admit()
                self._step()
        except Exception as error:  # the boundary: whoever waits must be told
            self._closed = f"model {self._name} failed: {type(error).__name__}: {first_line(error)}"
            logger.exception("the model's thread ended")
        finally:
            self._fail_all()

    def _receive(self) -> bool:
        """Take what has arrived, waiting if there is nothing else to do; False when closed."""
        while True:
            try:
                idle = not self._running and not self._waiting
                arrived = self._arriving.get(block=idle)
            except queue.Empty:
                return True
            if arrived is None:
                return False
            if isinstance(arrived, str):
                self._kept.pop(arrived, None)
            else:
                self._waiting.append(arrived)

    def _admit(self) -> None:
        """Let waiting requests join, in order, while there is room."""
        deferred: list[_Running] = []
        while self._waiting and len(self._running) < _MAX_ROWS:
            entry = self._waiting[0]
            own = self._kept.get(entry.task.session) if entry.task.session else None
            if not self._make_room(entry.needs, own):
                break
            del self._waiting[0]
            if self._begin(entry, own):
                self._running.append(entry)
            else:
                deferred.append(entry)
        self._waiting[:0] = deferred

    def _make_room(self, needed: int, own: SequenceCache | None) -> bool:
        """Drop the oldest kept caches until `needed` tokens fit; False while they cannot."""
        reused = own.capacity if own is not None else 0
        while self.held_tokens - reused + needed > self._cache_tokens:
            oldest = next((key for key, cache in self._kept.items() if cache is not own), None)
            if oldest is not None:
                del self._kept[oldest]
            elif self._running:
                return False
            else:
                break
        return True

    def _begin(self, entry: _Running, own: SequenceCache | None) -> bool:
        """Give the task the best cache there is; False to wait for a better one.

        A better one is under way when a running request is computing a prefix they share.
        """
        # The last token is always computed, for it gives the first logits.
        prompt = entry.task.prompt
        best = shared_prefix(own.ids, prompt[:-1]) if own is not None else 0
        donor: SequenceCache | None = None
        gain = best + _WORTH_COPYING
        for cache in [*self._kept.values(), *(other.cache for other in self._running)]:
            common = shared_prefix(cache.ids, prompt[:-1])
            if common >= gain:
                donor, gain = cache, common
        at_hand = gain if donor is not None else best
        for other in self._running:
            if other.prefilling:
                common = shared_prefix(other.task.prompt, prompt[:-1])
                if common >= at_hand + _WORTH_COPYING:
                    return False
        if donor is not None:
            entry.cache.reserve(entry.needs)
            entry.cache.copy_from(donor, at_hand)
        elif own is not None:
            entry.cache = own
            own.truncate(at_hand)
        if own is not None:
            del self._kept[entry.task.session]
        entry.cache.reserve(entry.needs)
        entry.task.cached = at_hand
        entry.prefilling = True
        return True

    def _step(self) -> None:
        """Compute one step of the running requests."""
        budget = self._step_tokens - sum(not entry.prefilling for entry in self._running)
        batch: list[tuple[_Running, Segment]] = []
        for entry in sorted(self._running, key=lambda entry: entry.prefilling):
            if entry.prefilling and budget <= 0:
                continue
            was_prefilling = entry.prefilling
            segment = entry.segment(max(budget, 1))
            budget -= len(segment.flat()) - (not was_prefilling)
            batch.append((entry, segment))
        if not batch:
            return
        try:
            answers = self._packed.forward([segment for _, segment in batch])
        except (RuntimeError, IndexError) as error:
            self._kept.clear()  # it may be memory that is short
            if len(batch) == 1:
                self._fail(batch[0][0], error)
                return
            for entry, segment in batch:
                segment.masks.clear()
                try:
                    (answer,) = self._packed.forward([segment])
                except (RuntimeError, IndexError) as own_error:
                    self._fail(entry, own_error)
                else:
                    self._take(entry, answer)
            return
        for (entry, _), answer in zip(batch, answers, strict=True):
            self._take(entry, answer)

    def _take(self, entry: _Running, logits: torch.Tensor) -> None:
        if not len(logits):
            return
        try:
            entry.task.take(logits)
        except FloatingPointError as error:
            self._fail(entry, error)
            return
        if entry.task.done:
            self._running.remove(entry)
            if entry.task.session:
                self._kept[entry.task.session] = entry.cache
                self._kept.move_to_end(entry.task.session)
            entry.future.set_result(entry.task.result())

    def _fail(self, entry: _Running, error: Exception) -> None:
        self._running.remove(entry)
        entry.future.set_exception(ProviderError(f"model {self._name} failed: {first_line(error)}"))

    def _fail_all(self) -> None:
        with self._lock:
            self._closed = self._closed or f"model {self._name} is closed"
            entries = [*self._running, *self._waiting]
            while not self._arriving.empty():
                arrived = self._arriving.get()
                if isinstance(arrived, _Running):
                    entries.append(arrived)
        self._running, self._waiting = [], []
        self._kept.clear()
        for entry in entries:
            entry.future.set_exception(ProviderError(self._closed))
