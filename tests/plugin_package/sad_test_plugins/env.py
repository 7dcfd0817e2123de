"""Count down to zero: an environment in a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from sad_envs import Beginning, Consequence, Policy, TextTaskEnv


class Countdown(TextTaskEnv):
    """Say one number after the other, down to 0.

    Args:
        split: `low` begins at 2 to 4, `high` at 5 to 7.
        max_steps: numbers per episode.
    """

    dynamics: ClassVar[str] = "countdown-1"

    def __init__(self, *, split: str = "low", max_steps: int | None = 12) -> None:
        self._tasks = [str(n) for n in ((2, 3, 4) if split == "low" else (5, 6, 7))]
        super().__init__(split=split, max_steps=max_steps, arguments={"split": split})

    @property
    def task_ids(self) -> Sequence[str]:
        return self._tasks

    def make_expert(self, seed: int) -> Policy:
        return lambda observation, info: (f"After {observation}", str(int(observation) - 1))

    def _begin(self, task_id: str) -> Beginning:
        self._at = int(task_id)
        return Beginning(task_id, "count down to 0", "countdown", self._next())

    def _act(self, action: str) -> Consequence:
        valid = action == str(self._at - 1)
        self._at -= valid
        done = self._at == 0
        return Consequence(
            observation=str(self._at),
            reward=float(done),
            terminated=done,
            success=True if done else None,
            score=float(done),
            valid_action=valid,
            admissible_actions=self._next(),
        )

    def _next(self) -> list[str]:
        return [str(self._at - 1)]
