"""A small data set, its mirror folder, and a web server that can be told to misbehave."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from toy_data import FILES, toy_dataset, write_zip

from sad_envs.data import Dataset


@dataclass
class Toy:
    """The toy data set in use; `offer` changes its addresses."""

    mirror: Path
    archive: bytes
    catalogue: dict[str, Dataset]

    def offer(self, *addresses: str) -> None:
        self.catalogue["toy"] = toy_dataset(self.archive, addresses)


@pytest.fixture
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SAD_DATA_MIRROR", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def toy(tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    mirror = tmp_path / "mirror"
    (mirror / "toy").mkdir(parents=True)
    write_zip(mirror / "toy/toy.zip", FILES)
    archive = (mirror / "toy/toy.zip").read_bytes()
    entries = {"toy": toy_dataset(archive)}
    monkeypatch.setattr("sad_envs.data.entries.catalogue", lambda: entries)
    monkeypatch.setattr("sad_envs.data.catalogue", lambda: entries)
    return Toy(mirror, archive, entries)


@dataclass
class Server:
    """What the web server serves and how it behaves; changed by tests while it runs."""

    address: str = ""
    content: bytes = b""
    etag: str = '"1"'
    heeds_range: bool = True
    status: int = 200
    cut_after: list[int] = field(default_factory=list)
    """For each coming answer, the bytes after which the connection is dropped."""
    pages: dict[str, bytes] = field(default_factory=dict)
    """HTML answers by path and query."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Path and Range header of every request."""


class _Handler(BaseHTTPRequestHandler):
    state: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        state = self.state
        wanted = self.headers.get("Range", "")
        state.requests.append((self.path, wanted))
        if state.status != 200:
            self.send_error(state.status)
            return
        if self.path in state.pages:
            self._head(200, len(state.pages[self.path]), ("Content-Type", "text/html"))
            self.wfile.write(state.pages[self.path])
            return
        start = 0
        fresh = self.headers.get("If-Range", state.etag) == state.etag
        if wanted and state.heeds_range and fresh:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(state.content):
                self.send_error(416)
                return
        body = state.content[start:]
        size = len(state.content)
        span = [("Content-Range", f"bytes {start}-{size - 1}/{size}")] if start else []
        self._head(206 if start else 200, len(body), *span)
        cut = state.cut_after.pop(0) if state.cut_after else len(body)
        self.wfile.write(body[:cut])

    def _head(self, status: int, length: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if self.state.etag:
            self.send_header("ETag", self.state.etag)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    handler = type("Handler", (_Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        state.address = f"http://127.0.0.1:{running.server_address[1]}"
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield state
        running.shutdown()
