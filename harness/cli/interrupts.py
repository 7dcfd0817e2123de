"""Signals that end a run: first gently, then at once.

The first Ctrl-C lets no new episode begin and the running ones end by themselves; the second ends
those too, keeping what is known of them; the third does not wait for that. SIGTERM is a first
Ctrl-C with a time limit, for whoever sends it will not be patient.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.runner import StopRequest

TERMINATE_SECONDS = 10.0
"""How long running episodes may go on after SIGTERM."""


@contextmanager
def stop_on_signals(tell: Callable[[str], None]) -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into requests to stop; `tell` is given a line for the user."""
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    asked = 0

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        asked += 1
        if asked > 2:
            raise KeyboardInterrupt
        if asked == 2:
            stop.drain(0.0)
        elif number == signal.SIGTERM:
            stop.drain(TERMINATE_SECONDS)
            tell(f"terminated: running episodes may end within {TERMINATE_SECONDS:.0f} s")
        else:
            stop.drain()
            tell("interrupted: running episodes may end; once more to end them now")

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # A background shell has its children ignore the interrupt; that is left as it is.
    heeded = [number for number, handler in before.items() if handler != signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number in heeded:
            signal.signal(number, before[number])
