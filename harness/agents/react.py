"""ReAct: render the transcript, ask a model, return what it said."""

from __future__ import annotations

from typing import Any

from harness.agents.base import Context, Reply
from harness.chat import messages
from harness.models.base import Model, Request, Sampling
from harness.rendering import Format, render_next


class ReactAgent:
    """Prompts `model` with the episode so far, in the turn style the prompt names."""

    name = "react"
    wants_prompt = True

    def __init__(self, model: Model, fmt: Format, sampling: Sampling, shots: int | None) -> None:
        self.model = model
        self.format = fmt
        self.sampling = sampling
        self.shots = shots

    def reply(self, context: Context) -> Reply:
        style = context.style
        rendered = render_next(
            context.prompt,
            context.turns,
            self.model.tokenizer,
            self.format,
            not_before=context.memory.get("first_turn", 0),
        )
        context.memory["first_turn"] = rendered.first_turn
        shown = context.turns[rendered.first_turn :]
        request = Request(
            text=rendered.text,
            ids=rendered.ids or None,
            messages=messages(context.prompt, shown, style),
            sampling=self.sampling,
            stop=style.stop,
            stop_line=style.stop_line,
            seed=(context.seed + 7919 * len(context.turns)) % 2**63,
            session=context.session,
        )
        (completion,) = self.model.generate([request])
        return Reply(
            text=completion.text,
            finish_reason=completion.finish_reason,
            usage=completion.usage,
            ids=completion.ids,
            format={**self.format.model_dump(), "digest": self.format.digest},
            exact_text=self.model.tokenizer is not None,
        )

    def describe(self) -> dict[str, Any]:
        return {
            "agent": self.name,
            "format": self.format.model_dump(),
            "sampling": vars(self.sampling),
            "shots": self.shots,
        }
