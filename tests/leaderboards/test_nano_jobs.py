"""Commands of the first board's cells side by side: minutes, interruption, what each cost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from nano import FOLDER, SCALE, finish, modules

KEEPS = """
import pathlib, sys, time
try:
    pathlib.Path(sys.argv[1]).touch()
    time.sleep(60)
except KeyboardInterrupt:
    print("kept what there is")
    sys.exit(130)
"""


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Any:
    return modules(monkeypatch, "jobs").jobs


def begin(running: Any, folder: Path, name: str, code: str) -> Path:
    """Start Python on `code`; the file that it may touch to say it is at work."""
    at_work = folder / f"{name}.at-work"
    words = [sys.executable, "-c", code, str(at_work)]
    running.start(name, words, folder / f"{name}.log", os.environ)
    return at_work


def await_files(*files: Path) -> None:
    until = time.monotonic() + 30
    while not all(file.exists() for file in files):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_each_has_its_exit_code_its_log_and_its_cost(jobs: Any, tmp_path: Path) -> None:
    running = jobs.Jobs(1)
    busy = "import time\nuntil = time.process_time() + 0.5\nwhile time.process_time() < until: pass"
    begin(running, tmp_path, "busy", busy)
    begin(running, tmp_path, "failing", "print('no such thing'); raise SystemExit(3)")
    ended = {one.name: one for one in (running.wait(), running.wait())}
    assert len(running) == 0
    assert (ended["busy"].code, ended["failing"].code) == (0, 3)
    assert ended["busy"].cpu_seconds >= 0.5 > ended["failing"].cpu_seconds
    assert (tmp_path / "failing.log").read_text().splitlines()[-1] == "no such thing"


def test_one_whose_minutes_are_over_is_interrupted(jobs: Any, tmp_path: Path) -> None:
    running = jobs.Jobs(1 / 60)
    begin(running, tmp_path, "long", KEEPS)
    assert running.wait().code in (130, -signal.SIGINT)  # the latter where it had not begun


def test_all_are_interrupted_and_waited_for(jobs: Any, tmp_path: Path) -> None:
    running = jobs.Jobs(10)
    await_files(*(begin(running, tmp_path, name, KEEPS) for name in "ab"))
    assert {one.name: one.code for one in running.interrupt()} == {"a": 130, "b": 130}
    assert "kept what there is" in (tmp_path / "b.log").read_text()


COMMAND = """#!{python}
import os, pathlib, sys, time
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
pathlib.Path(r"{seen}", out.name + " " + os.environ["OMP_NUM_THREADS"]).touch()
try:
    time.sleep(60)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_driver_that_is_ended_leaves_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: signal.Signals
) -> None:
    """Two trials are running, with half of the cores each."""
    board = modules(monkeypatch, "plan", "state")
    out, seen = tmp_path / "out", tmp_path / "seen"
    seen.mkdir()
    command = tmp_path / "harness"
    command.write_text(COMMAND.format(python=sys.executable, seen=seen))
    command.chmod(0o755)
    scale = board.plan.Scale.from_environment({**SCALE, "BOARD_OUT": str(out)})
    for cell in board.plan.cells(scale)[:3]:
        finish(board.state.State(out), cell)
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); import drive;"  # as with `&`
        f"drive.sys.executable = {str(tmp_path / 'python')!r}; raise SystemExit(drive.main([]))"
    )
    environment = {**os.environ, **SCALE, "BOARD_OUT": str(out), "BOARD_JOBS": "2"}
    environment.pop("OMP_NUM_THREADS", None)
    driver = subprocess.Popen(
        [sys.executable, "-c", code], env={**environment, "PYTHONPATH": str(FOLDER)}
    )
    threads = max(1, len(os.sched_getaffinity(0)) // 2)
    await_files(seen / f"tune-sad-0 {threads}", seen / f"tune-sad-1 {threads}")
    driver.send_signal(sent)
    assert driver.wait(30) != 0
    left = subprocess.run(["pgrep", "-f", str(command)], capture_output=True, check=False)
    assert left.stdout == b""
    kept = board.state.State(out)
    assert all(kept.read("begun", f"tune-sad-{n}")["seconds"] > 0 for n in (0, 1))
