"""A model without weights: it says what it is told to, for tests and dry runs.

A script is one of

- a sequence of strings: every session (one episode) hears it from the beginning, in order, so
  that concurrent and resumed episodes are answered alike;
- a generator function: the same, with a fresh generator for every session;
- an iterator: one stream, shared by all sessions in the order of their requests;
- a callable that takes the `Request` and returns the text; this one may use the prompt and seed.

A script that has run out is a `ProviderError`, never an empty answer. Stops are honoured as by a
real model. Tokens are whitespace-separated words: in the usage, and for `max_tokens`, whose cut
text keeps its blanks. There is no tokenizer, hence no token ids; temperature does nothing.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, ProviderError
from harness.models.base import Completion, FinishReason, Request, cut_at_stop
from harness.models.checks import check_request
from harness.trajectory import Usage

Script = Sequence[str] | Iterator[str] | Callable[[], Iterable[str]] | Callable[[Request], str]
"""What a `ScriptedModel` can be made of; the module docstring says how each is read."""

SEPARATOR = "---"
"""The line between two completions of a .txt script."""

_WORD = re.compile(r"\s*\S+")


class ScriptedModel:
    """A deterministic stand-in for a model. Safe to call from several threads.

    Args:
        script: see the module docstring.
        name: the spec to record.
        digest: what the script is known by; by default a sha256 of the completions, or of a
            callable's source text.

    Raises:
        HarnessError: when the script is none of the four kinds.
    """

    tokenizer: Any | None = None
    max_context: int | None = None

    def __init__(self, script: Script, *, name: str = "scripted", digest: str | None = None):
        self.name = name
        self._lock = threading.Lock()
        self._streams: dict[str, Iterator[str]] = {}
        self._served: dict[str, int] = {}
        self._shared = False
        self._start: Callable[[], Iterator[str]] | None = None
        self._respond: Callable[..., Any] | None = None
        if isinstance(script, Sequence) and not isinstance(script, str | bytes):
            completions = _strings(script, name)
            self._start = lambda: iter(completions)
        elif inspect.isgeneratorfunction(script):
            self._start = script
        elif isinstance(script, Iterator):
            stream = script
            self._start = lambda: stream
            self._shared = True
        elif callable(script):
            self._respond = script
        else:
            raise HarnessError(
                f"the script of {name} is {type(script).__name__}; expected a list of strings, "
                "a generator function, an iterator, or a function of the request"
            )
        self._digest = digest or _digest(script)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Answer every request, in order.

        Raises:
            ProviderError: when the script has run out or yields something other than a string.
        """
        for request in requests:
            check_request(request)
        return [self._complete(request) for request in requests]

    def describe(self) -> dict[str, Any]:
        """The spec and the script's digest."""
        return {"spec": self.name, "class": type(self).__name__, "script": self._digest}

    def close(self) -> None:
        """Forget how far every session has come."""
        with self._lock:
            self._streams.clear()
            self._served.clear()

    def _complete(self, request: Request) -> Completion:
        said = self._say(request)
        if not isinstance(said, str):
            raise ProviderError(
                f"the script of {self.name} gave {type(said).__name__}; expected a string"
            )
        words = list(_WORD.finditer(said))
        limit = request.sampling.max_tokens
        short = len(words) > limit
        text, stopped = cut_at_stop(
            said[: words[limit - 1].end()] if short else said, request.stop, request.stop_line
        )
        reason: FinishReason = "stop" if stopped else "length" if short else "eos"
        usage = Usage(
            model_calls=1,
            prompt_tokens=len(request.text.split()),
            completion_tokens=len(text.split()),
        )
        return Completion(text, reason, usage)

    def _say(self, request: Request) -> Any:
        if self._respond is not None:
            return self._respond(request)
        assert self._start is not None
        session = "" if self._shared else request.session
        with self._lock:
            if session not in self._streams:
                self._streams[session] = self._start()
            served = self._served.get(session, 0)
            for said in self._streams[session]:
                self._served[session] = served + 1
                return said
        whose = f" of session {session!r}" if session else ""
        raise ProviderError(
            f"the script of {self.name} has {served} completions and request {served + 1}{whose} "
            "asks for another; add some, or limit the steps"
        )


def read_script(path: Path) -> list[str]:
    """The completions of a .json file (a list of strings) or a .txt file.

    In a .txt file, completions are separated by lines that hold `---` alone; the newline before
    such a line, and the last one of the file, are not part of a completion.

    Raises:
        HarnessError: when the file cannot be read or holds something else.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"cannot read script {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise HarnessError(f"script {path} is not UTF-8 text (byte {error.start})") from error
    if path.suffix == ".json":
        try:
            found = json.loads(content)
        except json.JSONDecodeError as error:
            raise HarnessError(f"script {path} is not JSON: {error}") from error
        if not isinstance(found, list):
            raise HarnessError(
                f"script {path} holds a {type(found).__name__}; expected a list of strings"
            )
        return _strings(found, str(path))
    completions: list[list[str]] = [[]]
    for line in content.removesuffix("\n").split("\n"):
        if line.rstrip() == SEPARATOR:
            completions.append([])
        else:
            completions[-1].append(line)
    return ["\n".join(lines) for lines in completions]


def _strings(script: Sequence[Any], where: str) -> list[str]:
    for index, item in enumerate(script):
        if not isinstance(item, str):
            raise HarnessError(
                f"completion {index} of {where} is {type(item).__name__}; expected a string"
            )
    if not script:
        raise HarnessError(f"{where} has no completions; expected at least one")
    return list(script)


def _digest(script: Any) -> str:
    if isinstance(script, Sequence):
        known = json.dumps(list(script))
    else:
        try:
            known = inspect.getsource(script)
        except (OSError, TypeError):
            known = getattr(script, "__qualname__", type(script).__qualname__)
    return hashlib.sha256(known.encode()).hexdigest()
