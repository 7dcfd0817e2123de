"""Bring a data set into the cache, find it there, and check it.

Promises: what `data_path` returns was verified when it was fetched; a killed or failed fetch leaves
the earlier state; two processes that fetch the same data set do not disturb each other. Sources are
an explicit mirror; or the mirror in `SAD_DATA_MIRROR`, then the official addresses. A mirror is a
folder or an http address where `<data set>/<file>` is found.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

from sad_envs.data import cache
from sad_envs.data.download import download
from sad_envs.data.entries import DataFile, Dataset, find
from sad_envs.data.errors import DataError, DataMissing, os_error_line
from sad_envs.data.manifest import (
    MANIFEST_NAME,
    Differences,
    compare,
    manifest_digest,
    manifest_text,
    read_manifest,
)
from sad_envs.data.unpack import unpack_zip

MIRROR_VARIABLE = "SAD_DATA_MIRROR"


class Progress(Protocol):
    """Hears what a long operation does."""

    def __call__(self, stage: str, n_bytes: int, total: int) -> None:
        """`n_bytes` more of `total` are done in `stage`; 0 when it begins."""


def silent(stage: str, n_bytes: int, total: int) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Verification:
    """The result of re-hashing a data set's folder."""

    name: str
    path: Path
    n_files: int
    n_bytes: int
    differences: Differences

    @property
    def ok(self) -> bool:
        return not self.differences

    def line(self) -> str:
        """One line: fine, or what differs and how to mend it."""
        if self.ok:
            return f"{self.name}: {self.n_files:,} files, {cache.megabytes(self.n_bytes)}, all good"
        return (
            f"{self.name} differs from the catalogue: {self.differences.line()}; "
            f"mend it with: harness data fetch {self.name} --force"
        )


def data_folder(name: str) -> Path:
    """Where a data set is or would be; raises `DataError` for a name the catalogue lacks."""
    return cache.cache_folder() / "data" / find(name).name


def is_present(name: str) -> bool:
    """Whether this version of the data set was fetched. Reads one small file, hashes no data."""
    return _state(find(name)) == "present"


def data_path(name: str) -> Path:
    """The folder of a fetched data set; for `alfworld` it contains `json_2.1.1/`.

    Raises `DataMissing`, naming the command that fetches it. Files are not hashed again here; that
    is `verify`'s work.
    """
    dataset = find(name)
    folder = data_folder(name)
    state = _state(dataset)
    if state == "present":
        return folder
    found = "is not in the cache" if state == "absent" else "is in the cache in another version"
    raise DataMissing(f"data set {name!r} {found} ({folder}); run: harness data fetch {name}")


def fetch(
    name: str,
    *,
    mirror: str | os.PathLike[str] | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> Path:
    """Bring a data set into the cache and return its folder; at once when it is there already.

    With `force` it is fetched again, and the present copy stays until the new one is verified.
    Raises `DataError` with one line for anything that goes wrong; then nothing has changed.
    """
    dataset = find(name)
    folder = data_folder(name)
    if not force and is_present(name):
        return folder
    sources = _sources(dataset, mirror)
    lock = folder.parent / f".{name}.lock"
    try:
        with cache.locked(lock, on_wait=lambda: progress(f"{name}: waiting for another", 0, 0)):
            cache.restore(folder)
            if not force and is_present(name):
                return folder
            _fill(dataset, sources, folder, progress)
    except OSError as error:
        raise DataError(os_error_line(error, folder)) from error
    return folder


def verify(name: str, *, progress: Progress = silent) -> Verification:
    """Hash every file again; raises `DataMissing` when there is nothing to check."""
    dataset = find(name)
    folder = data_path(name)
    try:
        expected = read_manifest((folder / MANIFEST_NAME).read_text("utf-8"))
        stage = f"{name}: hashing"
        differences = compare(
            folder, expected, on_bytes=lambda n: progress(stage, n, dataset.n_bytes)
        )
    except OSError as error:
        raise DataError(os_error_line(error, folder)) from error
    return Verification(name, folder, dataset.n_files, dataset.n_bytes, differences)


def _state(dataset: Dataset) -> str:
    """`present`, `absent` or `other` (of another catalogue, or damaged)."""
    folder = data_folder(dataset.name)
    try:
        text = (folder / MANIFEST_NAME).read_bytes()
    except FileNotFoundError:
        return "other" if folder.exists() else "absent"
    except OSError as error:
        raise DataError(os_error_line(error, folder)) from error
    listed = text.decode("utf-8", "replace")
    if dataset.pinned:
        same = manifest_digest(listed) == dataset.manifest
    else:
        same = set(read_manifest(listed)) == {file.name for file in dataset.files}
    return "present" if same else "other"


# -- sources ----------------------------------------------------------------------------------


def _sources(
    dataset: Dataset, mirror: str | os.PathLike[str] | None
) -> dict[str, list[str | Path]]:
    """For each file the places to try, in order; raises `DataError` when there is none."""
    chosen = os.fspath(mirror) if mirror is not None else os.environ.get(MIRROR_VARIABLE)
    sources = {}
    for file in dataset.files:
        places = [] if not chosen else [_on_mirror(chosen, dataset.name, file.name)]
        if mirror is None:
            places += file.addresses
        if not places:
            raise DataError(
                f"{dataset.name}/{file.name} has no public address; name a mirror that holds it "
                f"with --from DIR_OR_URL or {MIRROR_VARIABLE}"
            )
        sources[file.name] = places
    return sources


def _on_mirror(mirror: str, dataset: str, file: str) -> str | Path:
    scheme = urlsplit(mirror).scheme
    if scheme in ("http", "https"):
        return f"{mirror.rstrip('/')}/{quote(dataset)}/{quote(file)}"
    if scheme == "file":
        mirror = unquote(urlsplit(mirror).path)
    elif "://" in mirror:
        raise DataError(
            f"mirror {mirror!r} is not supported; expected a folder, or an address that begins "
            "with http://, https:// or file://"
        )
    folder = Path(mirror).expanduser()
    if not folder.is_dir():
        raise DataError(f"mirror {mirror!r} is no folder; expected one that holds {dataset}/{file}")
    return folder / dataset / file


# -- filling ----------------------------------------------------------------------------------


def _fill(
    dataset: Dataset,
    sources: dict[str, list[str | Path]],
    folder: Path,
    progress: Progress,
) -> None:
    """Build the folder beside its place, compare it with the catalogue, and swap it in."""
    downloads = folder.parent / ".downloads" / dataset.name
    remote = any(isinstance(place, str) for places in sources.values() for place in places)
    cache.check_space(folder.parent, dataset.n_bytes + (dataset.download_bytes if remote else 0))
    with cache.replacing(folder) as new:
        digests: dict[str, str] = {}
        for file in dataset.files:
            digests |= _obtain(dataset, file, sources[file.name], downloads, new, progress)
        text = manifest_text(digests)
        if dataset.pinned and manifest_digest(text) != dataset.manifest:
            raise DataError(
                f"{dataset.name} unpacked to other files than expected (digest "
                f"{manifest_digest(text)}, expected {dataset.manifest}); nothing was kept, "
                "fetch it from another source"
            )
        (new / MANIFEST_NAME).write_text(text, "utf-8")
    shutil.rmtree(downloads, ignore_errors=True)


def _obtain(
    dataset: Dataset,
    file: DataFile,
    places: list[str | Path],
    downloads: Path,
    new: Path,
    progress: Progress,
) -> dict[str, str]:
    """Put one file, unpacked if it is an archive, into `new`; the first place that works counts."""
    failures = []
    for place in places:
        try:
            return _obtain_from(place, dataset, file, downloads, new, progress)
        except DataError as error:
            failures.append(str(error))
    raise DataError("; and ".join(failures))


def _obtain_from(
    place: str | Path,
    dataset: Dataset,
    file: DataFile,
    downloads: Path,
    new: Path,
    progress: Progress,
) -> dict[str, str]:
    if isinstance(place, Path):
        if not place.is_file():
            raise DataError(f"{place} is not there; a mirror holds <data set>/<file>")
        path = place
        digest = _hash(path, file, progress)
    else:
        path = downloads / file.name
        digest = _download(place, path, file, progress)
    if not file.sha256 and _is_web_page(path):
        if isinstance(place, str):
            path.unlink()
        raise DataError(f"{place} is a web page, not {file.name}; fetch it from another source")
    good = digest == file.sha256 or not file.sha256
    try:
        if file.unpack and (good or dataset.files == (file,)):
            digests = _unpack(path, dataset, new, progress, check=not good)
            if digests is not None:
                return digests
        elif good:
            shutil.copyfile(path, new / file.name)
            return {file.name: digest}
    except DataError:
        if good:
            raise
    if isinstance(place, str):
        path.unlink(missing_ok=True)
    raise DataError(
        f"{place} has sha256 {digest}, expected {file.sha256}; nothing was kept, "
        "fetch it from another source with --from"
    )


def _unpack(
    archive: Path, dataset: Dataset, new: Path, progress: Progress, *, check: bool
) -> dict[str, str] | None:
    """Unpack beside the other files of `new`.

    With `check` the archive is not the catalogue's, yet may hold the same files packed in another
    way: it counts when they match the data set's manifest, else nothing is kept and None returned.
    """
    scratch = new / ".unpacking"
    scratch.mkdir()
    report = _reporter(progress, f"{archive.name}: unpacking", dataset.n_bytes)
    try:
        digests = unpack_zip(
            archive,
            scratch,
            most_files=dataset.n_files,
            most_bytes=dataset.n_bytes,
            on_bytes=report,
        )
        if check and manifest_digest(manifest_text(digests)) != dataset.manifest:
            return None
        for child in scratch.iterdir():
            child.rename(new / child.name)
        return digests
    finally:
        shutil.rmtree(scratch)


def _download(address: str, path: Path, file: DataFile, progress: Progress) -> str:
    """Download to `path`; returns its sha256. A continued part that hashes wrongly starts again."""
    cache.make_folder(path.parent)
    if path.is_file():
        digest = cache.sha256_of(path)
        if digest == file.sha256:
            return digest
        path.unlink()
    report = _reporter(progress, f"{file.name}: downloading", file.n_bytes)
    # An archive may be packed less tightly, and the size of a file that is not pinned is a guess.
    most = file.n_bytes * (2 if file.unpack or not file.sha256 else 1)
    continued = download(address, path, most_bytes=most, on_bytes=report)
    digest = cache.sha256_of(path)
    if continued and file.sha256 and digest != file.sha256:
        download(address, path, most_bytes=most, fresh=True, on_bytes=report)
        digest = cache.sha256_of(path)
    return digest


def _is_web_page(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).lstrip().startswith(b"<")


def _hash(path: Path, file: DataFile, progress: Progress) -> str:
    report = _reporter(progress, f"{file.name}: hashing", file.n_bytes)
    return cache.sha256_of(path, on_bytes=report)


def _reporter(progress: Progress, stage: str, total: int) -> Callable[[int], None]:
    progress(stage, 0, total)
    return lambda n_bytes: progress(stage, n_bytes, total)
