"""Commands that run side by side, each with its minutes.

A command whose minutes are over is interrupted as by Ctrl-C, which every command of the harness
answers by keeping what it has; one that does not end on that is interrupted once more.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 300.0
"""Seconds a command has to keep what it has, before it is interrupted again."""

_GLANCE = 0.1
"""Seconds between two looks at what runs."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: its exit code; of one that a signal ended, the signal's number, negative.
        seconds: on the clock.
        cpu_seconds: of the processors, with what it started and waited for.
    """

    name: str
    code: int
    seconds: float
    cpu_seconds: float


@dataclass
class _Job:
    process: subprocess.Popen[bytes]
    started: float
    interrupt_at: float


class Jobs:
    """Commands by name.

    Args:
        minutes: what each may take.
    """

    def __init__(self, minutes: float) -> None:
        self._seconds = 60 * minutes
        self._jobs: dict[str, _Job] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, name: object) -> bool:
        return name in self._jobs

    def start(
        self, name: str, words: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        """Begin a command; what it prints is added to `log`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            file.write(f"$ {' '.join(words)}\n".encode())
            file.flush()
            process = subprocess.Popen(
                words, stdout=file, stderr=file, env=environment, start_new_session=True
            )
        now = time.monotonic()
        self._jobs[name] = _Job(process, now, now + self._seconds)

    def wait(self) -> Ended:
        """The next command to end; there must be one."""
        while True:
            for name, job in self._jobs.items():
                pid, status, spent = os.wait4(job.process.pid, os.WNOHANG)
                now = time.monotonic()
                if pid:
                    del self._jobs[name]
                    code = job.process.returncode = os.waitstatus_to_exitcode(status)
                    return Ended(name, code, now - job.started, spent.ru_utime + spent.ru_stime)
                if now >= job.interrupt_at:
                    job.process.send_signal(signal.SIGINT)
                    job.interrupt_at = now + PATIENCE
            time.sleep(_GLANCE)

    def interrupt(self) -> list[Ended]:
        """Interrupt all, and wait for all."""
        for job in self._jobs.values():
            job.process.send_signal(signal.SIGINT)
            job.interrupt_at = time.monotonic() + PATIENCE
        return [self.wait() for _ in range(len(self._jobs))]
