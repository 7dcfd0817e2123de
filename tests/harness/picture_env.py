"""An environment that shows pictures; used by path from the tests."""

from __future__ import annotations

from collections.abc import Sequence

from sad_envs import Beginning, Consequence, TextTaskEnv


class Pictures(TextTaskEnv):
    """Three steps, each with a picture of its number."""

    dynamics = "pictures-1"

    def __init__(self, split: str = "all", max_steps: int = 3) -> None:
        super().__init__(split=split, max_steps=max_steps)

    @property
    def task_ids(self) -> Sequence[str]:
        return ("a/b", "../up")

    def _begin(self, task_id: str) -> Beginning:
        return Beginning("Begin.", "goal", "type", ["go"], {"screenshot": b"0"})

    def _act(self, action: str) -> Consequence:
        # What an agent's own call brings back is no picture any more.
        return Consequence(
            "Seen.", admissible_actions=["go"], extra={"screenshot": b"%d" % (self._n_steps + 1)}
        )
