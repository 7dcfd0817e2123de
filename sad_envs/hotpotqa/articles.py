"""Articles on the things of a world, and pages for names that mean several of them.

An article has a sentence per fact. The first says what a thing is; the others come in an order of
their own, so that a fact may stand behind the sentences that a search shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sad_envs.dice import Dice
from sad_envs.hotpotqa.wordings import a, land_of, lines_of
from sad_envs.hotpotqa.world import Thing, World

_PARAGRAPH = 5
"""An article of more sentences than this has a second paragraph."""


@dataclass(frozen=True)
class Article:
    """A title, its sentences, and which of them states which fact."""

    title: str
    sentences: tuple[str, ...]
    facts: Mapping[str, int]

    @property
    def text(self) -> str:
        """The article, a paragraph per line."""
        if len(self.sentences) <= _PARAGRAPH:
            return " ".join(self.sentences)
        cut = len(self.sentences) - 2 if len(self.sentences) < 8 else 4
        return " ".join(self.sentences[:cut]) + "\n" + " ".join(self.sentences[cut:])


def write_articles(world: World, seed: int) -> dict[str, Article]:
    """Title to article, disambiguation pages included, in a fixed order."""
    dice = Dice("articles", seed)
    articles = [_article(thing, dice) for thing in world.things]
    articles += _disambiguations(world)
    return {article.title: article for article in sorted(articles, key=lambda a: a.title)}


def _article(thing: Thing, dice: Dice) -> Article:
    lines = [(keys.split(), dice.one_of(wordings)) for keys, wordings in lines_of(thing)]
    first, rest = lines[0], lines[1:]
    order: list[tuple[list[str], str]] = []
    while rest:
        order.append(rest.pop(dice.below(len(rest))))
    told = [first, *order]
    facts = {key: number for number, (keys, _) in enumerate(told) for key in keys}
    return Article(thing.title, tuple(text for _, text in told), facts)


def _disambiguations(world: World) -> Iterator[Article]:
    by_name: dict[str, list[Thing]] = {}
    for thing in world.things:
        by_name.setdefault(thing.name, []).append(thing)
    for name, things in by_name.items():
        if len(things) > 1:
            listed = "; ".join(f"{thing.title}, {a(_kind(thing))}" for thing in things)
            yield Article(name, (f"{name} may refer to: {listed}.",), {})


def _kind(thing: Thing) -> str:
    if thing.kind == "person":
        return f"{land_of(thing.links['birthplace']).words['adjective']} {thing.label}"
    if thing.kind in ("town", "river"):
        return f"{thing.kind} in {thing.links['country'].name}"
    return f"{thing.kind} of {thing.numbers['year']}"
