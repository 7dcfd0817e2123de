"""The reference backend: what it asks for, and which games it loads."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from small_game import WALKTHROUGH, small_game, write_split

from sad_envs.alfworld.env import ALFWorldEnv
from sad_envs.alfworld.game import GameError
from sad_envs.alfworld.textworld_backend import TextWorldBackend, is_released
from sad_envs.base import EnvError

TASK = "pick_and_place_simple-Cup-None-Chest-1/trial_T1"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_split(tmp_path, "valid_unseen", (TASK,))
    return tmp_path


def test_without_the_package_the_command_to_install_it_is_named(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "alfworld" else find(name)
    )
    with pytest.raises(EnvError, match=r"pip install 'structured-agent-distillation\[textworld\]'"):
        ALFWorldEnv(split="valid_unseen", data_dir=data, backend="textworld")


def test_our_small_game_is_not_of_the_release() -> None:
    assert not is_released(small_game())


@pytest.mark.textworld
def test_a_game_that_is_not_of_the_release_is_refused(data: Path) -> None:
    env = ALFWorldEnv(split="valid_unseen", data_dir=data, backend="textworld")
    with pytest.raises(GameError, match="not in the verified release") as caught:
        env.reset()
    assert "trust_data=True" in str(caught.value)


@pytest.mark.textworld
def test_a_trusted_game_is_played(data: Path) -> None:
    env = ALFWorldEnv(split="valid_unseen", data_dir=data, backend="textworld", trust_data=True)
    native = ALFWorldEnv(split="valid_unseen", data_dir=data)
    assert env.env_version == native.env_version
    assert env.reset(seed=0) == native.reset(seed=0)
    assert [env.step(c) for c in WALKTHROUGH] == [native.step(c) for c in WALKTHROUGH]


@pytest.mark.textworld
def test_games_are_played_one_after_the_other() -> None:
    backend = TextWorldBackend(trusted=True)
    first = small_game()
    second = replace(first, grammar=first.grammar.replace("put a cup in chest", "fill the chest"))
    for game, goal in ((first, "put a cup in chest."), (second, "fill the chest.")):
        backend.load(game).reset()
        assert backend.goal == goal
        assert [backend.step(c)[1] for c in WALKTHROUGH] == [False] * 4 + [True]


@pytest.mark.textworld
def test_the_command_line_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["harness", "run"]
    monkeypatch.setattr(sys, "argv", arguments)
    TextWorldBackend(trusted=True).load(small_game()).reset()
    assert sys.argv is arguments
    assert arguments == ["harness", "run"]
