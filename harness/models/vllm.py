"""A model in vLLM, in this process.

Threads may call `generate` at once: one thread owns the engine and steps it, requests join the
running batch between two steps, and a finished one leaves at once. vLLM keeps the key-value cache
of prompts that share a prefix, hence of an episode's turns. Stops are looked for here, in the text
so far, so that a stop string and a stop line mean what they mean in every backend; a request that
has met one is taken out of the batch.

It refuses prompts that are empty or leave no room for a token, and cuts `max_tokens` to that room.
What the model's folder says about sampling is not used. Weights load as `dtype` says; `auto` is
float32 on a CPU, as for transformers, and the model's own elsewhere.
"""

from __future__ import annotations

import itertools
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.encoding import encode
from harness.errors import ContextOverflow, HarnessError, ProviderError
from harness.models.base import (
    Completion,
    FinishReason,
    Request,
    ScoreRequest,
    Scores,
    cut_at_stop,
)
from harness.models.checks import check_request
from harness.models.ids import shortest_ids
from harness.trajectory import Usage

_KV_CACHE_GIB = 2
"""Memory for the key-value cache on a CPU, where vLLM would take a share of all there is."""


@dataclass
class _Running:
    """A request in the engine; `finish` makes its result of the last output heard."""

    prompt: list[int]
    parameters: Any
    finish: Callable[[_Running, Any], Any]
    request: Request | None = None
    future: Future[Any] = field(default_factory=Future)


class VllmModel:
    """Completions from a vLLM engine in this process.

    Args:
        engine: a `vllm.v1.engine.llm_engine.LLMEngine`.
        name: the spec to record.
        weights_digest: what identifies the weights.
    """

    concurrent = True

    def __init__(self, engine: Any, *, name: str, weights_digest: str) -> None:
        self.name = name
        self.tokenizer = engine.get_tokenizer()
        config = engine.model_config
        self.max_context: int | None = int(config.max_model_len)
        self._engine = engine
        self._vocabulary = int(config.get_vocab_size())
        self._numbers = itertools.count()
        self._arriving: queue.SimpleQueue[_Running | None] = queue.SimpleQueue()
        self._running: dict[str, _Running] = {}
        self._closed: str | None = None
        self._lock = threading.Lock()
        self._weights = weights_digest
        self._dtype = str(config.dtype).removeprefix("torch.")
        self._thread = threading.Thread(target=self._serve, name="vllm", daemon=True)
        self._thread.start()

    @classmethod
    def load(cls, source: str | Path, *, name: str, dtype: str = "auto") -> VllmModel:
        """The model of a folder or hub id.

        Raises:
            HarnessError: vLLM cannot load it.
        """
        from harness.models.loading import folder_digest

        # The engine beside its caller, in one process: there is one thread that uses it.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(_KV_CACHE_GIB))
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        import torch
        from vllm import EngineArgs
        from vllm.v1.engine.llm_engine import LLMEngine

        on_cpu = not torch.cuda.is_available()
        arguments = EngineArgs(
            model=str(source),
            dtype="float32" if dtype == "auto" and on_cpu else dtype,
            enable_prefix_caching=True,
            generation_config="vllm",
            enforce_eager=on_cpu,  # compiling takes a minute and gains little without a GPU
            disable_log_stats=True,
        )
        try:
            engine = LLMEngine.from_engine_args(arguments)
        except (ValueError, OSError, RuntimeError, ImportError) as error:
            line = next(iter(str(error).splitlines()), type(error).__name__)
            raise HarnessError(f"vLLM cannot load {source}: {line}") from error
        folder = Path(source)
        digest = folder_digest(folder) if folder.is_dir() else f"hub:{source}"
        return cls(engine, name=name, weights_digest=digest)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete every request, in order; the first failure is raised.

        Raises:
            HarnessError: a request's sampling is out of range.
            ContextOverflow: a prompt leaves no room for a token.
            ProviderError: the engine failed, or the model is closed.
        """
        for request in requests:
            check_request(request)
        return self._results([self._entry(request) for request in requests])

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Log-probabilities of given continuations, in order.

        Every sequence is computed whole: vLLM tells them for computed positions alone.

        Raises:
            ContextOverflow: a sequence leaves no room for a token.
            ProviderError: the engine failed, or the model is closed.
        """
        entries = []
        for request in requests:
            for sequence, start in zip(request.sequences, request.starts, strict=True):
                if not 1 <= start < len(sequence):
                    raise ProviderError(
                        f"start {start} in a sequence of {len(sequence)} tokens; expected 1 to "
                        f"{len(sequence) - 1}"
                    )
                entries.append(self._scoring(list(sequence), start))
        results = iter(self._results(entries))
        return [self._scores(request, results) for request in requests]

    def _results(self, entries: list[_Running]) -> list[Any]:
        with self._lock:
            if self._closed is not None:
                raise ProviderError(self._closed)
            for entry in entries:
                self._arriving.put(entry)
        return [entry.future.result() for entry in entries]

    def _scoring(self, prompt: list[int], start: int) -> _Running:
        from vllm import SamplingParams

        self._room(prompt)
        # It cannot be asked for no token at all; the one it draws is not looked at.
        parameters = SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0)

        def finish(entry: _Running, output: Any) -> tuple[float, ...]:
            told = output.prompt_logprobs
            return tuple(
                float(told[at][entry.prompt[at]].logprob) for at in range(start, len(entry.prompt))
            )

        return _Running(prompt, parameters, finish)

    def _scores(self, request: ScoreRequest, results: Iterator[tuple[float, ...]]) -> Scores:
        logprobs = tuple(next(results) for _ in request.sequences)
        computed = sum(map(len, request.sequences))
        return Scores(logprobs, Usage(model_calls=1, prompt_tokens=computed))

    def describe(self) -> dict[str, Any]:
        """What completions depend on: digests of weights and tokenizer, dtype."""
        from harness.models.loading import tokenizer_digest

        return {
            "spec": self.name,
            "class": type(self).__name__,
            "weights": self._weights,
            "tokenizer": tokenizer_digest(self.tokenizer),
            "dtype": self._dtype,
        }

    def close(self) -> None:
        """Stop the engine; calls under way and later ones fail."""
        self._arriving.put(None)
        self._thread.join()
        if self._engine is not None:
            self._engine.engine_core.shutdown()
            self._engine = None

    def _entry(self, request: Request) -> _Running:
        from vllm import SamplingParams

        prompt = list(request.ids) if request.ids is not None else self._encode(request.text)
        room = self._room(prompt)
        sampling = request.sampling
        parameters = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=min(room, sampling.max_tokens),
            seed=request.seed % 2**63,
        )
        return _Running(prompt, parameters, self._completion, request)

    def _room(self, prompt: list[int]) -> int:
        """Tokens that fit after `prompt`, at least one."""
        if not prompt:
            raise ProviderError("the prompt is empty; expected at least one token")
        unknown = next((token for token in prompt if not 0 <= token < self._vocabulary), None)
        if unknown is not None:
            raise ProviderError(
                f"the prompt has token id {unknown}; {self.name} knows ids 0 to "
                f"{self._vocabulary - 1}: it was rendered for another tokenizer"
            )
        assert self.max_context is not None
        room = self.max_context - len(prompt)
        if room < 1:
            raise ContextOverflow(
                f"the prompt has {len(prompt)} tokens; {self.name} has {self.max_context} "
                "positions and needs one for the completion"
            )
        return room

    def _encode(self, text: str) -> list[int]:
        bos = self.tokenizer.bos_token
        return encode(text, self.tokenizer, add_bos=not (bos and text.startswith(bos)))[0]

    def _serve(self) -> None:
        """Step the engine while there is work, until the model is closed or the engine fails."""
        reason = f"model {self.name} is closed"
        try:
            while self._take(wait=not self._running):
                for output in self._engine.step():
                    self._heard(output)
        except Exception as error:  # noqa: BLE001  the boundary: every caller is told
            line = next(iter(str(error).splitlines()), "")
            reason = f"vLLM failed: {type(error).__name__}: {line}"
        with self._lock:
            self._closed = reason
            left = list(self._running.values())
            while not self._arriving.empty():
                entry = self._arriving.get()
                left += [entry] if entry is not None else []
        for entry in left:
            entry.future.set_exception(ProviderError(reason))

    def _take(self, *, wait: bool) -> bool:
        """Hand what has arrived to the engine; False when the model is to close."""
        while wait or not self._arriving.empty():
            entry = self._arriving.get()
            if entry is None:
                return False
            # The engine names requests by a name of its own; it gives this one back.
            name = str(next(self._numbers))
            self._engine.add_request(name, {"prompt_token_ids": entry.prompt}, entry.parameters)
            self._running[name] = entry
            wait = False
        return True

    def _heard(self, output: Any) -> None:
        entry = self._running.get(output.request_id)
        if entry is None:
            return  # it met a stop in an earlier step
        said = output.outputs[0]
        stopped = False
        if entry.request is not None:
            stopped = cut_at_stop(said.text, entry.request.stop, entry.request.stop_line)[1]
        if not (stopped or output.finished):
            return
        del self._running[output.request_id]
        if not output.finished:
            self._engine.abort_request([output.request_id])
        if said.finish_reason in (None, "stop", "length"):
            entry.future.set_result(entry.finish(entry, output))
        else:
            entry.future.set_exception(
                ProviderError(f"the completion ended with {said.finish_reason!r}")
            )

    def _completion(self, entry: _Running, output: Any) -> Completion:
        said = output.outputs[0]
        assert entry.request is not None
        text, stopped = cut_at_stop(said.text, entry.request.stop, entry.request.stop_line)
        reason: FinishReason = "length" if said.finish_reason == "length" else "eos"
        ids = tuple(said.token_ids)
        if stopped:
            reason = "stop"
            ids = shortest_ids(self.tokenizer, entry.prompt, ids, text)
        usage = Usage(
            model_calls=1,
            prompt_tokens=len(entry.prompt),
            cached_tokens=output.num_cached_tokens or 0,
            completion_tokens=len(said.token_ids),
        )
        return Completion(text, reason, usage, ids)
