"""What a language model is to the harness: a list of requests in, a list of completions out.

Every backend gives the same meaning to the same request: `stop` strings end the completion and are
not part of it; `stop_line` ends it after the first complete line that starts with that marker;
`temperature` 0 is greedy; the same `seed` and request give the same text on the same backend. A
backend that cannot honour a field says so when it is built, never silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from harness.trajectory import Usage

FinishReason = Literal["stop", "eos", "length"]
"""`stop`: a stop string or stop line; `eos`: the model's own end; `length`: out of tokens."""


@dataclass(frozen=True)
class Message:
    """One chat message; `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn. Temperature 0 is greedy; `top_k` 0 and `top_p` 1 leave all tokens."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 200


@dataclass(frozen=True)
class Request:
    """One completion to make.

    `ids` and `text` are the rendered prompt, given when the model has a tokenizer; `messages` is
    the same prompt as chat messages, for servers that apply a template of their own. `session`
    names the episode, so that a backend may keep its key-value cache between turns.
    """

    text: str
    ids: tuple[int, ...] | None = None
    messages: tuple[Message, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    stop_line: str | None = None
    seed: int = 0
    session: str = ""


@dataclass(frozen=True)
class Completion:
    """What came back. `text` ends before the stop string, or after the stop line's newline.

    `text` never contains special tokens. `ids` are the sampled ids, the end token included, where
    the backend gives them.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    ids: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ScoreRequest:
    """How likely is each of several continuations of one text?

    Attributes:
        sequences: for each continuation, the ids of the whole text, the shared part included;
            where the shared part ends is the backend's to find.
        starts: for each sequence, the index of the first token to score, at least 1; the rest of
            the sequence is scored with it.
        session: as in `Request`.
    """

    sequences: tuple[tuple[int, ...], ...]
    starts: tuple[int, ...]
    session: str = ""


@dataclass(frozen=True)
class Scores:
    """Log-probabilities of the scored tokens, a tuple per sequence; temperature is not applied."""

    logprobs: tuple[tuple[float, ...], ...]
    usage: Usage


@runtime_checkable
class Model(Protocol):
    """A model backend. Optional: `score` (see `ScoringModel`) and `release` (see `Releasing`).

    Attributes:
        name: the spec it was made from, as recorded in episodes.
        tokenizer: a fast `transformers` tokenizer, or None when the server keeps it.
        max_context: positions the model has (prompt and completion together), or None if unknown.
    """

    name: str
    tokenizer: Any | None
    max_context: int | None

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete every request, in order. Raises `ProviderError` when the backend fails."""
        ...

    def describe(self) -> dict[str, Any]:
        """What the completions depend on (digest of weights, dtype), for the config digest."""
        ...

    def close(self) -> None:
        """Release memory and connections."""
        ...


@runtime_checkable
class ScoringModel(Protocol):
    """A model that can tell how likely given tokens are."""

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Score every request, in order. Raises as `Model.generate` does."""
        ...


@runtime_checkable
class Releasing(Protocol):
    """A model that keeps something of an episode between its turns."""

    def release(self, session: str) -> None:
        """The episode is over: what is kept of `session` may be dropped."""
        ...


def cut_at_stop(text: str, stop: Sequence[str], stop_line: str | None) -> tuple[str, bool]:
    """The part of `text` a completion keeps, and whether a stop was met.

    The earliest stop wins. Equal to truncating at the first occurrence of any `stop` string, and
    after the newline that ends the first line that begins with `stop_line` (in any case, leading
    blanks allowed) and has something after it.
    """
    end, stopped = len(text), False
    for string in stop:
        at = text.find(string)
        if 0 <= at < end:
            end, stopped = at, True
    if stop_line is not None:
        position = 0
        for line in text.split("\n")[:-1]:
            position += len(line) + 1
            found = line.strip()
            if found.casefold().startswith(stop_line.casefold()) and len(found) > len(stop_line):
                if position <= end:
                    end, stopped = position, True
                break
    return text[:end], stopped
