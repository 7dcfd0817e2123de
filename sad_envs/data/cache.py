"""The cache folder, and the ways to change it that survive kills and concurrent processes.

Whoever fills a folder takes its lock, builds beside it under a hidden name and renames at the end;
so a folder that can be seen is complete. `SAD_CACHE` names the cache; without it, the platform's
folder for user caches is used.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from sad_envs.data.errors import DataError, os_error_line

CHUNK_BYTES = 1 << 20


def cache_folder() -> Path:
    """The cache: `SAD_CACHE`, else the platform's user cache. It need not exist."""
    chosen = os.environ.get("SAD_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("structured-agent-distillation", appauthor=False)


def sha256_of(path: Path, *, on_bytes: Callable[[int], None] | None = None) -> str:
    """Hexadecimal sha256 of a file; `on_bytes` hears of every chunk's length."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            if on_bytes:
                on_bytes(len(chunk))
    return digest.hexdigest()


def make_folder(path: Path) -> None:
    """Create a folder and its parents; raises `DataError` when that is not allowed."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(os_error_line(error, path)) from error


def check_space(folder: Path, n_bytes: int) -> None:
    """Raise `DataError` unless `folder`'s disk has `n_bytes` free and a twentieth to spare."""
    free = shutil.disk_usage(folder).free
    if free < n_bytes * 21 // 20:
        raise DataError(
            f"{folder} has {megabytes(free)} free and {megabytes(n_bytes * 21 // 20)} are needed; "
            "free some space, or set SAD_CACHE to a folder on a larger disk"
        )


def megabytes(n_bytes: int) -> str:
    """A size for people, in megabytes of 10^6 bytes."""
    return f"{n_bytes / 1e6:,.1f} MB"


@contextmanager
def locked(path: Path, *, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`; it is freed when the process ends, however.

    `on_wait` is called once when another process holds it.
    """
    make_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise DataError(os_error_line(error, path)) from error
    try:
        if not _try_lock(descriptor):
            if on_wait:
                on_wait()
            _wait_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt
    import time

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _wait_lock(descriptor: int) -> None:
        while not _try_lock(descriptor):
            time.sleep(0.2)

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """An empty folder beside `target` that becomes `target` when the block ends well.

    Call it with the lock held. Until the end an older `target` stays as it is; when the block
    raises, the new folder is removed; what a killed process left is swept first.
    """
    make_folder(target.parent)
    restore(target)
    for left in target.parent.glob(f".{target.name}.new-*"):
        shutil.rmtree(left, ignore_errors=True)
    new = target.parent / f".{target.name}.new-{secrets.token_hex(4)}"
    new.mkdir()
    try:
        yield new
        if target.exists():
            old = target.parent / f".{target.name}.old"
            target.rename(old)
            new.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            new.rename(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def restore(target: Path) -> None:
    """Undo a replacement that was killed between its two renames. Call it with the lock held."""
    old = target.parent / f".{target.name}.old"
    if old.exists():
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(target)
