"""The run directory: what a finished episode is written to, and read back from.

A finished episode is one line, appended and fsynced before it counts as finished. A kill at any
moment costs at most the line being written; resuming cuts such a torn line and owes the episode
again. The directory belongs to one configuration: resuming with another is refused with the keys
that differ. Reading streams; all aggregates are computed from the rows.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from pydantic import ValidationError

from harness.errors import HarnessError
from harness.trajectory import Episode

EPISODES, ERRORS, CONFIG, ENV, SUMMARY, LOG = (
    "episodes.jsonl",
    "errors.jsonl",
    "config.json",
    "env.json",
    "summary.json",
    "run.log",
)
PICTURES = "screenshots"
"""The folder of a run for what its environment showed, a folder per episode."""


def config_digest(config: dict[str, Any]) -> str:
    """First 16 hex digits of the SHA-256 of the part of a config that scores depend on."""
    text = json.dumps(config, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class RunStore:
    """A run directory, open for appending. Only one process may hold it."""

    def __init__(self, folder: Path, config: dict[str, Any], *, resume: bool) -> None:
        """Open or create `folder` for `config["decides"]`.

        `config["decides"]` is the part that scores depend on; the rest is kept for the record.
        """
        self.folder = folder
        self.digest = config_digest(config["decides"])
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / ".lock").open("w")
        except OSError as error:
            raise HarnessError(_os_line(error, folder)) from error
        try:
            self._open(config, resume)
        except HarnessError:
            self.close()
            raise

    def _open(self, config: dict[str, Any], resume: bool) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise HarnessError(
                f"{self.folder} is in use by another run; wait for it or choose another --out"
            ) from error
        self._check(config, resume)
        for name in (EPISODES, ERRORS):
            _cut_torn_line(self.folder / name)
        self._write_json(CONFIG, {**config, "digest": self.digest})

    def _check(self, config: dict[str, Any], resume: bool) -> None:
        path = self.folder / CONFIG
        if not path.exists():
            if (self.folder / EPISODES).exists():
                raise HarnessError(
                    f"{self.folder} holds {EPISODES} but no {CONFIG}; choose another --out"
                )
            return
        try:
            old = json.loads(path.read_text())
            digest, decided = old["digest"], old["decides"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise HarnessError(
                f"cannot read {path} ({type(error).__name__}); choose another --out"
            ) from error
        if digest != self.digest:
            differing = sorted(_differences(decided, config["decides"]))
            raise HarnessError(
                f"{self.folder} holds a run with another configuration (differs in: "
                f"{', '.join(differing) or 'digest'}); choose another --out"
            )
        if not resume:
            raise HarnessError(
                f"{self.folder} already holds this run; add --resume to go on, or choose "
                "another --out"
            )

    def done(self) -> set[tuple[str, str, int]]:
        """Keys of the scored episodes on disk."""
        return {episode.key for episode in read_episodes(self.folder)}

    def append(self, episode: Episode) -> None:
        """Write one episode, scored ones to `episodes.jsonl`, others to `errors.jsonl`."""
        name = EPISODES if episode.outcome.scored else ERRORS
        line = episode.model_dump_json(exclude_defaults=False) + "\n"
        path = self.folder / name
        try:
            size = path.stat().st_size if path.exists() else 0
            with path.open("ab") as file:
                try:
                    file.write(line.encode())
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    # Leave no half row behind; where even that fails, resuming cuts it.
                    with contextlib.suppress(OSError):
                        os.truncate(path, size)
                    raise
        except OSError as error:
            raise HarnessError(_os_line(error, path)) from error

    def keep_picture(self, task_id: str, repeat: int, turn: int, png: bytes) -> str:
        """Write what an environment showed after a turn; 0 is the beginning.

        Returns the file's name in the run directory. May be called from any thread.
        """
        name = f"{PICTURES}/{quote(task_id, safe='')}-{repeat}/{turn}.png"
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png)
        except OSError as error:
            raise HarnessError(_os_line(error, path)) from error
        return name

    def write_env(self, description: dict[str, Any]) -> None:
        """Record versions of packages, backends, python and platform."""
        self._write_json(ENV, description)

    def write_summary(self, summary: dict[str, Any]) -> None:
        self._write_json(SUMMARY, summary)

    def log(self) -> IO[str]:
        """The run's log, open for appending."""
        return (self.folder / LOG).open("a", buffering=1, encoding="utf-8")

    def close(self) -> None:
        self._lock.close()

    def _write_json(self, name: str, data: dict[str, Any]) -> None:
        path = self.folder / name
        temporary = path.with_suffix(".tmp")
        try:
            temporary.write_text(json.dumps(data, indent=2, sort_keys=True, default=str) + "\n")
            temporary.replace(path)
        except OSError as error:
            raise HarnessError(_os_line(error, path)) from error


def read_episodes(folder: Path, name: str = EPISODES) -> Iterator[Episode]:
    """Stream the rows of a run; a torn last line is passed over, any other bad row is an error."""
    path = folder / name
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield Episode.model_validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or "the row"
                raise HarnessError(
                    f"{path} line {number}: {where}: {first['msg']}; mend or remove the line"
                ) from error


def _cut_torn_line(path: Path) -> None:
    """Drop what follows the last newline: the row a kill interrupted."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        position = end
        while position > 0:
            step = min(65536, position)
            position -= step
            file.seek(position)
            newline = file.read(step).rfind(b"\n")
            if newline >= 0:
                position += newline + 1
                break
        if position != end:
            file.truncate(position)
            file.flush()
            os.fsync(file.fileno())


def _differences(old: Any, new: Any, prefix: str = "") -> Iterator[str]:
    new = json.loads(json.dumps(new, default=str))
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            name = f"{prefix}.{key}" if prefix else str(key)
            if key not in old or key not in new:
                yield name
            else:
                yield from _differences(old[key], new[key], name)
    elif old != new:
        yield prefix


def _os_line(error: OSError, path: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full at {path}; what was finished is kept: free space and --resume"
    return f"cannot write {path}: {error.strerror or error}"
