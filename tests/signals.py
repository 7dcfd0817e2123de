"""For processes that tests start and interrupt."""

from __future__ import annotations

import signal


def heed_interrupts() -> None:
    """Undo the ignored SIGINT that a background shell hands down; for `preexec_fn`."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
