"""Pictures that an environment shows are kept beside the episode."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]


def test_a_turn_names_its_picture_in_the_run_directory(tmp_path: Path) -> None:
    env = f"{Path(__file__).parent / 'picture_env.py'}:Pictures"
    out = tmp_path / "run"
    subprocess.run(
        [*HARNESS, "run", "--agent", "random", "--env", env, "--repeats", "2", "--out", str(out)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    rows = [json.loads(line) for line in (out / "episodes.jsonl").read_text().splitlines()]
    assert len(rows) == 4
    for row in rows:
        for number, turn in enumerate(row["turns"], 1):
            picture = out / turn["screenshot"]
            assert picture.read_bytes() == b"%d" % number
            assert (picture.parent / "0.png").read_bytes() == b"0"
    folders = sorted(path.name for path in (out / "screenshots").iterdir())
    assert folders == ["..%2Fup-0", "..%2Fup-1", "a%2Fb-0", "a%2Fb-1"]
