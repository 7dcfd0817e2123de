"""A stand-in for an OpenAI-compatible server, with the faults that real ones have.

It speaks enough of the protocol for a client to be tried on: the list of models, chat and
completions, whole and streamed, usage, stop strings, and vLLM's extensions when it says it is vLLM.
A token is a word with the blanks before it, or a newline. `Timing` makes it as slow as a server
with an accelerator: prompts are computed one after another, tokens come a batch at a time.

    python tests/fault_server.py --port 8001 --prefill 2e-5 --decode 0.02
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "stand-in"
TURN = "Thought: I look around.\nAction: look\n"
LONG_TURN = f"Thought: {'I think about what I have seen so far. ' * 3}\nAction: look\n"
_TOKEN = re.compile(r"\n|[^\S\n]*\S+")


@dataclass(frozen=True)
class Timing:
    """Seconds for a prompt token, for a step of the batch, and for each sequence in that step."""

    prefill: float = 0.0
    decode: float = 0.0
    per_sequence: float = 0.0


class Reply(BaseHTTPRequestHandler):
    """One connection; `self.server` is the stand-in's."""

    protocol_version = "HTTP/1.1"
    server: _Http

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        stand_in = self.server.stand_in
        stand_in.headers_seen.append(dict(self.headers))
        if not self.path.endswith("/models"):
            return self.send(200 if self.path == "/health" else 404, {})
        entry = {"id": MODEL, "owned_by": stand_in.kind, "max_model_len": stand_in.max_model_len}
        return self.send(stand_in.models_status, {"object": "list", "data": [entry]})

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length))
        stand_in = self.server.stand_in
        if self.path == "/tokenize":
            return self.send(404, {})
        stand_in.headers_seen.append(dict(self.headers))
        with stand_in.counted(body) as number:
            fault = stand_in.fault(number)
            try:
                (fault or answer)(self, body)
            except (BrokenPipeError, ConnectionResetError):
                stand_in.hung_up += 1
                self.close_connection = True
        return None

    def send(
        self, status: int, data: Any, *, kind: str = "application/json", **headers: str
    ) -> None:
        payload = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(payload)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(payload)

    def begin_stream(self, kind: str = "text/event-stream") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def event(self, data: Any) -> None:
        self.raw(b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()))

    def raw(self, line: bytes) -> None:
        line += b"\n\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.flush()

    def end_stream(self) -> None:
        self.event(b"[DONE]")
        self.wfile.write(b"0\r\n\r\n")


Fault = Callable[[Reply, dict[str, Any]], None]


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    stand_in: StandIn

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error of the server."""


@dataclass
class StandIn:
    """The server; use it as a context manager.

    Attributes:
        say: the text that answers a request's body.
        fault: the fault that call number n (from 0) meets, or None for an answer.
        kind: whose extensions it has; `vllm` or anything else.
        bodies, headers_seen: what was asked, in order.
        hung_up: answers whose reader left before their end.
        most_at_once: calls that were under way together.
    """

    say: Callable[[dict[str, Any]], str] = lambda body: TURN
    fault: Callable[[int], Fault | None] = lambda number: None
    kind: str = "vllm"
    max_model_len: int | None = 2048
    models_status: int = 200
    timing: Timing = field(default_factory=Timing)
    port: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers_seen: list[dict[str, str]] = field(default_factory=list)
    hung_up: int = 0
    most_at_once: int = 0
    active: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self.prefill = threading.Lock()
        self._http = _Http(("127.0.0.1", self.port), Reply)
        self._http.stand_in = self
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), daemon=True, name="stand-in"
        )

    def __enter__(self) -> StandIn:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @contextmanager
    def counted(self, body: dict[str, Any]) -> Iterator[int]:
        with self._lock:
            number = len(self.bodies)
            self.bodies.append(body)
            self.active += 1
            self.most_at_once = max(self.most_at_once, self.active)
        try:
            yield number
        finally:
            with self._lock:
                self.active -= 1


def answer(reply: Reply, body: dict[str, Any], *, model: str = MODEL) -> None:
    """What a healthy server does."""
    stand_in = reply.server.stand_in
    prompt = _prompt_tokens(body)
    if stand_in.timing.prefill:
        with stand_in.prefill:
            time.sleep(stand_in.timing.prefill * prompt)
    tokens, finish, reason = _generated(stand_in.say(body), body)
    chat = "messages" in body
    head = {"id": "1", "model": model, "object": "chat.completion" if chat else "text_completion"}
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": len(tokens),
        "prompt_tokens_details": {"cached_tokens": prompt // 2},
    }
    if not body.get("stream"):
        for _ in tokens:
            _step(stand_in)
        text = "".join(tokens)
        said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        choice = {"index": 0, "finish_reason": finish, "stop_reason": reason, **said}
        reply.send(200, {**head, "choices": [choice], "usage": usage})
        return
    reply.begin_stream()
    running = body.get("stream_options", {}).get("continuous_usage_stats")
    for number, token in enumerate(tokens):
        _step(stand_in)
        said = {"delta": {"content": token}} if chat else {"text": token}
        last = number == len(tokens) - 1
        choice = {"index": 0, "finish_reason": finish if last else None, "stop_reason": None}
        event: dict[str, Any] = {**head, "choices": [{**choice, **said}]}
        if last:
            event["choices"][0]["stop_reason"] = reason
        if running:
            event["usage"] = {"prompt_tokens": prompt, "completion_tokens": number + 1}
        reply.event(event)
    reply.event({**head, "choices": [], "usage": usage})
    reply.end_stream()


def _prompt_tokens(body: dict[str, Any]) -> int:
    if "messages" in body:
        return sum(len(message["content"].split()) for message in body["messages"])
    prompt = body["prompt"]
    return len(prompt) if isinstance(prompt, list) else len(prompt.split())


def _generated(text: str, body: dict[str, Any]) -> tuple[list[str], str, str | None]:
    met = [(text.find(stop), stop) for stop in body.get("stop", ()) if stop in text]
    reason = None
    if met:
        at, reason = min(met)
        text = text[:at]
    tokens = _TOKEN.findall(text)
    limit = body.get("max_tokens") or body["max_completion_tokens"]
    if len(tokens) > limit:
        return tokens[:limit], "length", None
    return tokens, "stop", reason


def _step(stand_in: StandIn) -> None:
    timing = stand_in.timing
    if timing.decode:
        time.sleep(timing.decode + timing.per_sequence * stand_in.active)


def status(code: int, message: str = "not now", **headers: str) -> Fault:
    """An error of this status; `Retry_After="1"` sets a header."""

    def send(reply: Reply, body: dict[str, Any]) -> None:
        reply.send(code, {"error": {"message": message, "code": code}}, **headers)

    return send


def reset(reply: Reply, body: dict[str, Any]) -> None:
    """The connection is reset before anything was said."""
    linger = struct.pack("ii", 1, 0)
    reply.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    reply.connection.close()
    reply.close_connection = True


def silent(reply: Reply, body: dict[str, Any]) -> None:
    """Nothing is said for two seconds."""
    time.sleep(2.0)
    answer(reply, body)


def endless(reply: Reply, body: dict[str, Any]) -> None:
    """A stream that lives, says nothing and does not end."""
    reply.begin_stream()
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        reply.raw(b": still here")
        time.sleep(0.05)


def flood(reply: Reply, body: dict[str, Any]) -> None:
    """A stream of text that knows no max_tokens."""
    reply.begin_stream()
    piece = {"model": MODEL, "choices": [{"text": "x" * 1000, "delta": {"content": "x" * 1000}}]}
    for _ in range(2000):
        reply.event(piece)


def torn_json(reply: Reply, body: dict[str, Any]) -> None:
    """JSON that stops in the middle."""
    reply.send(200, b'{"model": "stand-in", "choices": [{"text": "Thou')


def torn_stream(reply: Reply, body: dict[str, Any]) -> None:
    """A stream whose connection ends in the middle of an event."""
    reply.begin_stream()
    reply.event({"model": MODEL, "choices": [{"text": "Thought", "delta": {"content": "Tho"}}]})
    reply.wfile.write(b'20\r\ndata: {"model": "st')
    reply.close_connection = True


def unfinished(reply: Reply, body: dict[str, Any]) -> None:
    """A stream that ends properly, without ever giving a finish reason."""
    reply.begin_stream()
    reply.event({"model": MODEL, "choices": [{"text": "Thought", "delta": {"content": "Tho"}}]})
    reply.end_stream()


def web_page(reply: Reply, body: dict[str, Any]) -> None:
    """A page of HTML with status 200, as captive portals send it."""
    reply.send(200, b"<html><body>Please log in</body></html>", kind="text/html")


def no_choices(reply: Reply, body: dict[str, Any]) -> None:
    """A well-formed answer with nothing in it."""
    reply.send(200, {"model": MODEL, "choices": [], "usage": {}})


def too_long(reply: Reply, body: dict[str, Any]) -> None:
    """The refusal of a prompt over the context length."""
    said = "This model's maximum context length is 2048 tokens. However, your prompt is longer."
    reply.send(400, {"error": {"message": said, "type": "BadRequestError", "code": 400}})


def other_model(reply: Reply, body: dict[str, Any]) -> None:
    """An answer that names another model."""
    answer(reply, body, model="somebody-else")


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--prefill", type=float, default=0.0, help="seconds per prompt token")
    parser.add_argument("--decode", type=float, default=0.0, help="seconds per step")
    parser.add_argument("--per-sequence", type=float, default=0.0, help="seconds per sequence")
    options = parser.parse_args()
    timing = Timing(options.prefill, options.decode, options.per_sequence)
    served = StandIn(
        port=options.port, timing=timing, max_model_len=16384, say=lambda body: LONG_TURN
    )
    with served as server:
        print(server.base_url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
