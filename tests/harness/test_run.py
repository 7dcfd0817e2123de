"""`harness run` as a user types it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from signals import heed_interrupts

from harness.store import read_episodes

HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]
EXPERT = ["run", "--agent", "expert", "--env", "alfworld", "--split", "generated:3:12"]


def harness(*arguments: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [*HARNESS, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    if check is not None:
        assert result.returncode == check, result.stderr
    return result


def comparable(folder: Path) -> dict[tuple[str, str, int], str]:
    """Rows by key, without what a clock decides."""
    return {
        episode.key: episode.model_copy(update={"wall_seconds": 0}).model_dump_json()
        for episode in read_episodes(folder)
    }


def test_expert_run_writes_what_the_architecture_promises(tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = harness(*EXPERT, "--limit", "6", "--concurrency", "2", "--out", str(out))
    assert "6/6" in result.stdout
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "env.json", "episodes.jsonl", "summary.json", "run.log"} <= names
    episodes = list(read_episodes(out))
    assert len({episode.key for episode in episodes}) == 6
    for episode in episodes:
        assert episode.success
        assert all(turn.text("reason").startswith("Thought: ") for turn in episode.turns)
        assert all(turn.action for turn in episode.turns)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["rows"][-1]["successes"] == 6


def test_results_do_not_depend_on_concurrency(tmp_path: Path) -> None:
    for name, concurrency in (("one", "1"), ("three", "3")):
        harness(
            "run", "--agent", "random", "--env", "alfworld", "--limit", "6", "--max-steps", "8",
            "--concurrency", concurrency, "--out", str(tmp_path / name),
        )  # fmt: skip
    assert comparable(tmp_path / "one") == comparable(tmp_path / "three")


def test_resume_plays_only_what_is_owed(tmp_path: Path) -> None:
    out = str(tmp_path)
    harness(*EXPERT, "--limit", "2", "--out", out)
    before = (tmp_path / "episodes.jsonl").read_bytes()
    harness(*EXPERT, "--limit", "4", "--out", out, "--resume")
    assert (tmp_path / "episodes.jsonl").read_bytes().startswith(before)
    assert len(list(read_episodes(tmp_path))) == 4


def test_resume_with_other_settings_is_refused(tmp_path: Path) -> None:
    harness(*EXPERT, "--limit", "1", "--out", str(tmp_path))
    result = harness(
        *EXPERT, "--limit", "1", "--seed", "5", "--out", str(tmp_path), "--resume", check=2
    )
    assert "differs in: seed" in result.stderr


def test_resume_does_not_mind_spelled_out_defaults(tmp_path: Path) -> None:
    arguments = ["run", "--agent", "expert", "--env", "alfworld", "--out", str(tmp_path)]
    harness(*arguments, "--limit", "1")
    more = ["--split", "generated", "--max-steps", "50", "--env-arg", "backend=native"]
    harness(*arguments, "--limit", "2", "--resume", *more)
    assert len(list(read_episodes(tmp_path))) == 2


def test_resume_with_other_prompts_is_refused(tmp_path: Path) -> None:
    harness(*EXPERT, "--limit", "1", "--out", str(tmp_path))
    result = harness(
        *EXPERT, "--limit", "2", "--shots", "1", "--out", str(tmp_path), "--resume", check=2
    )
    assert "differs in: prompts" in result.stderr


def test_a_task_named_twice_is_played_once(tmp_path: Path) -> None:
    harness(*EXPERT, "--limit", "1", "--out", str(tmp_path / "a"))
    (episode,) = read_episodes(tmp_path / "a")
    twice = ["--tasks", episode.task_id, "--tasks", episode.task_id]
    harness(*EXPERT, *twice, "--out", str(tmp_path / "b"))
    assert len(list(read_episodes(tmp_path / "b"))) == 1


@pytest.mark.slow
@pytest.mark.models
@pytest.mark.smollm2
def test_interrupt_while_a_model_generates(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            *HARNESS, "run", "--agent", "react", "--model", "smollm2", "--env", "alfworld",
            "--limit", "4", "--concurrency", "2", "--out", str(tmp_path),
        ],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, preexec_fn=heed_interrupts,
    )  # fmt: skip
    log = tmp_path / "run.log"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (log.exists() and "to play" in log.read_text()):
        time.sleep(0.1)
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "terminate" not in stderr


def test_react_original_thoughts_cost_a_step_and_are_answered_ok(tmp_path: Path) -> None:
    harness(*EXPERT, "--limit", "2", "--prompt-style", "react-original", "--out", str(tmp_path))
    for episode in read_episodes(tmp_path):
        assert episode.success
        assert episode.prompt.style == "react-alfworld"
        assert episode.n_invalid == 0
        thinking = [turn for turn in episode.turns if turn.text("reason")]
        assert thinking
        assert all(t.observation == "OK." and not t.text("act") for t in thinking)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--agent", "expert", "--env", "alfwrold"], "did you mean 'alfworld'"),
        (["--agent", "expret", "--env", "alfworld"], "did you mean 'expert'"),
        (["--agent", "expert", "--env", "alfworld", "--split", "valid_unsen"], "valid_unseen"),
        (["--agent", "react", "--env", "alfworld"], "needs --model"),
        (["--agent", "react", "--env", "alfworld", "--model", "smollm"], "smollm2"),
        (["--agent", "expert", "--env", "alfworld", "--tasks", "nope"], "no task 'nope'"),
        (["--agent", "expert", "--env", "alfworld", "--env-arg", "x"], "NAME=VALUE"),
        (["--agent", "expert", "--env", "alfworld", "--env-arg", "colour=1"], "colour"),
        (["--agent", "expert", "--env", "nowhere:Env"], "nowhere"),
        (["--agent", "expert", "--env", "alfworld", "--limit", "0"], "--limit"),
        (["--agent", "expert"], "--env is missing"),
        (["--config", "absent.toml"], "absent.toml"),
        (["--agent", "expert", "--env", "alfworld", "--env-arg", "aliases=maybe"], "aliases"),
        (["--agent", "expert", "--env", "alfworld", "--env-arg", "max_steps=abc"], "max_steps"),
    ],
)
def test_bad_arguments_give_one_line(arguments: list[str], line: str, tmp_path: Path) -> None:
    result = harness("run", *arguments, "--out", str(tmp_path / "x"), check=2)
    assert line in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_missing_data_names_the_fetch_command(tmp_path: Path) -> None:
    environment = {**os.environ, "SAD_CACHE": str(tmp_path)}
    environment.pop("SAD_DATA_MIRROR", None)
    result = subprocess.run(
        [*HARNESS, "run", "--agent", "expert", "--env", "alfworld", "--split", "valid_seen"],
        capture_output=True, text=True, timeout=60, check=False, env=environment,
    )  # fmt: skip
    assert result.returncode == 2
    assert "harness data fetch alfworld" in result.stderr


def test_unreadable_config_names_the_place(tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text("agent = \n")
    assert "not valid TOML" in harness("run", "--config", str(config), check=2).stderr
    config.write_text('agent = "expert"\nenv = "alfworld"\nlimit = true\n')
    assert "--limit" in harness("run", "--config", str(config), check=2).stderr
    config.write_text('agent = "expert"\nenv = "alfworld"\nlimt = 3\n')
    assert "did you mean 'limit'" in harness("run", "--config", str(config), check=2).stderr


def test_config_file_fills_what_the_command_line_leaves_open(tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text('agent = "expert"\nenv = "alfworld"\nlimit = 3\nsplit = "generated:1:5"\n')
    result = harness("run", "--config", str(config), "--limit", "2", "--dry-run")
    assert "episodes     2" in result.stdout


def test_scripted_model_without_an_action_is_reminded(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(
        json.dumps(["I wonder.", "Thought: look around\nAction: Look", "Action: fly"])
    )
    harness(
        "run", "--agent", "react", "--model", f"scripted:{script}", "--env", "alfworld",
        "--limit", "1", "--max-steps", "3", "--out", str(tmp_path / "run"),
    )  # fmt: skip
    (episode,) = read_episodes(tmp_path / "run")
    first, second, third = episode.turns
    assert (first.action, first.valid) == (None, False)
    assert "begins with 'Action:'" in first.observation
    assert (second.action, second.valid) == ("look", True)
    assert (third.action, third.valid) == ("fly", False)
    assert third.observation == "Nothing happens."
    assert episode.n_invalid == 2
    assert not episode.exact_text


def test_exhausted_script_is_a_provider_error_and_owed(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps(["Action: look"]))
    arguments = [
        "run", "--agent", "react", "--model", f"scripted:{script}", "--env", "alfworld",
        "--limit", "1", "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    result = harness(*arguments, check=1)
    assert "0/1" in result.stdout
    (attempt,) = read_episodes(tmp_path / "run", "errors.jsonl")
    assert attempt.outcome == "provider_error"
    assert len(attempt.turns) == 1


def test_interrupt_keeps_what_is_finished(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*HARNESS, "run", "--agent", "random", "--env", "alfworld", "--out", str(tmp_path)],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, preexec_fn=heed_interrupts,
    )  # fmt: skip
    rows = tmp_path / "episodes.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (rows.exists() and rows.stat().st_size > 0):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "--resume" in stderr
    assert len(list(read_episodes(tmp_path))) > 0


@pytest.mark.slow
def test_twenty_kills_lose_and_repeat_nothing(tmp_path: Path) -> None:
    arguments = [
        "run", "--agent", "random", "--env", "alfworld", "--split", "generated:5:150",
        "--concurrency", "2", "--max-steps", "30",
    ]  # fmt: skip
    harness(*arguments, "--out", str(tmp_path / "calm"))
    out = tmp_path / "killed"
    draw = random.Random(0)
    kills = 0
    while kills < 20:
        process = subprocess.Popen(
            [*HARNESS, *arguments, "--out", str(out), "--resume"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(draw.uniform(0.1, 1.6))
        process.kill()
        process.wait()
        kills += 1
    harness(*arguments, "--out", str(out), "--resume")
    keys = [episode.key for episode in read_episodes(out)]
    assert len(keys) == len(set(keys)) == 150
    assert comparable(out) == comparable(tmp_path / "calm")


def test_help_is_light() -> None:
    code = (
        "import sys; sys.argv = ['harness', '--help']\n"
        "from harness.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'pandas', 'gymnasium', 'transformers', 'jnius'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_memory_does_not_grow_with_the_episodes() -> None:
    benchmark = Path(__file__).parents[2] / "benchmarks" / "run_loop.py"
    result = subprocess.run(
        [sys.executable, str(benchmark), "--episodes", "500", "--max-steps", "5"],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert measured["steps"] > 2000
    assert measured["memory_growth_mib"] < 4
