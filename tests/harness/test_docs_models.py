"""The model of docs/models.md is written down and run as a reader would."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from harness.store import read_episodes

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]


def test_the_model_of_the_page_plays(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (command,) = re.findall(r"harness (run .*shout\.py:Shout.*)", page)
    assert len(code.splitlines()) <= 21
    (tmp_path / "shout.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [*HARNESS, *command.split(), "--out", "run"], cwd=tmp_path, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = list(read_episodes(tmp_path / "run"))
    assert [len(row.turns) for row in rows] == [3, 3]
    assert all(turn.raw_completion == "Action: LOOK" for row in rows for turn in row.turns)
