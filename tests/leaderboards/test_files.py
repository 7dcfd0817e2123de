"""A file that holds no JSON object is named, with what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import HarnessError
from leaderboards.files import read_object


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "holds a list; expected a JSON object"),
        ('{"a": 1', "cannot read .*file.json: JSONDecodeError"),
        (None, "is no run: it has no file.json"),
    ],
)
def test_what_is_no_object_is_refused(text: str | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(HarnessError, match=said):
        read_object(path)


def test_an_object_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text('{"a": 1}')
    assert read_object(path) == {"a": 1}
