"""The connection to an OpenAI-compatible server: its address, the key, the first meeting, a call.

The API key comes from the environment alone. It is sent in the header of a request and appears
nowhere else: what a server says in an error is repeated without it. A call is made once and takes
no longer than its time (twice that, when the server falls silent just before the end).
"""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from harness.errors import (
    CallTimeout,
    HarnessError,
    ProviderError,
    ServerBusy,
    TransientError,
)
from harness.models.answers import error_for_status

KEY_VARIABLES = ("SAD_API_KEY", "OPENAI_API_KEY")
"""Where the API key is looked for, in this order."""

_POLL_SECONDS = 0.5
_ERROR_BYTES = 16384


@dataclass(frozen=True)
class Server:
    """What a server says about itself.

    Attributes:
        kind: the `owned_by` of its model list, such as `vllm`; empty when it says nothing.
        max_context: positions of the model, None when it says nothing.
    """

    kind: str = ""
    max_context: int | None = None


class Connection:
    """HTTP to one server; safe to use from several threads.

    Args:
        base_url: the root of the interface; OPENAI_BASE_URL when not given.
        timeout: seconds one call may take.

    Raises:
        HarnessError: the address is missing, no address, or carries a secret.
    """

    def __init__(self, base_url: str | None, *, timeout: float) -> None:
        self._url = _checked_url(base_url)
        self._key = _key()
        self._timeout = timeout
        headers = {"Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._client = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=min(10.0, timeout), pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @contextmanager
    def post(self, path: str, body: dict[str, Any]) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Call an endpoint; gives the answer's content type and its body in pieces.

        Leaving the block before the body has ended closes the connection.
        """
        deadline = time.monotonic() + self._timeout
        with self._errors(), self._client.stream("POST", f"{self._url}/{path}", json=body) as got:
            if got.status_code != 200:
                body_start = self._start(self._until(deadline, got.iter_bytes()))
                raise error_for_status(got.status_code, got.headers, body_start)
            kind = got.headers.get("content-type", "").partition(";")[0].strip().lower()
            yield kind, self._until(deadline, got.iter_bytes())

    def _start(self, chunks: Iterator[bytes]) -> bytes:
        """The body of an error, as far as anyone would read it."""
        start = b""
        for chunk in chunks:
            start += chunk
            if len(start) >= _ERROR_BYTES:
                break
        return start

    def _until(self, deadline: float, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if time.monotonic() > deadline:
                raise CallTimeout(f"the call took longer than {self._timeout:g} s")
            yield chunk

    def meet(self, model: str, patience: float, on_wait: Callable[[str], None]) -> Server:
        """What the server says about `model`; one not yet up is given `patience` seconds."""
        give_up = time.monotonic() + patience
        told = False
        while True:
            try:
                with self._errors():
                    response = self._client.get(f"{self._url}/models", timeout=10.0)
                    if response.status_code != 200:
                        raise error_for_status(
                            response.status_code, response.headers, response.content
                        )
                break
            except (TransientError, CallTimeout) as error:
                if time.monotonic() >= give_up:
                    raise HarnessError(
                        f"no server at {self._url} after {patience:.0f} s ({error}); start one "
                        "(harness serve MODEL), or give it longer with --server-timeout"
                    ) from error
                if not told:
                    on_wait(f"waiting for the server at {self._url}")
                    told = True
                time.sleep(_POLL_SECONDS)
            except ProviderError as error:
                if response.status_code in (404, 405, 501):
                    return Server()  # it keeps no list; the first call will tell
                hint = f"; set {KEY_VARIABLES[1]}" if response.status_code in (401, 403) else ""
                raise HarnessError(f"{self._url}/models: {error}{hint}") from error
        try:
            listed = {entry["id"]: entry for entry in response.json()["data"]}
        except (ValueError, LookupError, TypeError) as error:
            raise HarnessError(
                f"{self._url}/models gives no list of models; is --base-url right? It ends in /v1 "
                "for most servers"
            ) from error
        if model not in listed:
            close = difflib.get_close_matches(model, listed, 1)
            known = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(listed)}"
            raise HarnessError(f"the server has no model {model!r}; {known}")
        entry = listed[model]
        length = entry.get("max_model_len")
        return Server(str(entry.get("owned_by") or ""), length if isinstance(length, int) else None)

    def compare_tokenizers(self, model: str, tokenizer: Any) -> None:
        """Refuse a tokenizer that is not the served model's, where vLLM can be asked."""
        probe = "Thought: 3 pens, naïve or not.\n\nAction: go to desk 12\nObservation: ☂"
        asked = {"model": model, "prompt": probe, "add_special_tokens": False}
        with self._errors():
            response = self._client.post(f"{self._url.removesuffix('/v1')}/tokenize", json=asked)
        if response.status_code != 200:
            return
        here = tokenizer(probe, add_special_tokens=False)["input_ids"]
        if response.json().get("tokens") != here:
            raise HarnessError(
                f"--tokenizer is not the tokenizer of {model!r} at the server: the same text "
                "has other ids there; give the one the server's model comes with"
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what the connection raises into this project's errors, the key taken out."""
        try:
            yield
        except (httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise ServerBusy(f"no connection to {self._url} in time") from error
        except httpx.TimeoutException as error:
            raise CallTimeout(f"no answer within {self._timeout:g} s") from error
        except httpx.TransportError as error:
            reason = self._without_key(str(error) or type(error).__name__)
            raise TransientError(f"connection to {self._url}: {reason}") from error
        except httpx.DecodingError as error:
            raise TransientError(f"the answer cannot be decoded: {error}") from error
        except HarnessError as error:
            if self._key and self._key in str(error):
                error.args = (self._without_key(str(error)), *error.args[1:])
            raise

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def _checked_url(given: str | None) -> str:
    url = given or os.environ.get("OPENAI_BASE_URL")
    if not url:
        raise HarnessError("an openai: model needs --base-url (for example http://HOST:8000/v1)")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise HarnessError(f"--base-url is no URL: {error}") from error
    if parsed.userinfo or parsed.query:
        raise HarnessError(
            f"--base-url carries a user name, password or query; expected the address alone, and "
            f"the key in {KEY_VARIABLES[1]}"
        )
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise HarnessError(f"--base-url is {url!r}; expected http://HOST:PORT/v1 or https://...")
    return url.rstrip("/")


def _key() -> str | None:
    for variable in KEY_VARIABLES:
        key = os.environ.get(variable, "").strip()
        if key and not (key.isascii() and key.isprintable()):
            raise HarnessError(f"{variable} holds characters that no API key has")
        if key:
            return key
    return None
