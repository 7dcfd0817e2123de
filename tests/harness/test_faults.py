"""What goes wrong in an environment or a model is one episode's outcome, never the run's end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from signals import heed_interrupts

from harness.store import read_episodes

HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]
BROKEN = f"{Path(__file__).parent / 'broken_env.py'}:Broken"


def run(
    how: str, out: Path, *more: str, check: int | None = None
) -> subprocess.CompletedProcess[str]:
    arguments = ["--agent", "random", "--env", BROKEN, "--env-arg", f"how={how}"]
    result = subprocess.run(
        [*HARNESS, "run", *arguments, "--out", str(out), *more],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if check is not None:
        assert result.returncode == check, result.stderr
    assert "Traceback" not in result.stderr
    return result


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("raise", "KeyError"),
        ("exit", "exit code 3"),
        ("sysexit", "exit code 4"),
        ("nan", "finite"),
        ("score", "NoneType"),
        ("bytes", "expected str"),
        ("unpicklable", "pickle"),
    ],
)
def test_a_broken_environment_spoils_its_own_episode_only(
    how: str, words: str, tmp_path: Path
) -> None:
    result = run(how, tmp_path, check=1)
    assert "2/3" in result.stdout
    (attempt,) = read_episodes(tmp_path, "errors.jsonl")
    assert (attempt.task_id, attempt.outcome) == ("bad", "env_error")
    assert words in (attempt.error or "")
    assert {episode.task_id for episode in read_episodes(tmp_path)} == {"good", "fine"}
    run(how, tmp_path, "--resume", check=1)


@pytest.mark.parametrize("how", ["hang", pytest.param("java", marks=pytest.mark.lucene)])
def test_an_environment_that_hangs_is_cut_by_its_deadline(how: str, tmp_path: Path) -> None:
    started = time.monotonic()
    result = run(how, tmp_path, "--step-timeout", "8", check=1)
    assert "2/3" in result.stdout
    (attempt,) = read_episodes(tmp_path, "errors.jsonl")
    assert (attempt.task_id, attempt.outcome) == ("bad", "env_error")
    assert "within 8 s" in (attempt.error or "")
    assert time.monotonic() - started < 100


def test_an_exception_of_the_environment_is_in_the_log_in_full(tmp_path: Path) -> None:
    run("raise", tmp_path, check=1)
    assert 'raise KeyError("oops")' in (tmp_path / "run.log").read_text()


def test_a_constructor_that_raises_is_one_line(tmp_path: Path) -> None:
    result = run("constructor", tmp_path, check=2)
    assert "no such luck" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_text_that_no_file_can_hold_is_replaced(tmp_path: Path) -> None:
    run("surrogate", tmp_path, check=0)
    (bad,) = [episode for episode in read_episodes(tmp_path) if episode.task_id == "bad"]
    assert bad.turns[0].observation == "a?b"


def test_what_an_environment_prints_is_not_a_result(tmp_path: Path) -> None:
    result = run("print", tmp_path, "--json", check=0)
    assert json.loads(result.stdout)["rows"][-1]["scored"] == 3


def test_no_admissible_action_is_that_episodes_error(tmp_path: Path) -> None:
    run("nothing", tmp_path, check=1)
    (attempt,) = read_episodes(tmp_path, "errors.jsonl")
    assert attempt.outcome == "agent_error"


def children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def begin(how: str, out: Path, *more: str) -> subprocess.Popen[str]:
    """A run in a process group of its own, whose episode in the task `bad` is under way."""
    process = subprocess.Popen(
        [
            *HARNESS, "run", "--agent", "random", "--env", BROKEN, "--env-arg", f"how={how}",
            "--concurrency", "3", "--out", str(out), *more,
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=heed_interrupts, start_new_session=True,
    )  # fmt: skip
    rows = out / "episodes.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (rows.exists() and len(rows.read_bytes()) > 0):
        time.sleep(0.05)
    time.sleep(0.3)
    return process


@pytest.mark.parametrize("how", ["hang", "deaf"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_is_left_behind_by_a_hanging_environment(
    number: signal.Signals, how: str, tmp_path: Path
) -> None:
    process = begin(how, tmp_path)
    left = children(process.pid)
    assert left
    process.send_signal(number)
    if number != signal.SIGKILL:
        time.sleep(0.5)
        process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == (130 if number != signal.SIGKILL else -9), said
    _, alive = psutil.wait_procs(left, timeout=10)
    assert not alive


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_group_is_the_harness_s_to_answer(
    number: signal.Signals, tmp_path: Path
) -> None:
    """As a terminal and a scheduler send it: the environments do not die of it."""
    process = begin("slow", tmp_path, "--repeats", "40")
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert not list(read_episodes(tmp_path, "errors.jsonl"))
    assert 0 < len(list(read_episodes(tmp_path))) < 120


def test_the_third_interrupt_waits_for_nothing(tmp_path: Path) -> None:
    process = begin("hang", tmp_path)
    left = children(process.pid)
    for _ in range(3):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.03)
    _, said = process.communicate(timeout=10)
    # A signal while the interpreter ends is the end; a shell says 130 in either case.
    assert process.returncode in (130, -signal.SIGINT), said
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(left, timeout=5)
    assert not alive
    assert {row.task_id for row in read_episodes(tmp_path)} == {"good", "fine"}


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "script.py"
    path.write_text(text)
    return f"scripted:{path}"


@pytest.mark.parametrize("concurrency", ["1", "3"])
def test_a_model_that_exits_ends_the_run_and_does_not_hang(
    concurrency: str, tmp_path: Path
) -> None:
    model = script(tmp_path, "def respond(request):\n    raise SystemExit(3)\n")
    result = subprocess.run(
        [
            *HARNESS, "run", "--agent", "react", "--model", model, "--env", "alfworld",
            "--limit", "3", "--concurrency", concurrency, "--out", str(tmp_path / "run"),
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode != 0


def test_a_reply_that_no_file_can_hold_is_kept_readable(tmp_path: Path) -> None:
    model = script(tmp_path, "def respond(request):\n    return '\\ud800 Action: look'\n")
    subprocess.run(
        [
            *HARNESS, "run", "--agent", "react", "--model", model, "--env", "alfworld",
            "--limit", "1", "--max-steps", "2", "--out", str(tmp_path / "run"),
        ],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    (episode,) = read_episodes(tmp_path / "run")
    assert episode.turns[0].action == "look"


def test_too_few_open_files_is_one_line(tmp_path: Path) -> None:
    import resource

    result = subprocess.run(
        [
            *HARNESS, "run", "--agent", "random", "--env", "alfworld", "--limit", "60",
            "--concurrency", "60", "--out", str(tmp_path / "run"),
        ],
        capture_output=True, text=True, timeout=60, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)),
    )  # fmt: skip
    assert result.returncode == 2
    assert "open files" in result.stderr


def test_an_ascii_terminal_gets_its_table(tmp_path: Path) -> None:
    result = subprocess.run(
        [
            *HARNESS, "run", "--agent", "random", "--env", "alfworld", "--limit", "2",
            "--max-steps", "2", "--out", str(tmp_path / "run"),
        ],
        capture_output=True, timeout=60, check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert result.returncode == 0
    assert b"2/2" in result.stdout
