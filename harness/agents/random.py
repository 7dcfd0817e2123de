"""Uniform over the admissible actions: the floor every table shows."""

from __future__ import annotations

import random
from typing import Any

from harness.agents.base import Context, Reply
from harness.errors import HarnessError


class RandomAgent:
    """Draws an admissible action with the episode's seed."""

    name = "random"
    wants_prompt = False

    def reply(self, context: Context) -> Reply:
        admissible = context.info.get("admissible_actions")
        if admissible is None:
            raise HarnessError(
                "the agent 'random' needs an environment that lists admissible actions; "
                "this one gives none"
            )
        if not admissible:
            raise ValueError("there is no admissible action to draw from")
        draw = context.memory.setdefault("draw", random.Random(context.seed))
        return Reply(context.style.compose("", draw.choice(admissible)))

    def describe(self) -> dict[str, Any]:
        return {"agent": self.name}
