"""Runs a command and takes everything it started down with it, whatever happens to the caller.

Started as `python guard.py FOLDER COMMAND...` with a pipe for its standard input. The command's
output goes where the guard's does. When the pipe closes, because its other end was closed or the
process that held it is gone (killed included), or when the command ends, all its descendants are
killed and FOLDER is deleted. On Linux the guard adopts orphaned descendants, so that none escapes;
elsewhere it kills the command's process group.

Only the standard library is imported, so that it starts fast and needs no package.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time

_SET_CHILD_SUBREAPER = 36
GIVE_UP = 5.0
"""Seconds after which descendants that do not die are left."""


def main(folder: str, command: list[str]) -> int:
    adopts = _adopt_orphans()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        sys.stdout.write(f"cannot start {command[0]}: {error.strerror}\n")
        sys.stdout.flush()
        shutil.rmtree(folder, ignore_errors=True)
        return 1
    try:
        while child.poll() is None:
            ready, _, _ = select.select([0], [], [], 1.0)
            if ready and not os.read(0, 1024):
                break
            if adopts:
                _reap(child.pid)
    finally:
        with contextlib.suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
        if adopts:
            _kill_descendants()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _adopt_orphans() -> bool:
    """Become the parent of descendants whose own parent dies; Linux only."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def _reap(child: int) -> None:
    """Collect adopted children that ended; not the command itself, which `Popen` waits for."""
    for pid in _children(os.getpid()):
        if pid != child:
            with contextlib.suppress(OSError):
                os.waitpid(pid, os.WNOHANG)


def _kill_descendants() -> None:
    give_up = time.monotonic() + GIVE_UP
    while time.monotonic() < give_up:
        living = _children(os.getpid())
        if not living:
            return
        # Killing a parent first hands its children over to us, for the next round.
        for pid in living:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.waitpid(pid, 0)


def _children(parent: int) -> list[int]:
    found: list[int] = []
    for thread in _listed(f"/proc/{parent}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{parent}/task/{thread}/children") as file:
            found += map(int, file.read().split())
    return found


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
