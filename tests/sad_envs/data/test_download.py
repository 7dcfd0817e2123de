"""Downloads against a real web server that breaks in the ways servers do."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from sad_envs.data import download as download_module
from sad_envs.data.download import download
from sad_envs.data.errors import DataError

CONTENT = random.Random(1).randbytes(900_000)


@pytest.fixture(autouse=True)
def _served(server, monkeypatch):
    server.content = CONTENT
    monkeypatch.setattr(download_module.time, "sleep", lambda seconds: None)


def get(server, target: Path, **arguments) -> bool:
    arguments.setdefault("most_bytes", len(CONTENT))
    return download(f"{server.address}/file", target, **arguments)


def leave_part(server, target: Path) -> int:
    """Break the connection until the download gives up; returns the bytes that were kept."""
    server.cut_after = [300_000, 0]
    with pytest.raises(DataError, match="are kept, run again to go on"):
        get(server, target)
    assert not target.exists()
    server.requests.clear()
    return target.with_name("out.part").stat().st_size


def test_a_file_arrives_whole_and_leaves_nothing_beside_it(server, tmp_path):
    assert not get(server, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert os.listdir(tmp_path) == ["out"]


def test_a_cut_connection_is_continued_at_once(server, tmp_path):
    server.cut_after = [300_000, 200_000]
    assert get(server, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert [bool(wanted) for _, wanted in server.requests] == [False, True, True]


def test_a_later_call_continues_the_part(server, tmp_path):
    kept = leave_part(server, tmp_path / "out")
    assert 0 < kept < len(CONTENT)
    assert get(server, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert server.requests == [("/file", f"bytes={kept}-")]


def test_a_server_without_ranges_sends_everything_again(server, tmp_path):
    leave_part(server, tmp_path / "out")
    server.heeds_range = False
    assert not get(server, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_starts_again(server, tmp_path):
    leave_part(server, tmp_path / "out")
    server.content, server.etag = CONTENT[::-1], '"2"'
    assert not get(server, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT[::-1]


def test_a_part_of_another_address_is_not_continued(server, tmp_path):
    leave_part(server, tmp_path / "out")
    download(f"{server.address}/other", tmp_path / "out", most_bytes=len(CONTENT))
    assert server.requests == [("/other", "")]


def test_a_part_longer_than_the_file_starts_again(server, tmp_path):
    leave_part(server, tmp_path / "out")
    server.content = CONTENT[:1000]
    assert not get(server, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT[:1000]


def test_progress_adds_up_to_the_size(server, tmp_path):
    leave_part(server, tmp_path / "out")
    server.heeds_range = False
    heard: list[int] = []
    get(server, tmp_path / "out", on_bytes=heard.append)
    assert sum(heard) == len(CONTENT)


def test_more_bytes_than_expected_are_refused(server, tmp_path):
    with pytest.raises(DataError, match="sends more than the expected 1,000 bytes"):
        get(server, tmp_path / "out", most_bytes=1000)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "HTTP 404; the file is not there"), (403, "access is refused"), (503, "try again")],
)
def test_http_errors_are_one_line(server, tmp_path, status, words):
    server.status = status
    with pytest.raises(DataError, match=words) as caught:
        get(server, tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_a_refused_connection_names_the_reason_and_the_mirrors(tmp_path):
    with pytest.raises(DataError, match=r"Connection refused; .*--from or SAD_DATA_MIRROR"):
        download("http://127.0.0.1:9/file", tmp_path / "out", most_bytes=1)


def test_a_full_disk_is_an_os_error_for_the_caller(server, tmp_path, monkeypatch):
    real = Path.open

    def full(path, mode="r", *rest, **more):
        return real(Path("/dev/full") if path.suffix == ".part" else path, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left"):
        get(server, tmp_path / "out")


DRIVE_PAGE = b"""<html><form id="download-form" action="/confirmed" method="get">
<input type="hidden" name="id" value="ABC"><input type="hidden" name="confirm" value="t">
<input type="hidden" name="uuid" value="u&amp;v"></form><input name="other" value="x"></html>"""


def test_google_drive_is_led_past_its_page_about_large_files(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download_module, "DRIVE_ADDRESS", server.address + "/uc?id={id}")
    server.pages["/uc?id=ABC"] = DRIVE_PAGE
    download("gdrive:ABC", tmp_path / "out", most_bytes=len(CONTENT))
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert server.requests[-1][0] == "/confirmed?id=ABC&confirm=t&uuid=u%26v"


def test_google_drive_serves_a_small_file_at_once(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download_module, "DRIVE_ADDRESS", server.address + "/uc?id={id}")
    download("gdrive:ABC", tmp_path / "out", most_bytes=len(CONTENT))
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_google_drives_quota_page_is_an_error(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download_module, "DRIVE_ADDRESS", server.address + "/uc?id={id}")
    server.pages["/uc?id=ABC"] = b"<html>Sorry, too many users have viewed this file</html>"
    with pytest.raises(DataError, match="daily quota"):
        download("gdrive:ABC", tmp_path / "out", most_bytes=len(CONTENT))
