"""One command plays every demonstrator of an environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import _mount, app
from harness.cli.demonstrate import demonstrate
from harness.errors import HarnessError
from harness.store import read_episodes

NO_EXPERT = Path(__file__).with_name("picture_env.py")


@pytest.fixture(scope="module", autouse=True)
def commands() -> None:
    _mount()


def test_expert_and_shortest_solutions_are_a_run_each(tmp_path: Path) -> None:
    arguments = ["demonstrate", "alfworld", "--split", "generated:0:2", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    steps = {}
    for agent in ("expert", "optimal"):
        episodes = list(read_episodes(tmp_path / agent))
        assert [episode.agent for episode in episodes] == [agent] * 2
        assert all(episode.success for episode in episodes)
        steps[agent] = {episode.task_id: episode.n_steps for episode in episodes}
    assert all(steps["optimal"][task] <= steps["expert"][task] for task in steps["expert"])


def test_an_environment_that_cannot_plan_has_its_expert_alone(tmp_path: Path) -> None:
    demonstrate("webshop", split="generated:0:1", out=tmp_path)
    assert [folder.name for folder in tmp_path.iterdir()] == ["expert"]


def test_an_environment_without_demonstrators_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="has no demonstrator; record an agent's episodes"):
        demonstrate(f"{NO_EXPERT}:Pictures", out=tmp_path)
