"""A model behind any OpenAI-compatible server, over HTTP.

With a tokenizer, prompts are rendered here and sent as token ids to the completions endpoint, so
that the server sees exactly the recorded text. Without one, chat messages go to the chat endpoint
and the server's own template is applied (`exact_text` is false then), or plain text goes to the
completions endpoint.

Stop strings are honoured by the server. A stop line is something no server knows: the answer is
streamed, and the connection is closed as soon as the line is complete, which ends the generation.
That needs the number of tokens so far: vLLM and SGLang tell it with every token, and a tokenizer
can count. From other servers the answer is heard to its end and cut, so that the usage is right.
A stream that was closed early has not said how much of the prompt was cached; it counts as none.

Every call is made once: failures are classified (`harness.models.answers`), and whether to try
again is the caller's business. The API key comes from SAD_API_KEY or OPENAI_API_KEY alone. It is
sent in the request's header and appears nowhere else: what a server says in an error is repeated
without it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Literal

from harness.errors import ContextOverflow, HarnessError, ProviderError, TransientError
from harness.models.answers import Answer, events, whole_answer
from harness.models.base import Completion, FinishReason, Request, cut_at_stop
from harness.models.checks import check_request
from harness.models.connection import Connection
from harness.models.ids import shortest_ids
from harness.trajectory import Usage

Api = Literal["auto", "chat", "completions"]

MAX_STOPS = 4
"""Stop strings that the protocol allows in one request."""

_RUNNING_USAGE = frozenset({"vllm", "sglang"})
_TOP_K = frozenset({"vllm", "sglang", "llamacpp"})
_POOL = 64
"""Calls of one `generate` that are under way at once."""


class OpenAIModel:
    """Completions from a server. Threads may call `generate` at once; the server batches.

    Args:
        model: the name the server has for the model.
        base_url: the root of its interface, such as `http://127.0.0.1:8000/v1`.
        name: the spec to record.
        api: the endpoint; `auto` is completions with a tokenizer, else chat.
        tokenizer: the model's fast tokenizer, to render prompts here.
        call_timeout: seconds one call may take.
        server_timeout: seconds to wait for a server that does not answer yet.
        on_wait: told once, in a line, when there is something to wait for.

    Raises:
        HarnessError: bad settings, no server, no such model, or a tokenizer of another model.
    """

    concurrent = True

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        name: str | None = None,
        api: Api = "auto",
        tokenizer: Any | None = None,
        call_timeout: float = 600.0,
        server_timeout: float = 0.0,
        on_wait: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.name = name or f"openai:{model}"
        self.api: Api = api if api != "auto" else "chat" if tokenizer is None else "completions"
        if self.api == "chat" and tokenizer is not None:
            raise HarnessError(
                "a tokenizer renders prompts here, which the chat endpoint does not take; leave "
                "out --tokenizer or --api chat"
            )
        self.tokenizer = tokenizer
        self._model = model
        self._connection = Connection(base_url, timeout=call_timeout)
        self._lock = threading.Lock()
        self._answers_as: str | None = None
        self._limit_field = "max_tokens"
        try:
            self.server = self._connection.meet(model, server_timeout, on_wait)
            if tokenizer is not None and self.server.kind == "vllm":
                self._connection.compare_tokenizers(model, tokenizer)
        except BaseException:
            self._connection.close()
            raise
        self.max_context = self.server.max_context

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete every request, in order; the first failure is raised.

        Raises:
            HarnessError: a request's sampling is out of range, or unknown to this server.
            ContextOverflow: a prompt does not fit.
            ProviderError: the call failed; which kind of it says whether another may succeed.
        """
        for request in requests:
            self._check(request)
        if len(requests) == 1:
            return [self._complete(requests[0])]
        with ThreadPoolExecutor(max(1, min(len(requests), _POOL))) as pool:
            return list(pool.map(self._complete, requests))

    def describe(self) -> dict[str, Any]:
        """The endpoint, the model's name at the server, and the tokenizer's digest; no URL."""
        digest = None
        if self.tokenizer is not None:
            from harness.models.loading import tokenizer_digest

            digest = tokenizer_digest(self.tokenizer)
        return {
            "spec": self.name,
            "class": type(self).__name__,
            "api": self.api,
            "served": self._model,
            "tokenizer": digest,
        }

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def _check(self, request: Request) -> None:
        check_request(request)
        sampling = request.sampling
        if sampling.top_k and self.server.kind not in _TOP_K:
            raise HarnessError(
                f"--top-k is {sampling.top_k}, which this server does not know; use --top-p"
            )
        if self.max_context is not None and sampling.max_tokens >= self.max_context:
            raise HarnessError(
                f"--max-tokens is {sampling.max_tokens} and the server's model has "
                f"{self.max_context} positions; expected room for a prompt as well"
            )

    def _complete(self, request: Request) -> Completion:
        request = self._fitted(request)
        can_count = self.server.kind in _RUNNING_USAGE or self.tokenizer is not None
        closes = request.stop_line is not None and can_count
        streams = request.stop_line is not None
        try:
            answer, cut = self._ask(request, streams=streams, closes=closes)
        except ProviderError as error:
            if self._limit_field == "max_completion_tokens" or "max_completion_tokens" not in str(
                error
            ):
                raise
            self._limit_field = "max_completion_tokens"  # what this server wants it called
            answer, cut = self._ask(request, streams=streams, closes=closes)
        return self._completion(request, answer, cut, asked_to_stop=not closes)

    def _fitted(self, request: Request) -> Request:
        """The request with `max_tokens` cut to the room after its prompt, where that is known."""
        if self.max_context is None or not request.ids or self.api == "chat":
            return request
        room = self.max_context - len(request.ids)
        if room < 1:
            raise ContextOverflow(
                f"the prompt has {len(request.ids)} tokens; {self.name} has {self.max_context} "
                "positions and needs one for the completion"
            )
        limit = min(room, request.sampling.max_tokens)
        return replace(request, sampling=replace(request.sampling, max_tokens=limit))

    def _ask(self, request: Request, *, streams: bool, closes: bool) -> tuple[Answer, bool]:
        """The answer, and whether it was cut at a stop before the server had ended it."""
        path = "chat/completions" if self.api == "chat" else "completions"
        body = self._body(request, streams=streams, sends_stops=not closes)
        with self._connection.post(path, body) as (kind, chunks):
            if kind == "application/json":
                return self._judged(whole_answer(b"".join(chunks))), False
            if kind != "text/event-stream" or not streams:
                raise TransientError(
                    f"the server sent {kind or 'no content type'}; expected "
                    + ("text/event-stream" if streams else "application/json")
                )
            return self._heard(request, chunks, closes)

    def _heard(
        self, request: Request, chunks: Iterator[bytes], closes: bool
    ) -> tuple[Answer, bool]:
        answer = Answer()
        longest = 4096 + 64 * request.sampling.max_tokens
        for data in events(chunks):
            piece = answer.take(data)
            if answer.model != self._answers_as:
                self._judged(answer)
            if closes and piece and self._stops(answer.text, piece, request):
                return answer, True
            if len(answer.text) > longest:
                raise ProviderError(
                    f"the server sent over {longest} characters for {request.sampling.max_tokens} "
                    "tokens; it does not keep to max_tokens"
                )
        answer.check()
        return answer, False

    def _stops(self, text: str, piece: str, request: Request) -> bool:
        if "\n" not in piece and not any(stop[-1] in piece for stop in request.stop):
            return False
        return cut_at_stop(text, request.stop, request.stop_line)[1]

    def _judged(self, answer: Answer) -> Answer:
        """Refuse an answer of another model; a dated snapshot of the one asked for will do."""
        found = answer.model
        if found is None:
            return answer
        with self._lock:
            expected = self._answers_as
            if expected is None and re.fullmatch(re.escape(self._model) + r"(-\d[\d-]*)?", found):
                self._answers_as = expected = found
        if found != (expected or self._model):
            raise ProviderError(
                f"the server answered as {found!r}; expected {expected or self._model!r}"
            )
        return answer

    def _body(self, request: Request, *, streams: bool, sends_stops: bool) -> dict[str, Any]:
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self._model,
            self._limit_field if self.api == "chat" else "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.seed % 2**63,
        }
        if self.api == "chat":
            body["messages"] = [{"role": m.role, "content": m.content} for m in request.messages]
        else:
            body["prompt"] = list(request.ids) if request.ids else request.text
        if sends_stops and request.stop:
            body["stop"] = list(request.stop[:MAX_STOPS])
        if sampling.top_k:
            body["top_k"] = sampling.top_k
        if streams:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
            if self.server.kind in _RUNNING_USAGE:
                body["stream_options"]["continuous_usage_stats"] = True
        if self.server.kind == "vllm":
            # What the model's folder may set otherwise, and the ids that were sampled.
            body |= {"top_k": sampling.top_k or -1, "min_p": 0.0, "repetition_penalty": 1.0}
            body["return_token_ids"] = True
            if self.api == "chat" and request.messages[-1].role == "assistant":
                body |= {"continue_final_message": True, "add_generation_prompt": False}
        return body

    def _completion(
        self, request: Request, answer: Answer, cut: bool, *, asked_to_stop: bool
    ) -> Completion:
        text, met = cut_at_stop(answer.text, request.stop, request.stop_line)
        if met or cut:
            reason: FinishReason = "stop"
        elif answer.finish == "length":
            reason = "length"
        elif self.server.kind == "vllm":
            reason = "stop" if isinstance(answer.stop_reason, str) else "eos"
        else:  # other servers do not tell the model's own end from a stop string
            reason = "stop" if asked_to_stop and request.stop else "eos"
        ids = self._kept_ids(request, answer, text, reason)
        if answer.reasoning:
            text = f"<think>\n{answer.reasoning.strip()}\n</think>\n{text}"
        return Completion(text, reason, self._usage(request, answer), ids)

    def _kept_ids(
        self, request: Request, answer: Answer, text: str, reason: FinishReason
    ) -> tuple[int, ...] | None:
        """The sampled ids that the text needs; None when which they are cannot be told."""
        if not answer.ids or answer.reasoning:
            return None
        if reason != "stop":
            return tuple(answer.ids)
        if self.tokenizer is None:
            return None
        return shortest_ids(self.tokenizer, request.ids or (), answer.ids, text)

    def _usage(self, request: Request, answer: Answer) -> Usage:
        told = answer.usage
        prompt, completion = told.get("prompt_tokens"), told.get("completion_tokens")
        details = told.get("prompt_tokens_details") or {}
        if prompt is None and self.tokenizer is not None:
            prompt = len(request.ids or ())
        if completion is None and self.tokenizer is not None:
            completion = len(self.tokenizer(answer.text, add_special_tokens=False)["input_ids"])
        return Usage(
            model_calls=1,
            prompt_tokens=prompt or 0,
            cached_tokens=details.get("cached_tokens") or 0,
            completion_tokens=completion or 0,
        )
