"""Cut text into words as Lucene's StandardTokenizer does: Unicode word segmentation (UAX #29).

Promise: for every string without lone surrogates, the same tokens in the same order as Lucene 9.
That means the properties of Unicode 12.1 whatever Python's own Unicode version is; emoji sequences
(with the properties of Emoji 11) as one token; single Han and hiragana characters; runs of Thai,
Lao, Khmer and Myanmar as one token; and a cut after 255 UTF-16 units, surrogate pairs kept whole.
Everything else (white space, punctuation, symbols) separates.

Text is mapped to one class letter per code point, and a regular expression runs over the letters.
The classes, as in `word_break.txt`: A letter, H Hebrew letter, N digit, D ASCII digit, K katakana,
e joiner such as the underscore, l mark between letters, n mark between digits, b mark between
either, q apostrophe, Q double quote, h Han, i hiragana, s South-East Asian, p pictograph, P letter
that is a pictograph, r regional indicator, B base of a keycap that is no digit. Characters that
extend the one before: x, z zero-width joiner, t and v presentation selectors, k keycap, m emoji
modifier, g and G emoji tags, S South-East Asian mark.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

LONGEST = 255
"""A token's greatest length in UTF-16 units; what is longer is cut into several."""

_LAST_BMP = 0xFFFF
_NONE = b"."

# A character and what extends it.
_X = "[xztvkSmgG]*"
_LETTER = f"[AHP]{_X}"
_DIGIT = f"[ND]{_X}"
_KATAKANA = f"K{_X}"
_JOIN = f"(?:e{_X})*"
_BETWEEN_LETTERS = f"[lbq]{_X}"
_BETWEEN_DIGITS = f"[nbq]{_X}"
# A Hebrew letter takes an apostrophe with it, and a double quote when another follows.
_HEBREW = f"H{_X}(?:q{_X}|Q{_X}H{_X})"
_LETTERS = f"{_LETTER}(?:[A]+{_X}|(?:{_JOIN}(?!{_HEBREW})|{_BETWEEN_LETTERS}){_LETTER})*"
_DIGITS = f"{_DIGIT}(?:[ND]+{_X}|(?:{_JOIN}|{_BETWEEN_DIGITS}){_DIGIT})*"
_PART = f"(?:{_KATAKANA}(?:{_JOIN}{_KATAKANA})*|(?:{_HEBREW}|{_DIGITS}|{_LETTERS})+)"
_WORD = f"{_JOIN}{_PART}(?:e{_X}{_JOIN}{_PART})*{_JOIN}"

# Within emoji the presentation selectors have a part of their own.
_Y = "[xzkSmgG]*"
_PICTURE = f"[pP]{_Y}(?:(?<=z)[pP]{_Y})*"
_MODIFIER = f"m{_Y}"
_JOINED = f"{_MODIFIER}(?<=z){_PICTURE}"
_EMOJI = (
    f"z*[pP]{_Y}vg+G"
    f"|(?:z*{_PICTURE}|{_JOINED})(?:v(?:z+{_PICTURE}|z{_JOINED}))*(?:vz{_MODIFIER}|v)?"
    f"|{_MODIFIER}"
    f"|[DB](?:{_Y}vk{_Y}|{_Y}k{_Y})"
    f"|r{_X}r{_X}"
)
_SOUTH_EAST_ASIAN = "[sS][sSxztvkmgG]*"
_SINGLE = f"[hi]{_X}"

_EMOJI_AT = re.compile(_EMOJI.encode())
_TOKEN = re.compile(f"{_WORD}|{_EMOJI}|{_SOUTH_EAST_ASIAN}|{_SINGLE}".encode())
_ASCII_PART = r"(?:[0-9]+(?:(?:_*|[.',;])[0-9]+)*|[A-Za-z]+(?:(?:_*|[.':])[A-Za-z]+)*)+"
_ASCII_WORD = re.compile(f"_*{_ASCII_PART}(?:_+{_ASCII_PART})*_*")


def words(text: str) -> list[str]:
    """The tokens of `text`, as they stand in it; `text` must have no lone surrogates."""
    if text.isascii():
        found = _ASCII_WORD.findall(text)
        if all(len(token) <= LONGEST for token in found):
            return found
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    classes = _table()[codes].tobytes()
    if b"P" not in classes:
        spans = [match.span() for match in _TOKEN.finditer(classes)]
        # Half the limit, since a code point may be two units.
        if all(end - start <= LONGEST // 2 for start, end in spans):
            return [text[start:end] for start, end in spans]
    return _words_bounded(text, codes, classes)


def _words_bounded(text: str, codes: NDArray[np.uint32], classes: bytes) -> list[str]:
    """The same with the limit on a token's length, and the longer of two readings of class P."""
    found = []
    units = np.concatenate(([0], np.cumsum(1 + (codes > _LAST_BMP))))
    start = 0
    while start < len(classes):
        limit = int(np.searchsorted(units, units[start] + LONGEST, side="right")) - 1
        match = _TOKEN.match(classes, start, limit)
        end = match.end() if match else start
        if classes[start : start + 1] == b"P":
            emoji = _EMOJI_AT.match(classes, start, limit)
            end = max(end, emoji.end() if emoji else start)
        if end > start:
            found.append(text[start:end])
        start = max(end, start + 1)
    return found


@cache
def _table() -> NDArray[np.uint8]:
    """The class letter of every code point: shape [0x110000]."""
    table = np.full(0x110000, ord(_NONE), np.uint8)
    for line in (resources.files(__package__) / "word_break.txt").read_text("ascii").splitlines():
        if line.startswith("#"):
            continue
        letter, *ranges = line.split()
        for span in ranges:
            first, _, last = span.partition("-")
            table[int(first, 16) : int(last or first, 16) + 1] = ord(letter)
    return table
