"""Porter's stemmer with the two rules that its author added later, as Lucene has it.

Source: M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, with -bli to -ble
(in place of -abli to -able) and -logi to -log. A word of two letters or fewer stays as it is.
Characters other than a, e, i, o, u and y count as consonants, whatever their script; length is in
UTF-16 units, so that a character outside the basic plane counts twice, as it does in Java.
"""

from __future__ import annotations

import struct
from itertools import pairwise

_STEP_2 = (
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("logi", "log"),
)
_STEP_3 = (
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
)
_STEP_4 = (
    *("al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent"),
    *("sion", "tion", "ou", "ism", "ate", "iti", "ous", "ive", "ize"),
)


def stem(word: str) -> str:
    """The stem of a lower-case word."""
    if max(word, default="") <= "\uffff":
        return _stem(word) if len(word) > 2 else word
    units = "".join(chr(unit) for (unit,) in struct.iter_unpack("<H", word.encode("utf-16-le")))
    stemmed = _stem(units) if len(units) > 2 else units
    return stemmed.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _is_consonant(word: str, at: int) -> bool:
    if word[at] == "y":
        return at == 0 or not _is_consonant(word, at - 1)
    return word[at] not in "aeiou"


def _measure(part: str) -> int:
    """How often a vowel is followed by a consonant in `part`."""
    kinds = [_is_consonant(part, at) for at in range(len(part))]
    return sum(not before and after for before, after in pairwise(kinds))


def _has_vowel(part: str) -> bool:
    return not all(_is_consonant(part, at) for at in range(len(part)))


def _ends_double(word: str) -> bool:
    return len(word) > 1 and word[-1] == word[-2] and _is_consonant(word, len(word) - 1)


def _ends_short(word: str) -> bool:
    """Whether `word` ends consonant, vowel, consonant, the last one not w, x or y."""
    last = len(word) - 1
    return (
        last > 1
        and _is_consonant(word, last)
        and not _is_consonant(word, last - 1)
        and _is_consonant(word, last - 2)
        and word[last] not in "wxy"
    )


def _stem(word: str) -> str:
    word = _step_1(word)
    word = _replace(word, _STEP_2, least=1)
    word = _replace(word, _STEP_3, least=1)
    word = _step_4(word)
    return _step_5(word)


def _step_1(word: str) -> str:
    if word.endswith(("sses", "ies")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    if word.endswith("eed"):
        if _measure(word[:-3]) > 0:
            word = word[:-1]
    else:
        for suffix in ("ed", "ing"):
            if word.endswith(suffix):
                if _has_vowel(word[: -len(suffix)]):
                    word = _mend(word[: -len(suffix)])
                break
    if word.endswith("y") and _has_vowel(word[:-1]):
        word = word[:-1] + "i"
    return word


def _mend(part: str) -> str:
    """What is left after -ed or -ing."""
    if part.endswith(("at", "bl", "iz")):
        return part + "e"
    if _ends_double(part):
        return part if part[-1] in "lsz" else part[:-1]
    if _measure(part) == 1 and _ends_short(part):
        return part + "e"
    return part


def _replace(word: str, rules: tuple[tuple[str, str], ...], least: int) -> str:
    """Apply the first rule whose suffix fits, if the part before it measures `least`."""
    for suffix, new in rules:
        if word.endswith(suffix):
            part = word[: -len(suffix)]
            return part + new if _measure(part) >= least else word
    return word


def _step_4(word: str) -> str:
    for suffix in _STEP_4:
        if word.endswith(suffix):
            # Of -sion and -tion only the -ion goes.
            cut = 3 if suffix in ("sion", "tion") else len(suffix)
            return word[:-cut] if _measure(word[:-cut]) > 1 else word
    return word


def _step_5(word: str) -> str:
    if word.endswith("e"):
        measure = _measure(word[:-1])
        if measure > 1 or (measure == 1 and not _ends_short(word[:-1])):
            word = word[:-1]
    if word.endswith("l") and _ends_double(word) and _measure(word) > 1:
        word = word[:-1]
    return word
