"""One request on its way through decoding: what was sampled, its text so far, whether it ends.

Text is decoded as the continuation of the prompt's last tokens, so that a blank which belongs to
the first sampled token is kept. The whole completion is decoded anew after every token when there
are stops to look for: tokens do not always decode alone as they do in a row, and beside the model
it costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jinja2
import torch

from harness.models.base import Completion, FinishReason, Request, cut_at_stop
from harness.models.sampling import draw, make_generator
from harness.trajectory import Usage

_TAIL = 8
"""Prompt tokens decoded before the completion."""

_UNFINISHED = "\ufffd"
"""What tokenizers decode the bytes of an unfinished character to."""


class Row:
    """The state of one request; a `harness.models.engine.Task`.

    Attributes:
        request: what was asked.
        prompt: prompt ids, not empty.
        sampled: ids drawn so far.
        finish: why it ended, None while it goes on.
        room: tokens it may have at most.
        session: the request's.
        cached: prompt tokens that were not computed.
    """

    def __init__(
        self,
        request: Request,
        prompt: list[int],
        room: int,
        tokenizer: Any,
        ends: frozenset[int],
    ) -> None:
        self.request = request
        self.prompt = prompt
        self.sampled: list[int] = []
        self.finish: FinishReason | None = None
        self.room = room
        self.session = request.session
        self.cached = 0
        self._generator = make_generator(request.seed)
        self._tokenizer = tokenizer
        self._ends = ends
        self._tail = prompt[-_TAIL:]
        self._tail_text = self._decode(self._tail)

    def following(self, budget: int) -> tuple[list[int], list[list[int]], list[int]]:
        """The token sampled last, or the prompt's last one; no branches."""
        return (self.sampled[-1:], [], [0]) if self.sampled else ([], [], [-1])

    def take(self, logits: torch.Tensor) -> None:
        """Draw the next token from logits [1, vocabulary]."""
        last = logits[-1].to("cpu", torch.float64)
        self.push(draw(last, self.request.sampling, self._generator))

    @property
    def done(self) -> bool:
        return self.finish is not None

    def push(self, token: int) -> None:
        """Take the next token, and set `finish` when it is the last."""
        self.sampled.append(token)
        request = self.request
        if token in self._ends:
            self.finish = "eos"
        elif (request.stop or request.stop_line is not None) and cut_at_stop(
            self._text(self.sampled), request.stop, request.stop_line
        )[1]:
            self.finish = "stop"
        elif len(self.sampled) >= self.room:
            self.finish = "length"

    def result(self) -> Completion:
        """The finished row as a `Completion`."""
        assert self.finish is not None
        text, ids = self._text(self.sampled), self.sampled
        if self.finish == "stop":
            text = cut_at_stop(text, self.request.stop, self.request.stop_line)[0]
            ids = self._covering(text)
        usage = Usage(
            model_calls=1,
            prompt_tokens=len(self.prompt),
            cached_tokens=self.cached,
            completion_tokens=len(self.sampled),
        )
        return Completion(text, self.finish, usage, tuple(ids))

    def _covering(self, text: str) -> list[int]:
        """The fewest sampled ids whose text reaches to the end of `text`."""
        count = len(self.sampled)
        while count and len(self._text(self.sampled[: count - 1])) >= len(text):
            count -= 1
        return self.sampled[:count]

    def _text(self, ids: Sequence[int]) -> str:
        spoken = [token for token in ids if token not in self._ends]
        joined = self._decode([*self._tail, *spoken])
        if joined.startswith(self._tail_text):
            text = joined[len(self._tail_text) :]
        else:
            text = self._decode(spoken)
        return text.rstrip(_UNFINISHED)

    def _decode(self, ids: Sequence[int]) -> str:
        return str(
            self._tokenizer.decode(
                list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )


def end_token_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Ids that end a completion.

    The end tokens of the model's generation configuration and of its configuration, the
    tokenizer's, and the special token that the chat template puts after an assistant's message.
    """
    found: set[int] = set()
    for holder in (model.generation_config, model.config.get_text_config(), tokenizer):
        value = getattr(holder, "eos_token_id", None)
        values = value if isinstance(value, list | tuple) else [value]
        found.update(one for one in values if isinstance(one, int))
    after = _end_of_turn(tokenizer)
    if after is not None:
        found.add(after)
    return frozenset(found)


def _end_of_turn(tokenizer: Any) -> int | None:
    """The first special token after an assistant's message in the chat template."""
    if not tokenizer.chat_template:
        return None
    said = "Ping42"
    messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": said}]
    try:
        text = str(tokenizer.apply_chat_template(messages, tokenize=False))
    except (jinja2.TemplateError, TypeError, ValueError):
        return None
    tail = text.rpartition(said)[2]
    ids = tokenizer(tail, add_special_tokens=False)["input_ids"]
    special = set(tokenizer.all_special_ids)
    return next((token for token in ids if token in special), None)
