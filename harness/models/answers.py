"""What an OpenAI-compatible server sent back, read and judged.

An answer is one JSON object, or a stream of server-sent events that each hold one. Everything that
is not a sound answer becomes the error that says what may be done about it (`harness.errors`):

| what came back | error |
|---|---|
| 400, 413, 422 that speaks of the context's length | `ContextOverflow` |
| 429 | `RateLimited`; `ProviderError` when the quota is spent, which waiting does not mend |
| 503, 529 | `ServerBusy` |
| 408, 425, 500, 502, 504 and other 5xx | `TransientError` |
| any other status | `ProviderError` |
| broken JSON, another content type, no choice, an end without a reason | `TransientError` |
"""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.errors import (
    ContextOverflow,
    ProviderError,
    RateLimited,
    ServerBusy,
    TransientError,
)

_OVERFLOW = re.compile(
    r"context[_ ]length|context (?:size|window)|maximum (?:context|model|prompt|sequence) len"
    r"|max_model_len|too many (?:input )?tokens|(?:prompt|input) is too long",
    re.IGNORECASE,
)
_QUOTA = re.compile(r"insufficient_quota|exceeded your current quota|billing", re.IGNORECASE)
_TRANSIENT_STATUS = frozenset({408, 409, 425})
_SHOWN = 300
"""Characters of a server's own words that an error message repeats."""


@dataclass
class Answer:
    """One choice, collected from one object or from the events of a stream.

    Attributes:
        finish: the server's finish reason; None while the stream goes on.
        stop_reason: vLLM's stop string, or id of the end token; None where nothing was said.
        ids: sampled ids, empty where the server gives none.
        usage: the last usage object seen; counts what the server had done when it was sent.
    """

    text: str = ""
    reasoning: str = ""
    finish: str | None = None
    stop_reason: str | int | None = None
    ids: list[int] = field(default_factory=list)
    usage: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None

    def take(self, data: Any) -> str:
        """Add one decoded object; the text that it added.

        Raises:
            ProviderError: the object reports an error, or is not of the protocol.
        """
        if not isinstance(data, dict):
            raise TransientError(f"the server sent {type(data).__name__}; expected a JSON object")
        if data.get("error"):
            raise error_in_answer(data["error"])
        if isinstance(data.get("model"), str) and data["model"]:
            self.model = data["model"]
        if isinstance(data.get("usage"), dict):
            self.usage = data["usage"]
        choices = data.get("choices")
        if not isinstance(choices, list):
            raise TransientError("the server sent an answer without choices")
        return self._choice(choices[0]) if choices else ""

    def _choice(self, choice: Any) -> str:
        try:
            said = choice.get("delta") or choice.get("message") or choice
            piece = said.get("content") if said is not choice else said.get("text")
            thought = said.get("reasoning_content") or said.get("reasoning") or ""
            ids = choice.get("token_ids") or ()
            self.finish = choice.get("finish_reason") or self.finish
            self.stop_reason = choice.get("stop_reason", self.stop_reason)
            piece = piece or ""
            self.text += piece
            self.reasoning += thought
            self.ids.extend(ids)
        except (AttributeError, TypeError) as error:
            raise TransientError("the server sent a choice of an unknown form") from error
        return str(piece)

    def check(self) -> None:
        """Raise unless the answer has come to an end."""
        if self.finish is None:
            raise TransientError("the answer ended without a finish reason: it is incomplete")
        if self.finish not in ("stop", "length"):
            kind = TransientError if self.finish in ("abort", "error") else ProviderError
            raise kind(f"the completion ended with {self.finish!r}; expected stop or length")


def whole_answer(body: bytes) -> Answer:
    """The answer in a body that is one JSON object."""
    answer = Answer()
    data = _decode(body)
    answer.take(data)
    if not data["choices"]:
        raise TransientError("the server sent an empty list of choices")
    answer.check()
    return answer


def events(chunks: Iterable[bytes]) -> Iterator[Any]:
    """The decoded objects of a stream of server-sent events, up to `[DONE]` or its end."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue  # comments, event names and the blank line between events
            data = line[5:].strip()
            if data == b"[DONE]":
                return
            yield _decode(data)
    if rest.startswith(b"data:") and rest[5:].strip() != b"[DONE]":
        yield _decode(rest[5:])


def _decode(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise TransientError(f"the server sent broken JSON ({len(body)} bytes)") from error


def error_for_status(status: int, headers: Mapping[str, str], body: bytes) -> Exception:
    """The error for an answer whose HTTP status is not 200."""
    said = _said(body)
    message = f"the server answered {status}" + (f": {said}" if said else "")
    wait = retry_after(headers)
    if status in (400, 413, 422) and _OVERFLOW.search(said):
        return ContextOverflow(message)
    if status == 429:
        if _QUOTA.search(said):
            return ProviderError(message)
        return RateLimited(message, retry_after=wait)
    if status in (503, 529):
        return ServerBusy(message, retry_after=wait)
    if status >= 500 or status in _TRANSIENT_STATUS:
        return TransientError(message, retry_after=wait)
    return ProviderError(message)


def error_in_answer(error: Any) -> Exception:
    """The error for an answer of status 200 that holds one, as streams report theirs."""
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return error_for_status(status, {}, json.dumps({"error": error}).encode())


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or a date; None when it says neither."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if seconds < float("inf") else None


def _said(body: bytes) -> str:
    """The server's own words in the body of an error, on one line."""
    text = body[:4000].decode("utf-8", "replace")
    try:
        data = json.loads(body)
    except ValueError:
        pass
    else:
        error = data.get("error", data) if isinstance(data, dict) else data
        if isinstance(error, dict):
            told = (error.get(key) for key in ("code", "type", "message", "detail"))
            text = " ".join(str(part) for part in told if part and not isinstance(part, int))
        else:
            text = str(error)
    return " ".join(text.split())[:_SHOWN]
