"""Unpack a zip archive that nobody has reason to trust.

Every name is checked before anything is written. It refuses paths that leave the folder, absolute
and drive paths, backslashes, links and devices, encrypted members, two members of one name, and an
archive that would unpack to more files or bytes than its data set has. Bytes are counted while they
are written, so sizes that the archive lies about do not help it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from sad_envs.data.cache import CHUNK_BYTES
from sad_envs.data.errors import DataError

_ENCRYPTED = 0x1


def unpack_zip(
    archive: Path,
    folder: Path,
    *,
    most_files: int,
    most_bytes: int,
    on_bytes: Callable[[int], None] | None = None,
) -> dict[str, str]:
    """Unpack into the existing `folder`; returns sha256 by relative path with forward slashes.

    Raises `DataError` for an unreadable or hostile archive. `OSError` from writing is left to the
    caller, who knows the folder's purpose.
    """
    digests: dict[str, str] = {}
    made: set[str] = set()
    with contextlib.ExitStack() as stack:
        with _reading(archive):
            opened = stack.enter_context(zipfile.ZipFile(archive))
        for member in _checked(opened.infolist(), archive.name, most_files, most_bytes):
            target = folder / member.filename
            parent = os.path.dirname(member.filename)
            if parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(parent)
            digest = hashlib.sha256()
            with target.open("xb") as out:
                for chunk in _chunks(archive, opened, member):
                    digest.update(chunk)
                    out.write(chunk)
                    if on_bytes:
                        on_bytes(len(chunk))
            digests[member.filename] = digest.hexdigest()
    return digests


def _chunks(archive: Path, opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    left = member.file_size
    with contextlib.ExitStack() as stack:
        with _reading(archive):
            source = stack.enter_context(opened.open(member))
        while True:
            with _reading(archive):
                chunk = source.read(CHUNK_BYTES)
            if not chunk:
                return
            left -= len(chunk)
            if left < 0:
                raise DataError(f"{archive.name}: {member.filename!r} is larger than it declares")
            yield chunk


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Whatever a damaged archive makes `zipfile` raise, as one line; writing stays outside."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        UnicodeDecodeError,
        OSError,
    ) as error:
        raise DataError(f"{archive.name} is not a readable zip archive: {error}") from error


def _checked(
    infos: list[zipfile.ZipInfo], archive: str, most_files: int, most_bytes: int
) -> list[zipfile.ZipInfo]:
    """The members that are files, all found harmless."""
    members = []
    seen: set[str] = set()
    for info in infos:
        reason = _objection(info)
        if reason is None and info.filename in seen:
            reason = "occurs twice"
        if reason:
            raise DataError(
                f"{archive} is refused: its member {info.filename!r} {reason}; "
                "nothing was kept, get the archive from a source you trust"
            )
        seen.add(info.filename)
        if not info.is_dir():
            members.append(info)
    n_bytes = sum(info.file_size for info in members)
    if len(members) > most_files or n_bytes > most_bytes:
        raise DataError(
            f"{archive} is refused: it unpacks to {len(members):,} files of {n_bytes:,} bytes, "
            f"expected at most {most_files:,} files of {most_bytes:,} bytes"
        )
    return members


def _objection(info: zipfile.ZipInfo) -> str | None:
    name = info.orig_filename
    parts = PurePosixPath(name).parts
    if not parts or name != name.strip() or any(ord(letter) < 32 for letter in name):
        return "has no proper name"
    if name.startswith("/") or "\\" in name or ":" in parts[0]:
        return "has an absolute or foreign path"
    if ".." in parts:
        return "leads out of the folder"
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is compressed in an unusual way"
    return None
