"""A run in a browser that is killed leaves nothing behind and can be resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]


@pytest.mark.browser
@pytest.mark.slow
def test_a_killed_run_leaves_no_browser_behind_and_resumes(tmp_path: Path) -> None:
    command = [*HARNESS, "run", "--agent", "random", "--env", "webshop-browser"]
    command += ["--split", "generated:0:4", "--max-steps", "4", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    family: list[psutil.Process] = []
    give_up = time.monotonic() + 60
    while not any("chrom" in one.name() for one in family) and time.monotonic() < give_up:
        time.sleep(0.2)
        family = [one for one in psutil.Process(process.pid).children(recursive=True)
                  if one.is_running()]  # fmt: skip
    assert any("chrom" in one.name() for one in family)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not psutil.wait_procs(family, timeout=15)[1]
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "run" / "episodes.jsonl").read_text().splitlines()
    assert len(rows) == 4
