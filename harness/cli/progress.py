"""How far a run is: a bar on a terminal, a line now and then otherwise. All on standard error."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.trajectory import Episode


def say(line: str) -> None:
    """A line that is not a result."""
    print(line, file=sys.stderr, flush=True)


class RunProgress:
    """A bar with the success so far on a terminal; a line now and then otherwise."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.done, self.scored, self.won = total, done, 0, 0
        self._bar: Any = None
        self._live: Any = None
        self._waiting: str | None = None
        self._next_line = time.monotonic() + 10
        self._next_wait = time.monotonic() + 30

    def __enter__(self) -> RunProgress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            console = Console(stderr=True)
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self._bar.add_task("episodes", total=self.total, completed=self.done)
            self._live = Live(get_renderable=self._shown, console=console, refresh_per_second=4)
            self._live.start()
        return self

    def update(self, episode: Episode) -> None:
        self.done += 1
        self.scored += episode.outcome.scored
        self.won += bool(episode.success)
        words = f"success {self.won}/{self.scored}" if self.scored else "episodes"
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, description=words)
        elif time.monotonic() >= self._next_line or self.done == self.total:
            say(f"{self.done}/{self.total} episodes, {words}")
            self._next_line = time.monotonic() + 10

    def waiting(self, line: str | None) -> None:
        """Show what is waited for; None when nothing is."""
        self._waiting = line
        if self._bar is None and line and time.monotonic() >= self._next_wait:
            say(line)
            self._next_wait = time.monotonic() + 30

    def say(self, line: str) -> None:
        """A line beside the bar."""
        if self._bar is not None:
            self._live.console.print(line, highlight=False, markup=False)
        else:
            say(line)

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._waiting = None
            self._live.stop()

    def _shown(self) -> Any:
        """The bar and, below it, what is waited for, in one line as wide as the terminal."""
        from rich.console import Group
        from rich.text import Text

        if self._waiting is None:
            return self._bar
        return Group(self._bar, Text(self._waiting, style="dim", no_wrap=True, overflow="ellipsis"))
