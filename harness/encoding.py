"""Text to token ids, and where each token begins.

The ids are always those of the whole text. A transcript grows by a turn at a time, though, and
encoding all of it anew is most of what a long episode costs its harness; so what was encoded
before may be given as `known`, and its tokens are used as far as that provably changes nothing.

That is up to a line break before an ASCII letter, for byte-level tokenizers: they cut the text into
pieces by patterns that look at what follows but never behind, all of which cut there, and encode
each piece by itself. A tokenizer of another kind (one that marks the beginning of the text, joins
pieces, rewrites characters, or has special tokens across lines) is recognised by its own
description, and encodes everything every time.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from harness.errors import HarnessError

LOOK_AHEAD = 8
"""Characters that must be the same beyond a cut; the patterns in use look at one."""

_LINE = re.compile(r"\n[A-Za-z]")
_BLANKS = ("\u0120", "\u010a", "\u2581", " ", "\n")
_cut_at_lines: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


class Known(Protocol):
    """A text that was encoded before, by the same tokenizer and with the same `add_bos`."""

    @property
    def text(self) -> str: ...
    @property
    def ids(self) -> Sequence[int]: ...
    @property
    def starts(self) -> Sequence[int]: ...


def encode(
    text: str, tokenizer: Any | None, *, add_bos: bool, known: Known | None = None
) -> tuple[list[int], list[int]]:
    """Ids of `text` and the position of each token's first character.

    The tokenizer's beginning-of-sequence token is put first when it adds one by itself and the
    text does not carry it already; its position is 0. `known` changes nothing but the time taken.
    """
    if tokenizer is None or not text:
        return [], []
    if not getattr(tokenizer, "is_fast", False):
        raise HarnessError(
            f"{type(tokenizer).__name__} gives no character offsets; expected a fast tokenizer "
            "(one with a tokenizer.json)"
        )
    if known is not None and known.ids and cuts_at_lines(tokenizer):
        cut, n_tokens = _last_cut(known, text)
        if n_tokens:
            tail_ids, tail_starts = _encode(text[cut:], tokenizer)
            return (
                [*known.ids[:n_tokens], *tail_ids],
                [*known.starts[:n_tokens], *(cut + start for start in tail_starts)],
            )
    ids, starts = _encode(text, tokenizer)
    if add_bos and tokenizer.bos_token_id is not None:
        default = tokenizer("a")["input_ids"]
        carried = ids[:1] == [tokenizer.bos_token_id]
        if default[:1] == [tokenizer.bos_token_id] and not carried:
            ids.insert(0, tokenizer.bos_token_id)
            starts.insert(0, 0)
    return ids, starts


def cuts_at_lines(tokenizer: Any) -> bool:
    """Whether a text may be encoded in two parts, cut before a letter that begins a line."""
    try:
        return _cut_at_lines[tokenizer]
    except (KeyError, TypeError):
        pass
    found = _describes_cuts(tokenizer)
    try:
        _cut_at_lines[tokenizer] = found
    except TypeError:
        return found
    return found


def _encode(text: str, tokenizer: Any) -> tuple[list[int], list[int]]:
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids: list[int] = list(encoding["input_ids"])
    tokens = tokenizer.convert_ids_to_tokens(ids)
    starts: list[int] = []
    previous_end = 0
    for token, (start, end) in zip(tokens, encoding["offset_mapping"], strict=True):
        # Offsets may leave out the blanks a token carries; its first character is then the blank.
        if start > previous_end and token[:1] in _BLANKS:
            start = previous_end
        starts.append(min(start, len(text) - 1))
        previous_end = max(previous_end, end)
    return ids, starts


def _last_cut(known: Known, text: str) -> tuple[int, int]:
    """The last place where `text` may be cut within what is known, and the tokens before it."""
    limit = shared_prefix(known.text, text) - LOOK_AHEAD
    while limit > 0:
        found = known.text.rfind("\n", 0, limit)
        if found < 0:
            break
        if _LINE.match(text, found):
            cut = found + 1
            n_tokens = bisect_left(known.starts, cut)
            if n_tokens < len(known.starts) and known.starts[n_tokens] == cut:
                return cut, n_tokens
        limit = found
    return 0, 0


def shared_prefix(one: Sequence[object], other: Sequence[object]) -> int:
    """Number of leading elements that two texts, or two lists of ids, have in common."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _describes_cuts(tokenizer: Any) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return False
    described = json.loads(backend.to_str())
    before = described.get("pre_tokenizer") or {}
    steps = before.get("pretokenizers", [before])
    normalizer = described.get("normalizer") or {"type": "NFC"}
    model, added = described["model"], described.get("added_tokens", ())
    return (
        normalizer["type"] == "NFC"
        and steps[-1].get("type") == "ByteLevel"
        and all(_cuts(step) or step.get("type") == "Digits" for step in steps[:-1])
        and not steps[-1].get("add_prefix_space", True)
        and (steps[-1].get("use_regex", True) or any(map(_cuts, steps[:-1])))
        and model["type"] == "BPE"
        and not model.get("dropout")
        and not any("\n" in token["content"] for token in added)
        and not any(token["lstrip"] and token["content"][:1].isalpha() for token in added)
    )


def _cuts(step: dict[str, Any]) -> bool:
    """Whether a step of pre-tokenisation cuts between a line break and a letter."""
    pattern = step.get("pattern", {}).get("Regex")
    isolates = step.get("type") == "Split" and step.get("behavior") == "Isolated"
    return isolates and pattern in LINE_PATTERNS


LINE_PATTERNS = frozenset(
    {
        # GPT-2; cl100k (Llama 3, Mistral's Tekken in variations); Qwen.
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    }
)
"""Patterns of `Split` that cut between a line break and a letter, whatever comes before."""
