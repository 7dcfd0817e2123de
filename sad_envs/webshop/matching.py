"""What the WebShop expert makes of a product: the options it offers, the attributes it names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sad_envs.webshop.fuzzy import similar
from sad_envs.webshop.goals import Goal
from sad_envs.webshop.products import Product
from sad_envs.webshop.queries import request
from sad_envs.webshop.reward import normalise
from sad_envs.webshop.thoughts import short

_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_LEAD = re.compile(
    r"(?:(?:hello|hi),? )?(?:please |can you |help me )*(?:i am |i'm |i )?"
    r"(?:would like |want |need )?"
    r"(?:to (?:buy|find) |looking (?:for )?|find (?:me )?|show me |get me |buy )?",
    re.IGNORECASE,
)
_LONG = 40


def asked(goal: Goal) -> str:
    """What is asked for, in the words of the instruction."""
    return _LEAD.sub("", request(goal.instruction), count=1).strip(" .?!,")


def choices(product: Product, goal: Goal) -> list[tuple[str, str, str]]:
    """For each option asked for that the product offers: its name, its value, what was asked."""
    found = []
    for option in goal.options:
        name, wanted = (None, option) if isinstance(option, str) else option
        match = _offered(product, name, wanted)
        if match is not None:
            found.append((*match, wanted))
    return found


def lacking_options(product: Product, goal: Goal) -> list[str]:
    """Options asked for that the product does not offer."""
    offered = {wanted for _, _, wanted in choices(product, goal)}
    return [value for value in goal.option_values if value not in offered]


def _offered(product: Product, name: str | None, wanted: str) -> tuple[str, str] | None:
    groups = {
        key: values
        for key, values in product.options.items()
        if name is None or key == name or name not in product.options
    }
    for key, values in groups.items():
        if wanted in values:
            return key, wanted
    for key, values in groups.items():
        for value in values:
            if similar(normalise(value), normalise(wanted)):
                return key, value
    return None


def page_text(product: Product, name: str) -> str:
    """The text of a page of details."""
    return " ".join(product.bullets) if name == "Features" else product.description


def sentences(text: str) -> list[str]:
    """A text cut after each sentence."""
    return _SENTENCE.split(text)


def mentions(text: str, attribute: str) -> bool:
    """Whether a text names an attribute: literally, or all its words or their beginnings."""
    lower = text.lower()
    if attribute in lower:
        return True
    words = {_stem(word) for word in _WORD.findall(lower)}
    return all(_stem(word) in words for word in _WORD.findall(attribute))


def quoted(pieces: Sequence[str], attribute: str) -> str:
    """The piece of a text that names an attribute, or the part of a long one around it."""
    piece = next((one for one in pieces if mentions(one, attribute)), " ".join(pieces))
    piece = " ".join(piece.split())
    lower = piece.lower()
    at = lower.find(attribute if attribute in lower else _stem(attribute.split()[0]))
    return short(piece[lower.rfind(" ", 0, at) + 1 :] if at > _LONG else piece)


def _stem(word: str) -> str:
    for end in ("able", "ing", "es", "ed", "s", "e"):
        if word.endswith(end) and len(word) - len(end) >= 3:
            return word.removesuffix(end)
    return word
