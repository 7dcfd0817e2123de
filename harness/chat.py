"""Transcripts as chat messages, and a chat template's text cut into pieces of known kind.

The template is rendered once with place-holders instead of contents; what stands between the
place-holders is its markup. The pieces are then proved: joined, they equal what the template makes
of the real messages, else the template rewrites contents and is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakKeyDictionary

from harness.errors import HarnessError
from harness.models.base import Message
from harness.styles import Style
from harness.trajectory import Prompt, Turn

Kind = Literal["prompt", "reason", "act", "observation", "template"]


@dataclass(frozen=True)
class ChatPiece:
    """A stretch of rendered text; `turn` is -1 before the first turn."""

    kind: Kind
    text: str
    turn: int


@dataclass(frozen=True)
class _Entry:
    """A message as the pieces its content consists of."""

    role: str
    pieces: tuple[ChatPiece, ...]

    @property
    def content(self) -> str:
        return "".join(piece.text for piece in self.pieces)


def messages(
    prompt: Prompt, turns: Sequence[Turn], style: Style, *, first_turn: int = 0
) -> tuple[Message, ...]:
    """The transcript as chat messages: instruction, examples, task, then a pair per turn.

    Turns before `first_turn` are left out.
    """
    entries = _entries(prompt, turns, style, first_turn)
    return tuple(Message(entry.role, entry.content) for entry in entries)


def _entries(prompt: Prompt, turns: Sequence[Turn], style: Style, first_turn: int) -> list[_Entry]:
    entries: list[_Entry] = []
    if prompt.instruction.strip():
        entries.append(_Entry("system", (ChatPiece("prompt", prompt.instruction.strip(), -1),)))
    carried = ""
    for example in prompt.examples:
        said = carried + example.task.strip()
        for number, shown in enumerate(example.turns):
            at = style.at(number)
            written = at.compose(shown.thought, shown.action)
            entries.append(_Entry("user", (ChatPiece("prompt", said, -1),)))
            entries.append(_Entry("assistant", (ChatPiece("prompt", written, -1),)))
            said = at.observation_mark + shown.observation.strip()
        carried = said + "\n\n"
    mark = style.task_mark if prompt.examples else ""
    task = carried + mark + prompt.task.strip()
    entries.append(_Entry("user", (ChatPiece("prompt", task, -1),)))
    for index, turn in enumerate(turns[first_turn:], first_turn):
        generated = [ChatPiece("reason", turn.text("reason"), index)]
        if turn.text("act"):
            generated.append(ChatPiece("act", turn.text("act"), index))
        entries.append(_Entry("assistant", tuple(generated)))
        if any(span.kind == "observation" for span in turn.spans):
            observed = style.at(index).observation_mark + turn.observation.strip()
            entries.append(_Entry("user", (ChatPiece("observation", observed, index),)))
    return entries


def chat_pieces(
    prompt: Prompt,
    turns: Sequence[Turn],
    style: Style,
    tokenizer: Any | None,
    open_turn: bool,
    *,
    first_turn: int = 0,
) -> list[ChatPiece]:
    """The rendered chat as pieces; without a tokenizer, the contents alone, a line each."""
    entries = _entries(prompt, turns, style, first_turn)
    if tokenizer is None:
        pieces: list[ChatPiece] = []
        for entry in entries:
            pieces.extend(entry.pieces)
            pieces.append(
                ChatPiece("template", "\n", entry.pieces[-1].turn if entry.pieces else -1)
            )
        return pieces
    try:
        return _templated(entries, tokenizer, open_turn)
    except _NoSystemRole:
        return _templated(_without_system(entries), tokenizer, open_turn)


class _NoSystemRole(Exception):
    """The template refuses a system message."""


def _without_system(entries: list[_Entry]) -> list[_Entry]:
    system, first = entries[0], entries[1]
    joined = (*system.pieces, ChatPiece("prompt", "\n\n", -1), *first.pieces)
    return [_Entry("user", joined), *entries[2:]]


def _templated(entries: list[_Entry], tokenizer: Any, open_turn: bool) -> list[ChatPiece]:
    roles = [entry.role for entry in entries]
    text = _apply(tokenizer, roles, [entry.content for entry in entries], open_turn)
    for markup in _markups(tokenizer, roles, open_turn):
        pieces: list[ChatPiece] = []
        ends = {each: _turn_end(each, tokenizer) for each in set(markup)}
        for index, entry in enumerate(entries):
            _add_markup(pieces, markup[index], entries, index, ends)
            pieces.extend(entry.pieces)
        _add_markup(pieces, markup[-1], entries, len(entries), ends)
        if "".join(piece.text for piece in pieces) == text:
            return pieces
    raise HarnessError(
        "the chat template rewrites the messages, so spans cannot be placed in its text; "
        "use --format plain"
    )


def _markups(tokenizer: Any, roles: list[str], open_turn: bool) -> Iterator[tuple[str, ...]]:
    """What the template writes before each message and after the last.

    First as it was for the same roles before, if it was asked; then, should that no longer be so
    (a template may know the date), as it is now.
    """
    key = (str(tokenizer.chat_template), tuple(roles), open_turn)
    try:
        known = _known_markup.setdefault(tokenizer, {})
    except TypeError:
        known = {}
    if key in known:
        yield known[key]
    holders = [f"\ue000{index}\ue001" for index in range(len(roles))]
    skeleton = _apply(tokenizer, roles, holders, open_turn)
    markup, position = [], 0
    for holder in holders:
        at = skeleton.find(holder, position)
        if at < 0:
            raise HarnessError("the chat template leaves out messages; use --format plain")
        markup.append(skeleton[position:at])
        position = at + len(holder)
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known[key] = (*markup, skeleton[position:])
    yield known[key]


_MOST_KNOWN = 512
_known_markup: WeakKeyDictionary[Any, dict[tuple[str, tuple[str, ...], bool], tuple[str, ...]]] = (
    WeakKeyDictionary()
)


def _add_markup(
    pieces: list[ChatPiece],
    markup: str,
    entries: list[_Entry],
    index: int,
    ends: dict[str, int],
) -> None:
    """Append what stands before message `index`; the end of a turn belongs to the turn."""
    before = entries[index - 1] if index else None
    turn = pieces[-1].turn if pieces else -1
    if before is not None and before.role == "assistant" and turn >= 0:
        end = ends[markup]
        pieces.append(ChatPiece(pieces[-1].kind, markup[:end], turn))
        markup = markup[end:]
    pieces.append(ChatPiece("template", markup, turn))


def _turn_end(markup: str, tokenizer: Any) -> int:
    """Length of the end-of-turn token `markup` starts with; of its first line without one."""
    blank = len(markup) - len(markup.lstrip())
    specials = [token.content for token in tokenizer.added_tokens_decoder.values()]
    found = [token for token in specials if token and markup.startswith(token, blank)]
    if found:
        return blank + max(map(len, found))
    newline = markup.find("\n")
    return newline + 1 if newline >= 0 else len(markup)


def _apply(tokenizer: Any, roles: list[str], contents: list[str], open_turn: bool) -> str:
    import jinja2

    chat = [{"role": r, "content": c} for r, c in zip(roles, contents, strict=True)]
    try:
        return str(
            tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=open_turn)
        )
    except jinja2.TemplateError as error:
        if roles[0] == "system":
            raise _NoSystemRole from error
        raise HarnessError(
            f"the chat template refuses the transcript ({error}); use --format plain"
        ) from error
