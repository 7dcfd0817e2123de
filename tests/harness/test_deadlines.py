"""Deadlines, budgets and interrupts: a run always ends, and what it says of itself is right."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from signals import heed_interrupts

from harness import runner
from harness.cli.execute import execute
from harness.config import make_config
from harness.errors import HarnessError
from harness.store import ERRORS, read_episodes
from harness.trajectory import Episode

HERE = Path(__file__).parent
HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]


def play(out: Path, mood: str = "even", **settings: Any) -> int:
    given: dict[str, Any] = {
        "agent": "react", "model": f"{HERE / 'moody_model.py'}:{mood}", "env": "alfworld",
        "split": "generated:0:6", "concurrency": 2, "max_steps": 3, "out": out, "shots": 0,
    }  # fmt: skip
    return execute(make_config(given | settings))


def outcomes(folder: Path) -> Counter[str]:
    return Counter(str(row.outcome) for row in [*read_episodes(folder), *errors(folder)])


def errors(folder: Path) -> list[Episode]:
    return list(read_episodes(folder, ERRORS))


def summary(folder: Path) -> Any:
    return json.loads((folder / "summary.json").read_text())


def test_a_model_call_that_hangs_costs_its_own_episode(tmp_path: Path) -> None:
    started = time.monotonic()
    assert play(tmp_path, "hangs_once", call_timeout=4.0) == 1
    assert outcomes(tmp_path) == {"truncated_steps": 5, "provider_error": 1}
    assert "no answer to a model call within" in (errors(tmp_path)[0].error or "")
    assert time.monotonic() - started < 60
    assert play(tmp_path, "even", resume=True) == 0


def test_every_call_hanging_ends_the_run(tmp_path: Path) -> None:
    assert play(tmp_path, "hangs", call_timeout=0.3, limit=3) == 3
    assert outcomes(tmp_path) == {"provider_error": 3}


def test_an_episode_that_takes_too_long_is_truncated_by_time(tmp_path: Path) -> None:
    settings = {"episode_timeout": 1.5, "max_steps": 50, "limit": 1, "concurrency": 1}
    assert play(tmp_path, "slow", **settings) == 1
    (row,) = errors(tmp_path)
    assert (row.outcome, row.score) == ("truncated_time", None)
    assert row.error == "the episode took longer than 1.5 s"
    assert 1 <= len(row.turns) <= row.usage.model_calls < 50


def test_an_episode_hanging_in_its_model_is_truncated_by_time(tmp_path: Path) -> None:
    assert play(tmp_path, "hangs", episode_timeout=0.5, limit=1) == 1
    (row,) = errors(tmp_path)
    assert row.outcome == "truncated_time"
    assert "in a model call" in (row.error or "")


def test_an_environment_cut_by_the_episodes_time_is_no_environment_error(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "agent": "random", "env": f"{HERE / 'broken_env.py'}:Broken", "env_args": {"how": "hang"},
        "tasks": ("bad",), "episode_timeout": 3.0, "out": tmp_path,
    }  # fmt: skip
    assert execute(make_config(given)) == 1
    (row,) = errors(tmp_path)
    assert (row.outcome, row.error) == ("truncated_time", "the episode took longer than 3 s")


def test_the_end_of_the_runs_time_leaves_the_rest_owed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many: dict[str, Any] = {"split": "generated:0:40", "max_steps": 3}
    left = play(tmp_path, "slow", run_timeout=5.0, **many)
    assert 0 < left < 40
    assert "ended early: the run's time (5 s) was up" in capsys.readouterr().err
    assert set(outcomes(tmp_path)) <= {"truncated_steps", "truncated_time"}
    assert summary(tmp_path)["rows"][-1]["planned"] == 40
    assert play(tmp_path, "even", resume=True, **many) == 0
    assert len(list(read_episodes(tmp_path))) == 40


def test_a_spent_budget_ends_the_run_and_counts_what_was_spent_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # An episode takes three calls of 15 tokens.
    assert play(tmp_path, concurrency=1, max_total_tokens=100) == 4
    assert outcomes(tmp_path) == {"truncated_steps": 2, "truncated_budget": 1}
    assert "ended early: the budget is spent: 105 of 100 tokens" in capsys.readouterr().err
    assert play(tmp_path, concurrency=1, max_total_tokens=100, resume=True) == 4
    assert sum(outcomes(tmp_path).values()) == 3
    assert play(tmp_path, concurrency=1, max_total_tokens=165, resume=True) == 3
    usage = summary(tmp_path)["usage"]
    assert usage["total"]["prompt_tokens"] + usage["total"]["completion_tokens"] == 165
    assert usage["scored_total"]["model_calls"] == 9
    assert usage["mean_per_scored_episode"]["prompt_tokens"] == 30
    assert usage["unscored_total"]["model_calls"] == 2


def test_a_limit_on_the_cost_uses_the_price_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = f"{HERE / 'moody_model.py'}:even"
    prices = tmp_path / "prices.toml"
    prices.write_text(
        f'currency = "EUR"\n[models."{spec}"]\nprompt = 1000\ncached = 500\ncompletion = 2000\n'
    )
    # A call costs 6 * 0.001 + 4 * 0.0005 + 5 * 0.002 = 0.018.
    out = tmp_path / "run"
    assert play(out, concurrency=1, prices=prices, max_cost=0.108) == 4
    printed = capsys.readouterr()
    assert "0.108 of 0.108 EUR" in printed.err
    assert "total: 60 tokens in (24 cached), 30 out, 0.108 EUR in 6 model calls" in printed.out
    assert summary(out)["usage"]["total"]["cost"] == pytest.approx(0.108)


@pytest.mark.parametrize(
    ("settings", "content", "line"),
    [
        ({"max_cost": 1.0}, None, "--max-cost needs --prices"),
        ({}, "models = 3\n", "prices.toml: models"),
        ({}, '[models."other"]\nprompt = 1\ncompletion = 1\n', "it names other"),
        ({}, '[models."other"]\nprompt = -1\ncompletion = 1\n', "models.other.prompt"),
        ({}, "= 3", "not valid TOML"),
    ],
)
def test_bad_prices_are_one_line(
    settings: dict[str, Any], content: str | None, line: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "prices.toml").write_text(content)
        settings = {**settings, "prices": tmp_path / "prices.toml"}
    with pytest.raises(HarnessError, match=line):
        play(tmp_path / "run", **settings)


def test_limits_and_deadlines_do_not_make_another_run(tmp_path: Path) -> None:
    play(tmp_path, limit=1)
    changed: dict[str, Any] = {
        "concurrency": 1, "model_concurrency": 1, "retries": 1, "call_timeout": 5.0,
        "step_timeout": 50.0, "episode_timeout": 60.0, "run_timeout": 60.0,
        "max_total_tokens": 10_000,
    }  # fmt: skip
    assert play(tmp_path, limit=2, resume=True, **changed) == 0


def test_the_log_names_what_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "WATCHDOG_SECONDS", 0.6)
    play(tmp_path, "hangs", call_timeout=2.0, limit=1)
    log = (tmp_path / "run.log").read_text()
    (row,) = errors(tmp_path)
    assert f"s of 2 s for a model call in turn 1 of {row.task_id}; 1 in a model call; " in log
    assert "; 1 of 2 model calls" in log


def test_a_model_that_answers_nobody_ends_the_run_early(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from harness.errors import ProviderError\n"
        "def respond(request):\n    raise ProviderError('out of order')\n"
    )
    left = play(tmp_path / "run", model=f"scripted:{script}", split="generated:0:40", concurrency=2)
    assert left == 40
    assert 10 <= outcomes(tmp_path / "run")["provider_error"] <= 12
    assert "the model failed 10 episodes in a row" in capsys.readouterr().err


def start(out: Path, mood: str, *more: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [
            *HARNESS, "run", "--agent", "react", "--model", f"{HERE / 'moody_model.py'}:{mood}",
            "--env", "alfworld", "--split", "generated:0:50", "--concurrency", "2", "--shots", "0",
            "--out", str(out), *more,
        ],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=heed_interrupts,
    )  # fmt: skip
    rows = out / "episodes.jsonl"
    log = out / "run.log"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if rows.exists() and rows.stat().st_size > 0:
            break
        if mood == "hangs" and log.exists() and "to play" in log.read_text():
            time.sleep(1)
            break
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_interrupt_lets_running_episodes_end(
    number: signal.Signals, tmp_path: Path
) -> None:
    process = start(tmp_path, "slow", "--max-steps", "4")
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert "running episodes may end" in stderr
    assert 0 < outcomes(tmp_path)["truncated_steps"] < 50
    assert set(outcomes(tmp_path)) == {"truncated_steps"}


def test_the_second_interrupt_ends_what_hangs(tmp_path: Path) -> None:
    process = start(tmp_path, "hangs")
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=15)
    assert process.returncode == 130, stderr
    assert "--resume" in stderr


def test_the_second_interrupt_keeps_what_was_spent(tmp_path: Path) -> None:
    process = start(tmp_path, "slow", "--max-steps", "6")
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    process.communicate(timeout=15)
    assert process.returncode == 130
    cut = [row for row in errors(tmp_path) if row.outcome == "cancelled"]
    assert cut
    assert all(row.usage.model_calls >= len(row.turns) for row in cut)


@pytest.mark.slow
@pytest.mark.parametrize("environment", ["alfworld", "hotpotqa"])
def test_a_kill_costs_no_episode(environment: str, tmp_path: Path) -> None:
    arguments = [
        *HARNESS, "run", "--agent", "expert", "--env", environment, "--limit", "40",
        "--concurrency", "3", "--out", str(tmp_path),
    ]  # fmt: skip
    for kill_after in (1, 12):
        process = subprocess.Popen(
            [*arguments, "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        rows = tmp_path / "episodes.jsonl"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if rows.exists() and rows.read_bytes().count(b"\n") >= kill_after:
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.005)
        process.wait(timeout=30)
    result = subprocess.run([*arguments, "--resume"], capture_output=True, timeout=60, check=False)
    assert result.returncode == 0
    keys = [row.key for row in read_episodes(tmp_path)]
    assert len(keys) == len(set(keys)) == 40
