"""Questions about a world: through a second article (bridge), or on two things (comparison).

A bridge question names a thing, means another that the first thing's article names, and asks for a
fact of that one. Its supporting facts are the sentence that names the other and the one that states
the answer. A comparison needs one sentence of each article.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sad_envs.dice import Dice
from sad_envs.hotpotqa.articles import Article
from sad_envs.hotpotqa.pages import SHOWN
from sad_envs.hotpotqa.world import Thing, World

COMPARISONS = 25
"""Of a hundred questions, how many compare."""


@dataclass(frozen=True)
class Asked:
    """A question with its answer and the (title, sentence number) pairs that support it."""

    question: str
    answer: str
    type: str
    level: str
    supporting: tuple[tuple[str, int], ...]


# What the second thing is to the first: role, fact key and phrase, by the first thing's kind.
_REFERENCES: dict[str, tuple[tuple[str, str], ...]] = {
    "novel": (
        ("maker", "the author of the novel {}"),
        ("house", "the publisher of the novel {}"),
        ("setting", "the town in which the novel {} is set"),
    ),
    "film": (
        ("maker", "the director of the film {}"),
        ("house", "the studio that produced the film {}"),
        ("setting", "the town in which the film {} is set"),
    ),
    "painting": (
        ("maker", "the painter of {}"),
        ("house", "the museum in which the painting {} hangs"),
        ("setting", "the town that the painting {} shows"),
    ),
    "opera": (
        ("maker", "the composer of the opera {}"),
        ("premiere", "the town in which the opera {} was first performed"),
        ("setting", "the town in which the opera {} is set"),
    ),
    "person": (
        ("birthplace", "the birthplace of the {label} {}"),
        ("university", "the university that the {label} {} attended"),
        ("teacher", "the teacher of the {label} {}"),
    ),
    "university": (("founder", "the founder of the {}"), ("town", "the home town of the {}")),
    "publisher": (("founder", "the founder of the publisher {}"),),
    "studio": (("founder", "the founder of the film studio {}"),),
    "museum": (
        ("architect", "the architect of the {}"),
        ("town", "the town that is home to the {}"),
    ),
    "battle": (
        ("leader", "the winning commander of the {}"),
        ("town", "the town outside which the {} was fought"),
    ),
    "expedition": (
        ("leader", "the leader of the {}"),
        ("town", "the town from which the {} set out"),
    ),
    "festival": (
        ("leader", "the founder of the {}"),
        ("town", "the town that holds the {}"),
    ),
    "town": (("river", "the river that flows through the town of {}"),),
}


def _linked(role: str) -> Callable[[Thing], str | None]:
    return lambda it: it.links[role].name if role in it.links else None


def _number(key: str) -> Callable[[Thing], str | None]:
    return lambda it: (
        f"{it.numbers[key]:,}" if key in ("people", "students") else str(it.numbers[key])
    )


def _word(key: str) -> Callable[[Thing], str | None]:
    return lambda it: it.words[key]


# What is asked of the second thing: fact key, where the answer is from, and wordings.
_ASKED: dict[str, tuple[tuple[str, Callable[[Thing], str | None], tuple[str, ...]], ...]] = {
    "person": (
        ("birthplace", _linked("birthplace"), (
            "In which town was {} born?", "Where was {} born?")),
        ("born", _number("born"), ("In which year was {} born?",)),
        ("university", _linked("university"), (
            "Which university did {} attend?", "At which university did {} study?")),
        ("teacher", _linked("teacher"), ("Who taught {}?", "Who was the teacher of {}?")),
        ("prize", lambda it: it.words.get("prize"), ("Which honour did {} receive?",)),
    ),
    "town": (
        ("river", _linked("river"), (
            "Which river flows through {}?", "On which river does {} lie?")),
        ("founded", _number("founded"), ("In which year was {} founded?",)),
        ("known_for", _word("known_for"), ("What is {} known for?",)),
        ("people", _number("people"), ("How many inhabitants does {} have?",)),
        ("country", _linked("country"), ("In which country is {}?",)),
    ),
    "university": (
        ("founded", _number("founded"), ("In which year was {} founded?",)),
        ("founder", _linked("founder"), ("Who founded {}?", "Who was the founder of {}?")),
        ("town", _linked("town"), ("In which town is {}?",)),
        ("students", _number("students"), ("How many students does {} have?",)),
    ),
    "publisher": (
        ("founded", _number("founded"), ("In which year was {} founded?",)),
        ("founder", _linked("founder"), ("Who founded {}?",)),
        ("town", _linked("town"), ("In which town is {} based?",)),
    ),
    "studio": (
        ("founded", _number("founded"), ("In which year was {} founded?",)),
        ("founder", _linked("founder"), ("Who founded {}?",)),
        ("town", _linked("town"), ("In which town is {} based?",)),
    ),
    "museum": (
        ("founded", _number("founded"), ("In which year did {} open?",)),
        ("architect", _linked("architect"), ("Who designed {}?", "Who was the architect of {}?")),
        ("town", _linked("town"), ("In which town is {}?",)),
    ),
    "river": (
        ("sea", _word("sea"), ("Into which sea does {} flow?",)),
        ("source", _word("source"), ("In which heights does {} rise?",)),
        ("length", _number("length"), ("How many kilometres long is {}?",)),
        ("country", _linked("country"), ("In which country is {}?",)),
    ),
}  # fmt: skip

# Questions on two things of a kind: fact key, number compared, whether less wins, and wording.
_WHICH: dict[str, tuple[tuple[str, str, bool, str], ...]] = {
    "novel": (("year", "year", True, "Which novel was published first, {} or {}?"),),
    "film": (("year", "year", True, "Which film was released first, {} or {}?"),),
    "painting": (("year", "year", True, "Which painting was painted first, {} or {}?"),),
    "opera": (("year", "year", True, "Which opera was performed first, {} or {}?"),),
    "person": (
        ("born", "born", True, "Who was born first, {} or {}?"),
        ("born", "born", False, "Who was born later, {} or {}?"),
    ),
    "town": (
        ("people", "people", False, "Which town has more inhabitants, {} or {}?"),
        ("founded", "founded", True, "Which town was founded first, {} or {}?"),
    ),
    "river": (("length", "length", False, "Which river is longer, the {} or the {}?"),),
    "university": (("founded", "founded", True, "Which was founded first, the {} or the {}?"),),
    "publisher": (("founded", "founded", True, "Which was founded first, {} or {}?"),),
    "battle": (("year", "year", True, "Which was fought first, the {} or the {}?"),),
}

# Yes or no: fact key and link compared, and wording.
_SAME: dict[str, tuple[tuple[str, str], ...]] = {
    "person": (
        ("birthplace", "Were {} and {} born in the same town?"),
        ("university", "Did {} and {} attend the same university?"),
    ),
    "town": (("river", "Do the towns of {} and {} lie on the same river?"),),
    "novel": (("house", "Were the novels {} and {} published by the same house?"),),
    "painting": (("house", "Do the paintings {} and {} hang in the same museum?"),),
    "museum": (("town", "Are the {} and the {} in the same town?"),),
}


def ask(world: World, articles: Mapping[str, Article], seed: int) -> Iterator[Asked]:
    """Questions without end in sight, none twice; the same ones first, however many are taken."""
    dice = Dice("questions", seed)
    asked: set[str] = set()
    misses = 0
    while misses < 1000:
        compare = dice.chance(COMPARISONS)
        made = _comparison(world, articles, dice) if compare else _bridge(world, articles, dice)
        if made is None or made.question in asked:
            misses += 1
            continue
        misses = 0
        asked.add(made.question)
        yield made


def _bridge(world: World, articles: Mapping[str, Article], dice: Dice) -> Asked | None:
    kind = dice.one_of(sorted(_REFERENCES))
    one = dice.one_of(world.of(kind))
    role, phrase = dice.one_of(_REFERENCES[kind])
    if role not in one.links:
        return None
    other = one.links[role]
    key, value, wordings = dice.one_of(_ASKED[other.kind])
    if key not in articles[other.title].facts:
        return None
    answer = value(other)
    reference = phrase.format(one.name, label=one.label)
    if answer is None or other.links.get(key) is one or answer in reference:
        return None
    question = dice.one_of(wordings).format(reference)
    supporting = ((one.title, articles[one.title].facts[role]), _fact(articles, other, key))
    return Asked(question, answer, "bridge", _level(supporting, (one, other)), supporting)


def _comparison(world: World, articles: Mapping[str, Article], dice: Dice) -> Asked | None:
    same = dice.chance(40)
    kind = dice.one_of(sorted(_SAME if same else _WHICH))
    one, other = dice.one_of(world.of(kind)), dice.one_of(world.of(kind))
    if same:
        key, wording = dice.one_of(_SAME[kind])
        if key not in one.links:
            return None
        if dice.chance(50):
            alike = [it for it in world.of(kind) if it.links.get(key) is one.links[key]]
            other = dice.one_of(alike)
        if key not in other.links:
            return None
        # Things of one name would make a "no" read like a mistake.
        answer = "yes" if one.links[key] is other.links[key] else "no"
        if answer == "no" and one.links[key].name == other.links[key].name:
            return None
    else:
        key, number, less, wording = dice.one_of(_WHICH[kind])
        if one.numbers[number] == other.numbers[number]:
            return None
        answer = (one if (one.numbers[number] < other.numbers[number]) == less else other).name
    if one.name == other.name:
        return None
    named = [f"the {it.label} {it.name}" if it.kind == "person" else it.name for it in (one, other)]
    supporting = (_fact(articles, one, key), _fact(articles, other, key))
    level = _level(supporting, (one, other))
    return Asked(wording.format(*named), answer, "comparison", level, supporting)


def _fact(articles: Mapping[str, Article], thing: Thing, key: str) -> tuple[str, int]:
    return thing.title, articles[thing.title].facts[key]


def _level(supporting: tuple[tuple[str, int], ...], things: tuple[Thing, ...]) -> str:
    """How many detours it takes: names that mean several things, facts that a search hides."""
    detours = sum(thing.title != thing.name for thing in things)
    detours += sum(number >= SHOWN for _, number in supporting)
    return ("easy", "medium", "hard")[min(detours, 2)]
