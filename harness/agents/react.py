"""ReAct: render the transcript, ask a model, return what it said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.agents.base import Context, Reply
from harness.chat import messages
from harness.models.base import Message, Model, Request, Sampling
from harness.rendering import Format, encode, render_next
from harness.styles import Style


class ReactAgent:
    """Prompts `model` with the episode so far, in the turn style the prompt names."""

    name = "react"
    wants_prompt = True

    def __init__(self, model: Model, format: Format, sampling: Sampling, shots: int | None) -> None:
        self.model = model
        self.format = format
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
        shown = messages(context.prompt, context.turns, style, first_turn=rendered.first_turn)
        request = Request(
            text=rendered.text,
            ids=rendered.ids or None,
            messages=shown,
            sampling=self.sampling,
            stop=style.stop,
            stop_line=style.stop_line,
            seed=(context.seed + 7919 * len(context.turns)) % 2**63,
            session=context.session,
        )
        (completion,) = self.model.generate([request])
        text, usage, ids = completion.text, completion.usage, completion.ids
        again = style.continuation(text)
        if again is not None:
            begun, stop = again
            (completion,) = self.model.generate([self._continued(request, begun, stop, style)])
            text, ids = f"{begun} {completion.text.strip()}", None
            usage += completion.usage
        return Reply(
            text=text,
            finish_reason=completion.finish_reason,
            usage=usage,
            ids=ids,
            format={**self.format.model_dump(), "digest": self.format.digest},
            exact_text=self.model.tokenizer is not None,
        )

    def _continued(
        self, request: Request, begun: str, stop: tuple[str, ...], style: Style
    ) -> Request:
        """The request for the rest of a turn that begins with `begun`."""
        gap = style.gap if self.format.template == "plain" else ""
        text = request.text + gap + begun
        ids, _ = encode(text, self.model.tokenizer, add_bos=self.format.template == "plain")
        return replace(
            request,
            text=text,
            ids=tuple(ids) or None,
            messages=(*request.messages, Message("assistant", begun)),
            stop=stop,
            stop_line=None,
        )

    def describe(self) -> dict[str, Any]:
        return {
            "agent": self.name,
            "format": self.format.model_dump(),
            "sampling": vars(self.sampling),
            "shots": self.shots,
        }
