"""Fetching into the cache: sources, what a failure leaves, and concurrent processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from toy_data import FILES, write_zip

from sad_envs.base import EnvError
from sad_envs.data import DataError, DataMissing, cache_folder, data_path, fetch, is_present, verify

HERE = Path(__file__).parent


def assert_complete(folder: Path) -> None:
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    }
    assert found == FILES


def leftovers(cache: Path) -> set[str]:
    return {path.name for path in (cache / "data").iterdir()} - {"toy", ".toy.lock"}


def run_fetch(toy, rest: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HERE / "fetch_toy.py"), str(toy.mirror), str(rest)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[2])},
    )


def test_data_that_was_not_fetched_names_the_command(toy):
    with pytest.raises(DataMissing, match="run: harness data fetch toy") as caught:
        data_path("toy")
    assert isinstance(caught.value, EnvError)


def test_a_misspelt_name_is_answered_with_the_nearest(toy):
    with pytest.raises(DataError, match="did you mean 'toy'"):
        data_path("toyy")


def test_the_cache_is_where_the_variable_says(cache_dir):
    assert cache_folder() == cache_dir


def test_fetch_from_a_folder_brings_every_file(toy, cache_dir):
    folder = fetch("toy", mirror=toy.mirror)
    assert folder == data_path("toy") == cache_dir / "data/toy"
    assert_complete(folder)
    assert leftovers(cache_dir) == set()


def test_fetch_writes_a_list_that_sha256sum_understands(toy):
    folder = fetch("toy", mirror=toy.mirror)
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)


def test_a_second_fetch_asks_nobody(toy):
    fetch("toy", mirror=toy.mirror)
    shutil.rmtree(toy.mirror)
    assert_complete(fetch("toy"))


def test_the_variable_names_a_mirror(toy, monkeypatch):
    monkeypatch.setenv("SAD_DATA_MIRROR", str(toy.mirror))
    assert_complete(fetch("toy"))


def test_a_mirror_may_be_a_web_address(toy, server):
    server.content = toy.archive
    assert_complete(fetch("toy", mirror=server.address))
    assert server.requests == [("/toy/toy.zip", "")]


def test_a_mirror_may_be_a_file_address(toy):
    assert_complete(fetch("toy", mirror=toy.mirror.as_uri()))


def test_without_a_mirror_the_official_address_is_used(toy, server, cache_dir):
    server.content = toy.archive
    toy.offer(f"{server.address}/official.zip")
    assert_complete(fetch("toy"))
    assert leftovers(cache_dir) == {".downloads"}
    assert not list((cache_dir / "data/.downloads").iterdir())


def test_a_mirror_that_lacks_the_file_gives_way_to_the_official_address(
    toy, server, monkeypatch, tmp_path
):
    server.content = toy.archive
    toy.offer(f"{server.address}/official.zip")
    monkeypatch.setenv("SAD_DATA_MIRROR", str(tmp_path))
    assert_complete(fetch("toy"))


def test_a_file_without_address_or_mirror_says_so(toy):
    with pytest.raises(DataError, match=r"toy/toy.zip has no public address; .*--from DIR_OR_URL"):
        fetch("toy")


@pytest.mark.parametrize(
    ("mirror", "words"),
    [("/nonexistent", "is no folder"), ("ftp://host", "is not supported"), (".", "is not there")],
)
def test_a_useless_mirror_is_named(toy, mirror, words):
    with pytest.raises(DataError, match=words):
        fetch("toy", mirror=mirror)


def test_a_wrong_digest_names_both_and_keeps_the_old_copy(toy, cache_dir):
    folder = fetch("toy", mirror=toy.mirror)
    archive = toy.mirror / "toy/toy.zip"
    write_zip(archive, {**FILES, "games/task-3/game.txt": b"forged"})
    with pytest.raises(DataError, match=r"has sha256 [0-9a-f]{64}, expected [0-9a-f]{64}"):
        fetch("toy", mirror=toy.mirror, force=True)
    assert_complete(folder)
    assert leftovers(cache_dir) == set()


def test_a_wrong_download_is_thrown_away(toy, server, cache_dir):
    server.content = toy.archive.replace(b"game 7", b"game ?", 1)
    with pytest.raises(DataError, match="has sha256"):
        fetch("toy", mirror=server.address)
    assert not [path for path in (cache_dir / "data/.downloads").rglob("*") if path.is_file()]
    server.content = toy.archive
    assert_complete(fetch("toy", mirror=server.address))


def test_a_part_that_continues_into_a_wrong_file_starts_again(toy, server, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    server.etag = ""
    server.content = b"another file, " + toy.archive[14:]
    server.cut_after = [200_000, 0]
    with pytest.raises(DataError, match="run again to go on"):
        fetch("toy", mirror=server.address)
    server.content = toy.archive
    assert_complete(fetch("toy", mirror=server.address))
    assert [wanted != "" for _, wanted in server.requests[2:]] == [True, False]


def test_an_archive_packed_in_another_way_counts_by_its_files(toy):
    write_zip(toy.mirror / "toy/toy.zip", dict(reversed(FILES.items())), zipfile.ZIP_DEFLATED)
    assert_complete(fetch("toy", mirror=toy.mirror))


def test_a_data_set_of_another_catalogue_is_not_taken_for_this_one(toy):
    folder = fetch("toy", mirror=toy.mirror)
    with (folder / "SHA256SUMS").open("a") as manifest:
        manifest.write(f"{'0' * 64}  more\n")
    with pytest.raises(DataMissing, match="in another version"):
        data_path("toy")
    assert_complete(fetch("toy", mirror=toy.mirror))


def test_too_little_space_is_said_before_anything_is_written(toy, cache_dir, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(1, 1, 1000))
    with pytest.raises(DataError, match=r"has 0.0 MB free and .* MB are needed; .*SAD_CACHE"):
        fetch("toy", mirror=toy.mirror)
    assert leftovers(cache_dir) == set()


def test_a_disk_that_fills_up_is_one_line_and_leaves_nothing(toy, cache_dir, monkeypatch):
    real = Path.open

    def full(path, mode="r", *rest, **more):
        if "task-7" in str(path):
            return real(Path("/dev/full"), "wb")
        return real(path, mode, *rest, **more)

    monkeypatch.setattr("sad_envs.data.unpack.Path.open", full)
    with pytest.raises(DataError, match=r"no space left while writing .*SAD_CACHE") as caught:
        fetch("toy", mirror=toy.mirror)
    assert "\n" not in str(caught.value)
    assert leftovers(cache_dir) == set()
    assert not is_present("toy")


def test_a_cache_that_cannot_be_made_is_one_line(toy, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAD_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="set SAD_CACHE to another folder"):
        fetch("toy", mirror=toy.mirror)


def test_a_kill_while_unpacking_leaves_nothing_half_made(toy, cache_dir):
    with run_fetch(toy, 0.02) as process:
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(15)]
        assert "unpacking" in seen[-1]
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (cache_dir / "data/toy").exists()
    assert any(name.startswith(".toy.new-") for name in leftovers(cache_dir))
    assert_complete(fetch("toy", mirror=toy.mirror))
    assert leftovers(cache_dir) == set()


def test_a_kill_between_the_two_renames_is_undone(toy, cache_dir):
    folder = fetch("toy", mirror=toy.mirror)
    folder.rename(folder.with_name(".toy.old"))
    shutil.rmtree(toy.mirror)
    toy.offer("http://127.0.0.1:9/unreachable")
    assert_complete(fetch("toy"))
    assert leftovers(cache_dir) == set()


def test_two_processes_fetch_at_once_and_one_waits(toy):
    with run_fetch(toy, 0.03) as first:
        assert first.stdout is not None
        while "unpacking" not in first.stdout.readline():
            pass
        with run_fetch(toy, 0) as second:
            assert second.stdout is not None
            said = second.stdout.read()
        heard = first.stdout.read()
    assert first.returncode == second.returncode == 0
    assert "waiting for another" in said
    assert "unpacking" not in said
    assert "done" in heard
    assert_complete(data_path("toy"))


def test_verify_is_content_with_what_fetch_brought(toy):
    fetch("toy", mirror=toy.mirror)
    result = verify("toy")
    assert result.ok
    assert result.line().startswith("toy: 40 files")


def test_verify_names_missing_changed_and_extra_files(toy):
    folder = fetch("toy", mirror=toy.mirror)
    (folder / "games/task-1/game.txt").unlink()
    (folder / "games/task-2/game.txt").write_text("changed")
    (folder / "games/new.txt").touch()
    line = verify("toy").line()
    assert "1 missing (games/task-1/game.txt)" in line
    assert "1 changed (games/task-2/game.txt)" in line
    assert "1 extra (games/new.txt)" in line
    assert line.endswith("harness data fetch toy --force")


def test_verify_finds_one_flipped_bit(toy):
    folder = fetch("toy", mirror=toy.mirror)
    path = folder / "games/task-5/game.txt"
    data = bytearray(path.read_bytes())
    data[17] ^= 1
    path.write_bytes(data)
    assert verify("toy").differences.changed == ("games/task-5/game.txt",)


def test_verify_does_not_follow_a_link_to_the_same_content(toy, tmp_path):
    folder = fetch("toy", mirror=toy.mirror)
    path = folder / "games/task-5/game.txt"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert verify("toy").differences.changed == ("games/task-5/game.txt",)


def test_force_mends_a_damaged_copy(toy):
    folder = fetch("toy", mirror=toy.mirror)
    (folder / "games/task-2/game.txt").write_text("changed")
    fetch("toy", mirror=toy.mirror, force=True)
    assert verify("toy").ok


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["alfworld", "hotpotqa", "webshop"])
def test_the_catalogue_fits_the_mirror(name, tmp_path, monkeypatch):
    mirror = os.environ.get("SAD_DATA_MIRROR")
    if not mirror:
        # A machine with only a cache has nothing to fetch from; what it has must verify.
        assert not is_present(name) or verify(name).ok
        return
    monkeypatch.setenv("SAD_CACHE", str(tmp_path))
    began = time.monotonic()
    fetch(name, mirror=mirror)
    assert verify(name).ok
    assert time.monotonic() - began < 60
