"""An agent without a model, and one that asks a model."""

from __future__ import annotations

from typing import Any

from harness.agents import Context, Reply
from harness.models import Model, Request


class Patient:
    """Takes the first admissible action and says so."""

    name = "patient"
    wants_prompt = False

    def reply(self, context: Context) -> Reply:
        action = context.info["admissible_actions"][0]
        return Reply(context.style.compose("The first will do.", action))

    def describe(self) -> dict[str, Any]:
        return {"agent": self.name}


class Asking:
    """Asks its model what to do, showing it the latest observation alone."""

    name = "asking"
    wants_prompt = False

    def __init__(self, model: Model) -> None:
        self.model = model

    def reply(self, context: Context) -> Reply:
        request = Request(context.observation, session=context.session)
        (completion,) = self.model.generate([request])
        return Reply(completion.text, completion.finish_reason, completion.usage)

    def describe(self) -> dict[str, Any]:
        return {"agent": self.name}
