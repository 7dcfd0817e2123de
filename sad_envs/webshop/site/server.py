"""The site on a port, in a thread of the calling process.

The server is waitress: pure Python, made for production, with a fixed pool of threads, and bounds
on headers, bodies, connections and idle time. Flask's own server has none of these.
"""

from __future__ import annotations

import logging
import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sad_envs.base import EnvError

try:
    from waitress.server import create_server
    from waitress.wasyncore import close_all
except ImportError as error:
    raise EnvError(
        "the WebShop site needs the package waitress: "
        "pip install 'structured-agent-distillation[webshop]'"
    ) from error

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

# It reports every request that waits for a thread, as a browser's three at once do.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)

LOOPBACK = "127.0.0.1"
PORT = 3000
"""Upstream's."""

THREADS = 4


class Server:
    """A running server; a context manager that stops it."""

    def __init__(
        self,
        app: WSGIApplication,
        *,
        host: str = LOOPBACK,
        port: int = PORT,
        threads: int = THREADS,
    ) -> None:
        """Listen at once; port 0 takes a free one.

        Raises:
            EnvError: when the address cannot be listened on.
        """
        try:
            family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            listening = socket.create_server(where[:2], family=family)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise EnvError(
                f"cannot serve on {host} port {port}: {reason}; choose another --host or --port"
            ) from error
        self._server: Any = create_server(
            app, sockets=[listening], threads=threads, ident=None, max_request_body_size=1 << 20
        )
        self.host = host
        self.port: int = self._server.effective_port
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """The site's address, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def start(self) -> Server:
        """Serve in a thread, which ends with the process."""
        self._thread = threading.Thread(target=self._server.run, name="webshop-site", daemon=True)
        self._thread.start()
        return self

    def serve_forever(self) -> None:
        """Serve in this thread, until it is interrupted."""
        self._server.run()

    def stop(self) -> None:
        """Close all connections; safe to call again."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        # Sockets are closed by the thread that serves them.
        self._server.trigger.pull_trigger(lambda: close_all(self._server._map))
        thread.join(5)
        self._server.task_dispatcher.shutdown(timeout=5)

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach a server on `host`."""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return all(str(where[4][0]).startswith("127.") or where[4][0] == "::1" for where in found)
