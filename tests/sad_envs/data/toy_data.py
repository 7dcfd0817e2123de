"""The toy data set of these tests, and how its archive is written."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from sad_envs.data import DataFile, Dataset
from sad_envs.data.manifest import manifest_digest, manifest_text

FILES = {f"games/task-{i}/game.txt": f"game {i}\n".encode() * (50 * i + 1) for i in range(40)}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_zip(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def toy_dataset(archive: bytes, addresses: tuple[str, ...] = ()) -> Dataset:
    return Dataset(
        name="toy",
        title="a toy",
        licence="CC0",
        licence_url="",
        homepage="",
        manifest=manifest_digest(manifest_text({k: sha256(v) for k, v in FILES.items()})),
        n_files=len(FILES),
        n_bytes=sum(map(len, FILES.values())),
        files=(DataFile("toy.zip", sha256(archive), len(archive), addresses, "zip"),),
    )
