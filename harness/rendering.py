"""The one function from (prompt, turns, tokenizer, format) to text, ids and spans.

Inference and training both call `render`, so a model is trained on exactly what it will be fed.
What it promises, and tests check:

- spans partition the text: they are adjacent, in order, and cover it from end to end;
- a token belongs to the span of its first character;
- the text is canonical (it depends on the spans alone, not on how they were sampled), and the ids
  are those of the whole text;
- what the model generated, its markers and the end of its turn included, is in `reason` or `act`;
  what the harness inserts joins the preceding `prompt` or `observation`; a chat template's own
  markup is `template`;
- the prompt of turn k is a prefix of the prompt of every later turn, unless history was dropped.

It refuses tokenizers without offsets and chat templates that rewrite the messages.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from harness.chat import ChatPiece, chat_pieces
from harness.encoding import encode
from harness.errors import ContextOverflow, HarnessError
from harness.styles import Style, get_style
from harness.trajectory import Episode, Prompt, Turn

RenderKind = Literal["prompt", "reason", "act", "observation", "template"]


class Format(BaseModel):
    """How a transcript becomes text, and how much of it a model is shown.

    Attributes:
        template: `plain` text, or the tokenizer's `chat` template.
        template_digest: first 12 hex digits of the SHA-256 of the chat template, or empty.
        max_length: positions for prompt and completion together; None for no limit.
        reserve: tokens kept free for the completion.
        history: `full`, or `last-k-turns`. The latter shows at most `last_k` earlier turns; the
            oldest are dropped half a window at a time, so that consecutive turns share a prefix.
    """

    model_config = ConfigDict(frozen=True)

    template: Literal["plain", "chat"] = "plain"
    template_digest: str = ""
    max_length: int | None = None
    reserve: int = 200
    history: Literal["full", "last-k-turns"] = "full"
    last_k: int | None = None

    @property
    def digest(self) -> str:
        """First 12 hex digits of the SHA-256 of the settings."""
        settings = json.dumps(self.model_dump(), sort_keys=True)
        return hashlib.sha256(settings.encode()).hexdigest()[:12]


class RenderedSpan(NamedTuple):
    """Characters `start` to `end` of the text; `turn` is the turn's index, -1 before the first."""

    kind: RenderKind
    start: int
    end: int
    turn: int


@dataclass(frozen=True)
class Rendered:
    """One rendered transcript.

    Attributes:
        text: the whole string.
        spans: a partition of `text`.
        ids: token ids, empty without a tokenizer.
        starts: for each token, the position of its first character in `text`.
        first_turn: index of the first turn shown; more than 0 when history was dropped.
    """

    text: str
    spans: tuple[RenderedSpan, ...]
    ids: tuple[int, ...]
    starts: tuple[int, ...]
    first_turn: int

    @cached_property
    def token_spans(self) -> tuple[int, ...]:
        """For each token, the index in `spans` of the span it belongs to."""
        ends = [span.end for span in self.spans]
        return tuple(bisect_right(ends, start) for start in self.starts)

    def kinds(self) -> list[RenderKind]:
        """The span kind of every token."""
        return [self.spans[index].kind for index in self.token_spans]


def make_format(
    tokenizer: Any | None,
    *,
    template: Literal["auto", "plain", "chat"] = "auto",
    max_length: int | None = None,
    reserve: int = 200,
    history: Literal["full", "last-k-turns"] = "full",
    last_k: int | None = None,
) -> Format:
    """The format for a tokenizer: its chat template when it has one, else plain text."""
    source = getattr(tokenizer, "chat_template", None) if tokenizer is not None else None
    if template == "chat" and tokenizer is not None and not source:
        raise HarnessError("the tokenizer has no chat template; use the format plain")
    if template == "auto":
        template = "chat" if source or tokenizer is None else "plain"
    digest = ""
    if template == "chat" and source:
        digest = hashlib.sha256(str(source).encode()).hexdigest()[:12]
    return Format(
        template=template,
        template_digest=digest,
        max_length=max_length,
        reserve=reserve,
        history=history,
        last_k=last_k if history == "last-k-turns" else None,
    )


def render(
    prompt: Prompt,
    turns: Sequence[Turn],
    tokenizer: Any | None,
    fmt: Format,
    *,
    open_turn: bool = False,
    first_turn: int = 0,
    known: Rendered | None = None,
) -> Rendered:
    """Render turns `first_turn` onwards after the prompt.

    With `open_turn` the text ends where the model is to write the next turn; without it, after
    the last turn's observation (or after its end when it has none). `known` saves time (`encode`).
    """
    pieces = _pieces(prompt, turns, tokenizer, fmt, open_turn, first_turn)
    spans: list[RenderedSpan] = []
    start = position = 0
    shown: tuple[RenderKind, int] | None = None
    for kind, piece, turn in pieces:
        if not piece:
            continue
        if (kind, turn) != shown:
            if shown is not None:
                spans.append(RenderedSpan(shown[0], start, position, shown[1]))
            shown, start = (kind, turn), position
        position += len(piece)
    if shown is not None:
        spans.append(RenderedSpan(shown[0], start, position, shown[1]))
    text = "".join([piece.text for piece in pieces])
    ids, starts = encode(text, tokenizer, add_bos=fmt.template == "plain", known=known)
    return Rendered(
        text=text,
        spans=tuple(spans),
        ids=tuple(ids),
        starts=tuple(starts),
        first_turn=first_turn,
    )


def render_next(
    prompt: Prompt,
    turns: Sequence[Turn],
    tokenizer: Any | None,
    fmt: Format,
    *,
    not_before: int = 0,
    known: Rendered | None = None,
) -> Rendered:
    """Render the prompt of the next turn under the format's history policy.

    `not_before` is the `first_turn` of the previous turn's prompt: history once dropped stays
    dropped. `known`, that prompt itself, saves time (`encode`). Raises `ContextOverflow` when the
    policy leaves nothing more to drop.
    """
    first = max(not_before, window_start(len(turns), fmt))
    while True:
        rendered = render(
            prompt, turns, tokenizer, fmt, open_turn=True, first_turn=first, known=known
        )
        if fmt.max_length is None or len(rendered.ids) + fmt.reserve <= fmt.max_length:
            return rendered
        if fmt.history == "full" or first >= len(turns):
            raise ContextOverflow(
                f"the prompt of turn {len(turns) + 1} has {len(rendered.ids)} tokens; with "
                f"{fmt.reserve} for the completion that is over the {fmt.max_length} of the model"
            )
        first = min(len(turns), first + _stride(fmt))


def window_start(n_turns: int, fmt: Format) -> int:
    """First turn shown when `n_turns` lie behind, before any check of length."""
    if fmt.history == "full" or fmt.last_k is None or n_turns <= fmt.last_k:
        return 0
    over, stride = n_turns - fmt.last_k, _stride(fmt)
    return -(-over // stride) * stride


@dataclass(frozen=True)
class Window:
    """One sequence of an episode, and the turns it is to show a model.

    Attributes:
        sequence: the transcript from the turn history was cut to, up to the last of `turns`.
        turns: indices of the turns that this window shows and no other does.
        prompts: for each of `turns`, the prompt that inference made for it.
    """

    sequence: Rendered
    turns: tuple[int, ...]
    prompts: tuple[Rendered, ...]


def windows(episode: Episode, tokenizer: Any, fmt: Format) -> list[Window]:
    """The sequences that show a model every turn of an episode, each turn in exactly one.

    A sequence starts at the turn history was cut to at inference, and runs until the next cut;
    its turns before that belong to an earlier window. Turns that inference could not have shown
    (context overflow) are left out.
    """
    prompts: list[Rendered] = []
    first, opened = 0, None
    for index in range(len(episode.turns)):
        try:
            opened = render_next(
                episode.prompt,
                episode.turns[:index],
                tokenizer,
                fmt,
                not_before=first,
                known=opened,
            )
        except ContextOverflow:
            break
        first = opened.first_turn
        prompts.append(opened)
    found = []
    for start in sorted({opened.first_turn for opened in prompts}):
        turns = tuple(i for i, opened in enumerate(prompts) if opened.first_turn == start)
        shown = episode.turns[: turns[-1] + 1]
        sequence = render(episode.prompt, shown, tokenizer, fmt, first_turn=start)
        found.append(Window(sequence, turns, tuple(prompts[i] for i in turns)))
    return found


def _stride(fmt: Format) -> int:
    return max(1, (fmt.last_k or 2) // 2)


def _pieces(
    prompt: Prompt,
    turns: Sequence[Turn],
    tokenizer: Any | None,
    fmt: Format,
    open_turn: bool,
    first_turn: int,
) -> list[ChatPiece]:
    style = get_style(prompt.style)
    if fmt.template == "chat":
        return chat_pieces(prompt, turns, style, tokenizer, open_turn, first_turn=first_turn)
    return _plain_pieces(prompt, turns, style, open_turn, first_turn)


def _plain_pieces(
    prompt: Prompt, turns: Sequence[Turn], style: Style, open_turn: bool, first_turn: int
) -> list[ChatPiece]:
    parts = [prompt.instruction.strip()] if prompt.instruction.strip() else []
    for example in prompt.examples:
        lines = [example.task.strip()]
        for number, shown in enumerate(example.turns):
            at = style.at(number)
            lines.append(at.lead + at.gap + at.compose(shown.thought, shown.action))
            lines.append(at.observation_mark + shown.observation.strip())
        parts.append("\n".join(lines))
    mark = style.task_mark if prompt.examples else ""
    parts.append(mark + prompt.task.strip())
    pieces = [ChatPiece("prompt", "\n\n".join(parts) + "\n", -1)]
    for index, turn in enumerate(turns[first_turn:], first_turn):
        at = style.at(index)
        pieces.append(ChatPiece(pieces[-1].kind, at.lead, pieces[-1].turn))
        reason, act = turn.text("reason"), turn.text("act")
        kind: RenderKind = "act" if act else "reason"
        if reason:
            pieces.append(ChatPiece("reason", at.gap + reason, index))
        pieces.append(ChatPiece("act", ("" if reason else at.gap) + act if act else "", index))
        pieces.append(ChatPiece(kind, "\n", index))
        if any(span.kind == "observation" for span in turn.spans):
            observed = at.observation_mark + turn.observation.strip() + "\n"
            pieces.append(ChatPiece("observation", observed, index))
    if open_turn:
        lead = style.at(len(turns)).lead
        pieces.append(ChatPiece(pieces[-1].kind, lead, pieces[-1].turn))
    return pieces
