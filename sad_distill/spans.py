"""From an episode to the token sequences a student is trained on, and which of their tokens count.

What it promises, and tests check:

- a sequence is what `harness.rendering` feeds a model at inference, token for token, under the same
  history policy; the prompt of every supervised turn is a prefix of the sequence that shows it;
- every turn is supervised in exactly one sequence, its end (newline or end-of-turn token) included;
- a token belongs to the span of its first character;
- a turn is supervised whole or not at all: none keeps its thought and loses its action;
- prompt and observation are in no span, unless a scheme names observations.

Where a tokenizer merges across the border of prompt and turn, so that the prompt is not a prefix of
the whole, the turn gets a sequence of its own: the ids of the prompt, then those of the turn.

Left out, and counted: turns in which no action was found, turns that do not fit in the context, and
turns whose text the tokenizer cannot continue a prompt with.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError
from harness.rendering import Format, Rendered, RenderKind, Window, render, windows
from harness.trajectory import Episode, Turn

SpanTokenKind = Literal["reason", "act", "observation", "template"]
"""Kinds a span may be made of; `template` is a chat template's own markup after the prompt."""

NO_SPAN = -1
"""Label of a token that is in no span."""

Labels = npt.NDArray[np.int16]
Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class SpanScheme:
    """Which tokens are supervised, and as which spans.

    Attributes:
        groups: name of each span and the kinds of token in it, in the order of the span numbers.
        random_seed: when set, the two spans keep their sizes in every turn but not their places:
            the second is a random stretch of the turn's generated tokens.
    """

    groups: tuple[tuple[str, frozenset[SpanTokenKind]], ...]
    random_seed: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the spans; a span's number is its place."""
        return tuple(name for name, _ in self.groups)

    def number(self, kind: RenderKind) -> int:
        """Number of the span that tokens of `kind` are in, `NO_SPAN` for none."""
        for index, (_, kinds) in enumerate(self.groups):
            if kind in kinds:
                return index
        return NO_SPAN


def _scheme(**groups: str) -> SpanScheme:
    return make_scheme({name: kinds.split() for name, kinds in groups.items()})


def make_scheme(
    spans: str | Mapping[str, Iterable[str]], *, random_seed: int | None = None
) -> SpanScheme:
    """The scheme of a preset's name (see `PRESETS`), or of span names and the kinds in each.

    Raises:
        HarnessError: an unknown preset or kind, a kind in two spans, or no span at all.
    """
    if isinstance(spans, str):
        if spans not in PRESETS:
            from sad_envs.base import did_you_mean

            raise HarnessError(
                f"spans is {spans!r}; expected one of {', '.join(PRESETS)}, or a table of names "
                f"and kinds{did_you_mean(spans, PRESETS)}"
            )
        if spans == "random":
            return SpanScheme(PRESETS["random"].groups, random_seed or 0)
        return PRESETS[spans]
    groups = []
    taken: dict[str, str] = {}
    for name, kinds in spans.items():
        chosen = frozenset(kinds)
        for kind in sorted(chosen):
            if kind not in get_args(SpanTokenKind):
                known = ", ".join(get_args(SpanTokenKind))
                raise HarnessError(f"span {name!r} has kind {kind!r}; expected {known}")
            if kind in taken:
                raise HarnessError(f"kind {kind!r} is in spans {taken[kind]!r} and {name!r}")
            taken[kind] = name
        groups.append((name, chosen))
    if not groups or not all(kinds for _, kinds in groups):
        raise HarnessError("spans name no kinds; expected at least one span with one kind")
    return SpanScheme(tuple(groups))  # type: ignore[arg-type]


PRESETS: dict[str, SpanScheme] = {
    "reason-act": _scheme(reason="reason", act="act"),
    "generated": _scheme(generated="reason act"),
    "all": _scheme(all="reason act observation template"),
    "reason": _scheme(reason="reason"),
    "act": _scheme(act="act"),
    "random": SpanScheme(
        (("random-reason", frozenset({"reason"})), ("random-act", frozenset({"act"}))), 0
    ),
}
"""Schemes by name.

`reason-act`: the two spans of the method; `generated`: both as one; `all`: every token after the
prompt, observations included, as one; `reason`, `act`: one of them, the other is not trained on;
`random`: two spans of the sizes of reason and act at random places of the turn.
"""


@dataclass(frozen=True, eq=False)
class Example:
    """One sequence to train on.

    Attributes:
        ids: [tokens] token ids, from the start of the window to the last supervised token.
        labels: [tokens] number of the span a token is supervised as, or `NO_SPAN`. The first
            token is never supervised, for nothing predicts it.
        key: key of the episode: (env id, task id, repeat).
        turns: indices of the supervised turns.
        weight: factor of its rows in the loss.
        reason_tokens, act_tokens: generated tokens of the supervised turns, by kind, whatever the
            scheme makes of them.
        trajectory: number of the episode in its data set; windows of one episode share it.
    """

    ids: Ids
    labels: Labels
    key: tuple[str, str, int]
    turns: tuple[int, ...]
    weight: float = 1.0
    reason_tokens: int = 0
    act_tokens: int = 0
    trajectory: int = 0

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """[rows] positions of the supervised tokens; the hidden state before each predicts it."""
        return np.flatnonzero(self.labels != NO_SPAN)

    @property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of ids and labels."""
        data = self.ids.astype("<i4").tobytes() + self.labels.astype("<i2").tobytes()
        return hashlib.sha256(data).hexdigest()[:16]


@dataclass
class SpanStatistics:
    """Counts over episodes.

    Attributes:
        tokens: supervised tokens of each span, by name; `unsupervised` for the rest.
        straddling: supervised tokens that reach into the next span.
        turns, turns_supervised: of all episodes.
        turns_without_action, turns_too_long, turns_unaligned: left out, and why.
        windows: sequences made; more than one per episode when history was dropped.
        lengths: tokens of every sequence.
    """

    episodes: int = 0
    windows: int = 0
    turns: int = 0
    turns_supervised: int = 0
    turns_without_action: int = 0
    turns_too_long: int = 0
    turns_unaligned: int = 0
    own_sequences: int = 0
    straddling: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)

    @property
    def share_that_fits(self) -> float:
        """Share of turns that the context holds."""
        return 1 - self.turns_too_long / self.turns if self.turns else 1.0


def make_examples(
    episode: Episode,
    tokenizer: Any,
    fmt: Format,
    scheme: SpanScheme,
    *,
    weight: float = 1.0,
    statistics: SpanStatistics | None = None,
) -> list[Example]:
    """The sequences of one episode; none when no turn of it can be supervised.

    Raises:
        HarnessError: the tokenizer or its chat template cannot be used, see `harness.rendering`.
    """
    counts = statistics if statistics is not None else SpanStatistics()
    counts.episodes += 1
    counts.turns += len(episode.turns)
    found: list[Example] = []
    shown = 0
    for window in windows(episode, tokenizer, fmt):
        shown += len(window.turns)
        found += _window_examples(episode, window, tokenizer, fmt, scheme, weight, counts)
    counts.turns_too_long += len(episode.turns) - shown
    counts.windows += len(found)
    for example in found:
        counts.turns_supervised += len(example.turns)
        counts.lengths.append(len(example.ids))
        numbers = np.bincount(example.labels + 1, minlength=len(scheme.names) + 1)
        for name, number in zip(("unsupervised", *scheme.names), numbers, strict=True):
            counts.tokens[name] = counts.tokens.get(name, 0) + int(number)
    return found


def _window_examples(
    episode: Episode,
    window: Window,
    tokenizer: Any,
    fmt: Format,
    scheme: SpanScheme,
    weight: float,
    counts: SpanStatistics,
) -> list[Example]:
    sequence = window.sequence
    ends = _turn_ends(sequence)
    kept: list[int] = []
    own: list[Example] = []
    for turn, prompt in zip(window.turns, window.prompts, strict=True):
        if not _has_action(episode.turns[turn]):
            counts.turns_without_action += 1
            continue
        if sequence.ids[: len(prompt.ids)] != prompt.ids:
            example = _own_sequence(episode, turn, prompt, tokenizer, fmt, scheme, weight, counts)
            own += [example] if example is not None else []
        elif fmt.max_length is not None and ends[turn] > fmt.max_length:
            counts.turns_too_long += 1
        else:
            kept.append(turn)
    found = []
    if kept:
        labels = _labels(sequence, set(kept), scheme, episode)
        found = _example(episode, sequence.ids, labels, tuple(kept), weight)
        counts.straddling += _straddling(sequence, labels, tokenizer) if found else 0
    return [*found, *own]


def _own_sequence(
    episode: Episode,
    turn: int,
    prompt: Rendered,
    tokenizer: Any,
    fmt: Format,
    scheme: SpanScheme,
    weight: float,
    counts: SpanStatistics,
) -> Example | None:
    """A sequence for one turn whose prompt is no prefix: the prompt's ids, then the turn's."""
    alone = render(
        episode.prompt, episode.turns[: turn + 1], tokenizer, fmt, first_turn=prompt.first_turn
    )
    spans = [span for span in alone.spans if span.turn == turn]
    pieces = [s for s in spans if s.kind in ("reason", "act")]
    text = alone.text[pieces[0].start : pieces[-1].end]
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids = (*prompt.ids, *encoded["input_ids"])
    if tokenizer.decode(encoded["input_ids"], clean_up_tokenization_spaces=False) != text:
        counts.turns_unaligned += 1
        return None
    if fmt.max_length is not None and len(ids) > fmt.max_length:
        counts.turns_too_long += 1
        return None
    labels = np.full(len(ids), NO_SPAN, dtype=np.int16)
    for position, (start, _) in enumerate(encoded["offset_mapping"], len(prompt.ids)):
        at = pieces[0].start + start
        kind = next(piece.kind for piece in pieces if at < piece.end)
        labels[position] = scheme.number(kind)
    if scheme.random_seed is not None:
        _shuffle(labels, episode, turn, scheme.random_seed)
    counts.own_sequences += 1
    found = _example(episode, ids, labels, (turn,), weight)
    return found[0] if found else None


def _example(
    episode: Episode, ids: tuple[int, ...], labels: Labels, turns: tuple[int, ...], weight: float
) -> list[Example]:
    labels[:1] = NO_SPAN
    rows = np.flatnonzero(labels != NO_SPAN)
    if not len(rows):
        return []
    # Nothing after the last supervised token can matter to it.
    end = int(rows[-1]) + 1
    return [Example(np.array(ids[:end], dtype=np.int32), labels[:end], episode.key, turns, weight)]


def _labels(sequence: Rendered, turns: set[int], scheme: SpanScheme, episode: Episode) -> Labels:
    numbers = [
        scheme.number(span.kind) if span.turn in turns else NO_SPAN for span in sequence.spans
    ]
    labels = np.array([numbers[index] for index in sequence.token_spans], dtype=np.int16)
    if scheme.random_seed is not None:
        of_turn = np.array([sequence.spans[index].turn for index in sequence.token_spans])
        for turn in sorted(turns):
            inside = of_turn == turn
            mine = labels[inside]
            _shuffle(mine, episode, turn, scheme.random_seed)
            labels[inside] = mine
    return labels


def _shuffle(labels: Labels, episode: Episode, turn: int, seed: int) -> None:
    """Move the second span to a random stretch of the turn's supervised tokens, in place."""
    rows = np.flatnonzero(labels != NO_SPAN)
    size = int((labels[rows] == 1).sum())
    name = f"{seed}/{'/'.join(map(str, episode.key))}/{turn}"
    draw = random.Random(int.from_bytes(hashlib.sha256(name.encode()).digest(), "big")).random()
    start = int(draw * (len(rows) - size + 1))
    labels[rows] = 0
    labels[rows[start : start + size]] = 1


def _has_action(turn: Turn) -> bool:
    """Whether the turn did something: an action was found, or it is a thinking turn."""
    return turn.action is not None


def _turn_ends(sequence: Rendered) -> dict[int, int]:
    """For every turn, the number of tokens up to its last generated one."""
    ends: dict[int, int] = {}
    for position, index in enumerate(sequence.token_spans, 1):
        span = sequence.spans[index]
        if span.kind in ("reason", "act"):
            ends[span.turn] = position
    return ends


def _straddling(sequence: Rendered, labels: Labels, tokenizer: Any) -> int:
    """Supervised tokens whose text reaches into the next span."""
    encoded = tokenizer(
        sequence.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    offsets = encoded["offset_mapping"]
    shift = len(sequence.ids) - len(offsets)  # a beginning-of-sequence token
    count = 0
    for position, (_, end) in enumerate(offsets, shift):
        span = sequence.spans[sequence.token_spans[position]]
        count += labels[position] != NO_SPAN and end > span.end
    return int(count)
