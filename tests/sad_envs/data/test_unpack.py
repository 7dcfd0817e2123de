"""Archives that try to do harm, and archives that do not."""

from __future__ import annotations

import contextlib
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_data import sha256, write_zip

from sad_envs.data.errors import DataError
from sad_envs.data.unpack import unpack_zip


def unpack(archive: Path, folder: Path, most_files: int = 10, most_bytes: int = 1000):
    folder.mkdir(exist_ok=True)
    return unpack_zip(archive, folder, most_files=most_files, most_bytes=most_bytes)


def refused(tmp_path: Path, words: str, **limits: int) -> None:
    with pytest.raises(DataError, match=words):
        unpack(tmp_path / "a.zip", tmp_path / "inner/out", **limits)
    assert not [path for path in (tmp_path / "inner").rglob("*") if path.is_file()]


@pytest.fixture(autouse=True)
def _inner(tmp_path):
    (tmp_path / "inner").mkdir()


def test_files_and_their_digests(tmp_path):
    write_zip(tmp_path / "a.zip", {"d/": b"", "d/x.txt": b"x", "y.txt": b"yy"})
    digests = unpack(tmp_path / "a.zip", tmp_path / "out")
    assert digests == {"d/x.txt": sha256(b"x"), "y.txt": sha256(b"yy")}
    assert (tmp_path / "out/d/x.txt").read_bytes() == b"x"


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/../../evil",
        "/etc/evil",
        "C:/evil",
        "..\\evil",
        "a\\b",
        "x\x07y",
        "..",
        "//host/share",
    ],
)
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    write_zip(tmp_path / "a.zip", {"fine": b"1", name: b"evil"})
    refused(tmp_path, r"is refused: its member .* get the archive from a source you trust")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK])
def test_links_and_devices_are_refused(tmp_path, kind):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    refused(tmp_path, "is a link or a device")


def test_two_members_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", "2")
    refused(tmp_path, "occurs twice")


def test_a_bomb_is_refused_before_a_byte_is_written(tmp_path):
    write_zip(tmp_path / "a.zip", {"zeros": bytes(10_000_000)}, zipfile.ZIP_DEFLATED)
    refused(tmp_path, "unpacks to 1 files of 10,000,000 bytes, expected at most")


def test_too_many_files_are_refused(tmp_path):
    write_zip(tmp_path / "a.zip", {str(i): b"" for i in range(11)})
    refused(tmp_path, "11 files")


def test_a_size_that_the_archive_lies_about_does_not_help_it(tmp_path):
    write_zip(tmp_path / "a.zip", {"zeros": bytes(100_000)}, zipfile.ZIP_DEFLATED)
    data = (tmp_path / "a.zip").read_bytes()
    lie = data.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lie != data
    (tmp_path / "a.zip").write_bytes(lie)
    with pytest.raises(DataError, match="not a readable zip"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    written = [path.stat().st_size for path in (tmp_path / "out").iterdir()]
    assert sum(written) <= 10


@given(st.data())
def test_a_damaged_archive_raises_nothing_else_and_writes_nowhere_else(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    write_zip(folder / "a.zip", {"a/x": b"x" * 90, "b": b"y" * 90}, zipfile.ZIP_DEFLATED)
    content = bytearray((folder / "a.zip").read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "a.zip").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(DataError):
        unpack(folder / "a.zip", folder / "out")
    assert {path.name for path in folder.iterdir()} <= {"a.zip", "out"}
