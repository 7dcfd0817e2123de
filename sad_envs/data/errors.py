"""Errors of the data package.

Each message is one line: what was found, what was expected, what to do.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from sad_envs.base import EnvError


class DataError(EnvError):
    """Data could not be fetched, unpacked or verified."""


class DataMissing(DataError):
    """A data set is not in the cache; the message names the command that fetches it."""


def os_error_line(error: OSError, path: Path) -> str:
    """One line for a failed file operation at `path`."""
    where = error.filename if isinstance(error.filename, str) else os.fspath(path)
    if error.errno == errno.ENOSPC or error.errno == errno.EDQUOT:
        return (
            f"no space left while writing {where}; free some space, "
            "or set SAD_CACHE to a folder on a larger disk"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"no permission to use {where} ({error.strerror}); mend its permissions, "
            "or set SAD_CACHE to a folder you can write to"
        )
    reason = error.strerror or str(error)
    return f"cannot use {where}: {reason}; mend that, or set SAD_CACHE to another folder"
