"""The environment's own demonstrator, speaking in the run's turn style."""

from __future__ import annotations

from typing import Any

from harness.agents.base import Context, Reply


class ExpertAgent:
    """Asks the environment's expert for a thought and an action.

    Where a thought is a turn of its own (`react-original`), the thought is said first and the
    action is taken at the next turn.
    """

    name = "expert"
    wants_prompt = False

    def reply(self, context: Context) -> Reply:
        pending: str | None = context.memory.pop("action", None)
        if pending is not None:
            return Reply(context.style.compose("", pending))
        thought, action = context.expert(context.observation, context.info)
        if context.style.one_line and thought:
            context.memory["action"] = action
            return Reply(context.style.compose(thought, ""))
        return Reply(context.style.compose(thought, action))

    def describe(self) -> dict[str, Any]:
        return {"agent": self.name}
