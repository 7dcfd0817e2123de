"""Environments, agents and models from files, as the command line takes them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.agents import Context, Reply, find_agent, load_agent
from harness.environments import find_env
from harness.errors import HarnessError
from harness.store import read_episodes
from harness.worker import EnvWorker

PLUGINS = Path(__file__).parents[1] / "plugin_package" / "sad_test_plugins"
ENV = f"{PLUGINS / 'env.py'}:Countdown"
HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]


def harness(*arguments: str, cwd: Path, check: int = 0) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [*HARNESS, *arguments], capture_output=True, text=True, timeout=120, check=False, cwd=cwd
    )
    assert result.returncode == check, result.stderr
    return result


def test_all_three_from_files_play_together(tmp_path: Path) -> None:
    harness(
        "run", "--agent", f"{PLUGINS / 'agents.py'}:Asking", "--env", ENV,
        "--model", f"{PLUGINS / 'model.py'}:Parrot", "--concurrency", "2", "--out", "run",
        cwd=tmp_path,
    )  # fmt: skip
    episodes = list(read_episodes(tmp_path / "run"))
    assert {episode.task_id for episode in episodes} == {"2", "3", "4"}
    assert all(episode.success and episode.agent == "asking" for episode in episodes)
    decides = json.loads((tmp_path / "run" / "config.json").read_text())["decides"]
    assert decides["env_id"] == "env.py:Countdown"
    assert decides["model"]["by"] == 1


def test_a_relative_file_works_in_the_environments_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "words.py").write_text("OPENING = 'hello'")
    (tmp_path / "own.py").write_text(
        "from words import OPENING\nfrom sad_envs import *\n"
        "class Own(TextTaskEnv):\n    dynamics = 'own-1'\n    task_ids = ('only',)\n"
        "    def __init__(self):\n        super().__init__(split='all', max_steps=3)\n"
        "    def _begin(self, task_id):\n        return Beginning(OPENING, '', '')\n"
        "    def _act(self, action):\n        return Consequence('')\n"
    )
    monkeypatch.chdir(tmp_path)
    spec = find_env("own.py:Own", {})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    worker = EnvWorker(spec, deadline=60)
    try:
        assert worker.reset("only", 0)[0] == "hello"
    finally:
        worker.close()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--env", f"{PLUGINS / 'env.py'}:Countdwon"), "did you mean 'Countdown'"),
        (("--env", f"{PLUGINS / 'broken.py'}:Env"), "No module named 'a_library_that_nobody_has'"),
        (("--env", ENV, "--env-arg", "colour=1"), "cannot be made with colour"),
        (("--env", ENV, "--agent", "absent.py:A"), "cannot read absent.py"),
        (("--env", ENV, "--agent", f"{PLUGINS / 'quitting.py'}:A"), "SystemExit: 3"),
        (("--env", ENV, "--agent", f"{PLUGINS / 'agents.py'}:Asking"), "needs --model"),
        (("--env", ENV, "--agent", f"{PLUGINS / 'agents.py'}:Context"), "cannot be made with"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    arguments: tuple[str, ...], line: str, tmp_path: Path
) -> None:
    agent = () if "--agent" in arguments else ("--agent", "expert")
    stderr = harness("run", *agent, *arguments, cwd=tmp_path, check=2).stderr
    assert line in stderr
    # What a module prints when it is imported is its own affair.
    assert len([text for text in stderr.splitlines() if text.startswith("error: ")]) == 1
    assert "Traceback" not in stderr


class Silent:
    """An agent that declares all a maker may declare."""

    name = "silent"
    wants_prompt = False

    def __init__(self, shots: int | None, model: Any = None, sampling: Any = "unset") -> None:
        self.given = (shots, model, sampling)

    def reply(self, context: Context) -> Reply:
        return Reply("")

    def describe(self) -> dict[str, Any]:
        return {"agent": self.name}


SILENT = Silent(None)
NOT_AN_AGENT = 5
HERE = f"{Path(__file__)}"


def test_a_maker_is_given_what_it_declares() -> None:
    maker = find_agent(f"{HERE}:Silent")
    assert maker.takes_model
    assert not maker.needs_model
    made: Any = maker.make({"model": "m", "shots": 2, "format": "f"})
    assert made.given == (2, "m", "unset")


def test_an_agent_that_is_made_already_is_taken_as_it_is() -> None:
    assert load_agent(f"{HERE}:SILENT").name == "silent"


@pytest.mark.parametrize("name", ["NOT_AN_AGENT", "harness"])
def test_what_is_no_agent_is_refused(name: str) -> None:
    with pytest.raises(HarnessError, match=r"expected an Agent|cannot be made"):
        load_agent(f"{HERE}:{name}")


def test_unknown_agents_are_answered_with_the_known() -> None:
    with pytest.raises(HarnessError, match="did you mean 'random'"):
        load_agent("randon")
