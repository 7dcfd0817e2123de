"""The list of a folder's files and digests, in the format of `sha256sum`.

A data folder holds it as `SHA256SUMS`, so `sha256sum -c SHA256SUMS` checks a folder without this
package. Lines are sorted by path; the sha256 of the text is what the catalogue pins.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sad_envs.data.cache import sha256_of

MANIFEST_NAME = "SHA256SUMS"


def manifest_text(digests: Mapping[str, str]) -> str:
    """One `<sha256>  <path>` line per file; `digests` maps relative paths to hexadecimal sha256."""
    return "".join(f"{digests[path]}  {path}\n" for path in sorted(digests))


def manifest_digest(text: str) -> str:
    """What the catalogue calls `manifest`."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(text: str) -> dict[str, str]:
    """Digests by path; the reverse of `manifest_text`."""
    pairs = (line.split("  ", 1) for line in text.splitlines())
    return {path: digest for digest, path in pairs}


@dataclass(frozen=True)
class Differences:
    """How a folder differs from its manifest; paths relative to the folder, sorted."""

    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.changed or self.extra)

    def line(self, most: int = 3) -> str:
        """All three kinds in one line, with the first `most` names of each."""
        said = []
        for kind, paths in (
            ("missing", self.missing),
            ("changed", self.changed),
            ("extra", self.extra),
        ):
            if paths:
                more = ", …" if len(paths) > most else ""
                said.append(f"{len(paths)} {kind} ({', '.join(paths[:most])}{more})")
        return ", ".join(said)


def compare(
    folder: Path, expected: Mapping[str, str], *, on_bytes: Callable[[int], None] | None = None
) -> Differences:
    """Hash every file under `folder` (the manifest itself left out) against `expected`.

    A link counts as changed: a data folder holds plain files only.
    """
    changed, extra, found = [], [], set()
    for parent, folders, files in os.walk(folder):
        folders.sort()
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in sorted(files) + links:
            path = Path(parent, name)
            relative = path.relative_to(folder).as_posix()
            if relative == MANIFEST_NAME:
                continue
            if relative not in expected:
                extra.append(relative)
                continue
            found.add(relative)
            if path.is_symlink() or sha256_of(path, on_bytes=on_bytes) != expected[relative]:
                changed.append(relative)
    missing = sorted(set(expected) - found)
    return Differences(tuple(missing), tuple(sorted(changed)), tuple(sorted(extra)))
