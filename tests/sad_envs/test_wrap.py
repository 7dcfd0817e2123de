"""`WrappedEnv`: what it adds to a Gymnasium environment, and what it keeps from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium as gym
import pytest

from sad_envs import WrappedEnv


class Dice(gym.Env[int, int]):
    """Shows a die; naming its number wins, 0 draws again, -1 is broken off."""

    opened = 0

    def __init__(self) -> None:
        Dice.opened += 1
        self.closed = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        return self._roll(), {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        assert isinstance(action, int)
        won = action == self.shown
        if action == 0:
            self._roll()
        return self.shown, float(won), action > 0, action < 0, {}

    def close(self) -> None:
        self.closed = True

    def _roll(self) -> int:
        self.shown = int(self.np_random.integers(1, 7))
        return self.shown


class SayDice(WrappedEnv):
    dynamics = "dice-1"
    commands: ClassVar[dict[str, int]] = {str(n): n for n in range(1, 7)} | {"roll": 0, "stop": -1}
    goal = "say the number"

    @property
    def task_ids(self) -> Sequence[str]:
        return ("red", "blue")

    def open(self, task_id: str) -> gym.Env[int, int]:
        return Dice()

    def to_text(self, observation: Any, info: dict[str, Any]) -> str:
        return f"The die shows {observation}."


def shown(text: str) -> str:
    return text[-2]


def test_the_seed_decides_what_the_wrapped_environment_draws() -> None:
    env = SayDice()
    first = [env.reset(seed=seed, options={"task_id": "red"})[0] for seed in range(20)]
    again = [env.reset(seed=seed, options={"task_id": "red"})[0] for seed in range(20)]
    assert first == again
    assert len(set(first)) > 1


def test_winning_losing_and_being_broken_off() -> None:
    env = SayDice()
    text, info = env.reset(seed=1)
    assert info["admissible_actions"] == [*"123456", "roll", "stop"]
    _, reward, terminated, truncated, info = env.step(shown(text))
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert (info["success"], info["score"], info["goal"]) == (True, 1.0, "say the number")

    text, _ = env.reset(seed=1)
    _, _, terminated, _, info = env.step(str(int(shown(text)) % 6 + 1))
    assert (terminated, info["success"], info["score"]) == (True, False, 0.0)

    env.reset(seed=1)
    _, _, terminated, truncated, info = env.step("stop")
    assert (terminated, truncated, info["success"]) == (False, True, False)


@pytest.mark.parametrize("action", ["", "seven", "\ud800", "0"])
def test_a_text_that_is_no_action_does_not_reach_the_wrapped_environment(action: str) -> None:
    env = SayDice()
    env.reset(seed=1)
    said, reward, _, _, info = env.step(action)
    assert (said, reward) == ("Nothing happens.", 0.0)
    assert not info["valid_action"]
    assert info["success"] is None


def test_it_is_opened_once_per_task_and_closed() -> None:
    env = SayDice()
    Dice.opened = 0
    for task in ("red", "red", "blue"):
        env.reset(seed=0, options={"task_id": task})
    assert Dice.opened == 2
    inner = env.inner
    env.close()
    assert inner.closed
    assert env.inner is None


def test_the_opening_says_the_goal_once() -> None:
    assert SayDice().reset(seed=0)[0].startswith("say the number\n\nThe die shows ")
    assert SayDice().to_opening("Please say the number.", "say the number").startswith("Please")


def test_the_step_limit_of_the_task_holds() -> None:
    env = SayDice(max_steps=2)
    env.reset(seed=0)
    assert not env.step("roll")[3]
    assert env.step("roll")[3]
