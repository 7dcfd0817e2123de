"""Download one file over HTTP so that a broken connection costs only what was not yet received.

`pooch` does the transfer into a `.part` file that outlives the process. The next attempt asks for
the rest with `Range` and, when the server named a validator, `If-Range`; a server that ignores the
request or holds a changed file sends everything and the part starts again. Nothing here is
trusted: the caller hashes the result, and calls again with `fresh=True` when a continued part
hashes wrongly.
"""

from __future__ import annotations

import html.parser
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from sad_envs.data.errors import DataError

DRIVE_ADDRESS = "https://drive.usercontent.google.com/download?id={id}&export=download"
TIMEOUT_SECONDS = 30.0
_ATTEMPTS = 4
_CHUNK_BYTES = 1 << 16  # a chunk that breaks off half-way is lost
_MOST_HTML_BYTES = 1 << 20


def download(
    address: str,
    target: Path,
    *,
    most_bytes: int,
    fresh: bool = False,
    on_bytes: Callable[[int], None] | None = None,
) -> bool:
    """Download `address` (http, https or `gdrive:ID`) to `target`; True when a part was continued.

    `target` appears only when everything has arrived. `on_bytes` hears of each chunk, the part
    found at the start included (negative when it had to be thrown away). Raises `DataError` with
    one line for a refused or lost connection, an HTTP error, or more than `most_bytes`.
    """
    import requests

    part = _Part(target.with_name(target.name + ".part"), most_bytes, address, on_bytes)
    if fresh:
        part.remove()
    for attempt in range(_ATTEMPTS):
        before = part.size
        try:
            _transfer(address, part)
        except requests.exceptions.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status == 416 and before:
                part.remove()
                continue
            raise DataError(
                f"{address} answered HTTP {status}; {_status_advice(status)}"
            ) from error
        except (requests.exceptions.RequestException, _LostError) as error:
            if part.size > before and attempt + 1 < _ATTEMPTS:
                time.sleep(0.2 * 2**attempt)
                continue
            kept = f"; {part.size:,} bytes are kept, run again to go on" if part.size else ""
            raise DataError(
                f"{address} cannot be downloaded: {_reason(error)}; check the network, "
                f"or name a mirror with --from or SAD_DATA_MIRROR{kept}"
            ) from error
        part.finish(target)
        return part.continued
    raise DataError(f"{address} kept changing while it was downloaded; try again later")


class _LostError(Exception):
    """The connection ended before the announced length."""


def _transfer(address: str, part: _Part) -> None:
    """One request, whole or for the rest, appended to the part."""
    import pooch
    import requests

    url = address
    cookies: dict[str, str] = {}
    if address.startswith("gdrive:"):
        url, cookies = drive_url(DRIVE_ADDRESS.format(id=address.removeprefix("gdrive:")))
    headers = {"Accept-Encoding": "identity", "User-Agent": "structured-agent-distillation"}
    with part:
        if part.size:
            headers["Range"] = f"bytes={part.size}-"
            if part.validator:
                headers["If-Range"] = part.validator

        def on_response(response: requests.Response, *_: Any, **__: Any) -> None:
            if response.status_code in (200, 206):
                part.begin(response.status_code, response.headers)
            elif response.status_code >= 400:
                response.close()

        transfer = pooch.HTTPDownloader(
            chunk_size=_CHUNK_BYTES,
            headers=headers,
            cookies=cookies,
            timeout=TIMEOUT_SECONDS,
            hooks={"response": on_response},
        )
        transfer(url, part, None)
        if part.expected is not None and part.size < part.expected:
            raise _LostError(f"the connection ended after {part.size:,} of {part.expected:,} bytes")


class _Part:
    """The file being filled, given to pooch in place of an open file.

    Beside it lies a note with the address and the server's validator, so that a part is continued
    only from the place it came from.
    """

    def __init__(
        self, path: Path, most_bytes: int, address: str, on_bytes: Callable[[int], None] | None
    ) -> None:
        self.path = path
        self.note = path.with_name(path.name + ".note")
        self.most_bytes = most_bytes
        self.address = address
        self.on_bytes = on_bytes
        self.validator = ""
        self.expected: int | None = None
        self.continued = False
        self.size = 0
        if path.is_file() and self.note.is_file():
            first, _, rest = self.note.read_text("utf-8").partition("\n")
            if first == address:
                self.validator = rest
                self._count(path.stat().st_size)
        if not self.size:
            self.remove()

    def __enter__(self) -> _Part:
        self._file = self.path.open("ab")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def begin(self, status: int, headers: Any) -> None:
        """Heed the head of the answer: go on, or start again when all of the file is coming."""
        length = headers.get("Content-Length", "")
        remaining = int(length) if length.isdigit() else None
        if status == 206:
            found = headers.get("Content-Range", "")
            if not found.startswith(f"bytes {self.size}-"):
                raise _LostError(f"asked for bytes from {self.size:,}, was offered {found!r}")
            self.expected = None if remaining is None else self.size + remaining
            self.continued = True
            return
        if self.size:
            self._file.truncate(0)
            self._count(-self.size)
        self.continued = False
        self.expected = remaining
        tag = headers.get("ETag", "")
        self.validator = headers.get("Last-Modified", "") if not tag or tag[:2] == "W/" else tag
        self.note.write_text(f"{self.address}\n{self.validator}", "utf-8")

    def write(self, chunk: bytes) -> None:
        if self.size + len(chunk) > self.most_bytes:
            self._file.truncate(0)
            raise DataError(
                f"{self.address} sends more than the expected {self.most_bytes:,} bytes; "
                "it is not the catalogue's file, fetch it from another source with --from"
            )
        self._file.write(chunk)
        self._count(len(chunk))

    def flush(self) -> None:
        self._file.flush()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        self._count(-self.size)

    def finish(self, target: Path) -> None:
        os.replace(self.path, target)
        self.note.unlink(missing_ok=True)

    def _count(self, change: int) -> None:
        self.size += change
        if self.on_bytes and change:
            self.on_bytes(change)


def drive_url(address: str) -> tuple[str, dict[str, str]]:
    """The address and cookies that bring the file, past Google Drive's page about large files.

    A small file is served at once. A large one is answered with a page whose form, sent as it is,
    leads to the file. Raises `DataError` when there is a page without such a form, which is how
    Drive says that the file is gone or its daily quota is used up.
    """
    import requests

    with requests.get(address, stream=True, timeout=TIMEOUT_SECONDS) as response:
        response.raise_for_status()
        cookies = {key: value or "" for key, value in response.cookies.items()}
        if not response.headers.get("Content-Type", "").startswith("text/html"):
            return address, cookies
        page = response.raw.read(_MOST_HTML_BYTES, decode_content=True)
        form = _Form()
        form.feed(page.decode("utf-8", "replace"))
        if form.action is None or "id" not in form.fields:
            raise DataError(
                f"{address} answered with a page and not with the file, as Google Drive does when "
                "a file's daily quota is used up; try tomorrow, or name a mirror with --from"
            )
        url = urljoin(response.url, form.action)
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"{address} leads to {url}, which is not an http address")
    separator = "&" if urlsplit(url).query else "?"
    return url + separator + urlencode(form.fields), cookies


class _Form(html.parser.HTMLParser):
    """The action and the hidden fields of a page's first form."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._done = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        if tag == "form" and self.action is None:
            self.action = values.get("action", "")
        elif tag == "input" and self.action is not None and not self._done and "name" in values:
            self.fields[values["name"]] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self._done = self._done or tag == "form"


def _status_advice(status: int) -> str:
    if status in (404, 410):
        return "the file is not there: check the address, or name a mirror with --from"
    if status in (401, 403, 407):
        return "access is refused: check a proxy or login, or name a mirror with --from"
    return "try again later, or name a mirror with --from"


def _reason(error: BaseException) -> str:
    """The innermost cause that says something, in one line."""
    import requests

    if isinstance(error, requests.exceptions.Timeout):
        return f"no answer within {TIMEOUT_SECONDS:.0f} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        seen = seen.__cause__ or seen.__context__
    return " ".join(str(error).split())[:200]
