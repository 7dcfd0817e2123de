"""What an article says of a thing: a sentence for every fact, in one of several wordings.

The first sentence of a kind says what the thing is. No sentence holds a period within, so that
cutting a page at periods gives these sentences back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sad_envs.hotpotqa.world import Thing


def a(noun: str) -> str:
    """The noun with its article."""
    return f"{'an' if noun[0].lower() in 'aeio' else 'a'} {noun}"


def land_of(town: Thing) -> Thing:
    """The country of a town."""
    return town.links["country"]


Lines = Iterator[tuple[str, tuple[str, ...]]]
"""Fact keys, and the wordings of the sentence that states them."""


def say(keys: str, *wordings: str) -> tuple[str, tuple[str, ...]]:
    """A sentence that states the facts `keys`, in one of these wordings."""
    return keys, wordings


def lines_of(thing: Thing) -> Lines:
    """The sentences of a thing's article, the first one first."""
    return _TELLERS.get(thing.kind, _work)(thing)


def _country(it: Thing) -> Lines:
    name, capital = it.name, it.links["capital"].name
    yield say(
        "",
        f"{name} is a country of wide plains and one long coast.",
        f"{name} is a country of many rivers.",
        f"{name} is a country that was once part of a larger realm.",
    )
    yield say(
        "capital",
        f"Its capital and largest town is {capital}.",
        f"The parliament sits in the capital, {capital}.",
    )
    yield say(
        "founded",
        f"{name} has been a state of its own since {it.numbers['founded']}.",
        f"Its first charter was signed in {it.numbers['founded']}.",
    )
    yield say(
        "heights",
        f"The {it.words['heights']} form its southern border.",
        f"Most of its forests grow in the {it.words['heights']}.",
    )
    yield say(
        "",
        f"The people are called {it.words['adjective']}s.",
        f"Four in ten {it.words['adjective']}s live on farms.",
    )


def _river(it: Thing) -> Lines:
    name, sea = it.name, it.words["sea"]
    yield say(
        "country",
        f"The {name} is a river in {land_of(it).name}.",
        f"The {name} is one of the rivers of {land_of(it).name}.",
    )
    yield say(
        "source",
        f"It rises in the {it.words['source']}.",
        f"Its source is a spring in the {it.words['source']}.",
    )
    yield say("sea", f"It flows into the {sea}.", f"Its mouth is on the coast of the {sea}.")
    yield say(
        "length",
        f"It is {it.numbers['length']} kilometres long.",
        f"Its length is {it.numbers['length']} kilometres.",
    )
    yield say(
        "",
        "Ferries cross it at three places.",
        "It freezes over in most winters.",
        "Barges have used its lower course for centuries.",
    )


def _town(it: Thing) -> Lines:
    name, river = it.name, it.links["river"].name
    yield say(
        "country",
        f"{name} is a town in {land_of(it).name}.",
        f"{name} is a market town in {land_of(it).name}.",
    )
    yield say(
        "river",
        f"It lies on the river {river}.",
        f"The river {river} flows through the town.",
        f"An old bridge crosses the river {river} there.",
    )
    yield say(
        "founded",
        f"The town was founded in {it.numbers['founded']}.",
        f"It was founded in {it.numbers['founded']} by fishermen.",
    )
    yield say(
        "known_for",
        f"It is known for its {it.words['known_for']}.",
        f"Visitors come for its {it.words['known_for']}.",
    )
    yield say(
        "people",
        f"It has {it.numbers['people']:,} inhabitants.",
        f"At the last census {it.numbers['people']:,} people lived there.",
    )
    yield say(
        "",
        "A fire destroyed the upper quarter and its granaries.",
        "The town hall has a leaning tower.",
        "Its market is held on Thursdays.",
    )


def _person(it: Thing) -> Lines:
    born, died = it.numbers["born"], it.numbers["died"]
    adjective = land_of(it.links["birthplace"]).words["adjective"]
    she = "She" if it.words["she"] else "He"
    her = "her" if it.words["she"] else "his"
    last = it.name.split()[1]
    yield say(
        "born died nationality",
        f"{it.name} ({born} – {died}) was {a(adjective)} {it.label}.",
        f"{it.name}, born in {born} and dead in {died}, was {a(adjective)} {it.label}.",
    )
    yield say(
        "birthplace",
        f"{last} was born in {it.links['birthplace'].name}.",
        f"{she} was born in {it.links['birthplace'].name} as the third of five children.",
        f"{it.links['birthplace'].name} is {her} place of birth.",
    )
    if "university" in it.links:
        where, what = it.links["university"].name, it.words["subject"]
        yield say(
            "university",
            f"{she} studied {what} at the {where}.",
            f"{last} attended the {where}, where {she.lower()} studied {what}.",
        )
    if "teacher" in it.links:
        teacher = it.links["teacher"].name
        yield say(
            "teacher",
            f"{she} was taught by {teacher}.",
            f"{last} learned the craft from {teacher}.",
        )
    yield from _deeds(it, she, last)
    if "prize" in it.words:
        yield say(
            "prize",
            f"{she} received the {it.words['prize']} in {it.numbers['prize']}.",
            f"In {it.numbers['prize']} {last} was awarded the {it.words['prize']}.",
        )
    yield say(
        "",
        f"{she} kept bees and wrote about them to friends.",
        f"{last} never learned to swim.",
        f"{she} spoke four languages and collected maps.",
        f"Many of {her} letters were lost in a fire.",
    )


_DEEDS = (("founded", "founded"), ("built", "designed"), ("led", "led"))


def _deeds(it: Thing, she: str, last: str) -> Lines:
    """What a person made, founded, built or led."""
    if "first" in it.links:
        one, two = it.links["first"], it.links["second"]
        yield say(
            "works",
            f"Among {last}'s works are the {one.kind}s {one.name} and {two.name}.",
            f"{she} is remembered for the {one.kind}s {one.name} and {two.name}.",
        )
    for role, verb in _DEEDS:
        if role in it.links:
            deed = it.links[role]
            the = "" if deed.kind in ("publisher", "studio") else "the "
            yield say(
                role,
                f"{she} {verb} {the}{deed.name}.",
                f"{last} is best known for having {verb} {the}{deed.name}.",
            )


def _university(it: Thing) -> Lines:
    name, founder, town = it.name, it.links["founder"].name, it.links["town"].name
    yield say("town", f"The {name} is a university in {town}.")
    yield say(
        "founded",
        f"It was founded in {it.numbers['founded']}.",
        f"Its first lectures were given in {it.numbers['founded']}, the year it was founded.",
    )
    yield say(
        "founder",
        f"Its founder was the scholar {founder}.",
        f"It owes its existence to {founder}, who founded it.",
    )
    yield say(
        "students",
        f"It has {it.numbers['students']:,} students.",
        f"About {it.numbers['students']:,} students are enrolled.",
    )
    yield say(
        "",
        "Its library burned down twice.",
        "Its botanical garden is open to the public.",
        "Its seal shows a heron and a key.",
    )


def _house(it: Thing) -> Lines:
    name, founder, town = it.name, it.links["founder"].name, it.links["town"].name
    what = "publishing house" if it.kind == "publisher" else "film studio"
    yield say("town", f"{name} is {a(what)} based in {town}.", f"{name} is {a(what)} from {town}.")
    yield say(
        "founded",
        f"It was founded in {it.numbers['founded']}.",
        f"It has been in business since {it.numbers['founded']}, when it was founded.",
    )
    yield say(
        "founder",
        f"Its founder was the industrialist {founder}.",
        f"The industrialist {founder} founded it with borrowed money.",
    )
    yield say(
        "",
        "For a time it employed a hundred people.",
        "Its emblem is a running fox.",
        "Its archive fills a former brewery.",
    )


def _museum(it: Thing) -> Lines:
    name, architect, town = it.name, it.links["architect"].name, it.links["town"].name
    yield say("town", f"The {name} is a museum in {town}.")
    yield say(
        "architect",
        f"Its building was designed by {architect}.",
        f"The architect of its building was {architect}.",
    )
    yield say(
        "founded",
        f"It opened in {it.numbers['founded']}.",
        f"The museum was opened to the public in {it.numbers['founded']}.",
    )
    yield say(
        "",
        f"One of its rooms is given to {it.words['known_for']}.",
        f"It also has a collection on {it.words['known_for']}.",
    )
    yield say("", "Entry is free on Sundays.", "It closes in the first week of March.")


_WORK = {
    "novel": ("written by", "It was published in {year}.", "It was published by {house}."),
    "film": ("directed by", "It was released in {year}.", "It was produced by {house}."),
    "painting": ("by", "It was painted in {year}.", "It hangs in the {house}."),
    "opera": ("composed by", "It was first performed in {year}.", ""),
}


def _work(it: Thing) -> Lines:
    maker, setting = it.links["maker"].name, it.links["setting"].name
    adjective = land_of(it.links["maker"].links["birthplace"]).words["adjective"]
    by, when, where = _WORK[it.kind]
    yield say(
        "maker",
        f"{it.name} is {a(it.kind)} {by} {maker}.",
        f"{it.name} is {a(adjective)} {it.kind} {by} {maker}.",
    )
    yield say("year", when.format(year=it.numbers["year"]))
    if "house" in it.links:
        yield say("house", where.format(house=it.links["house"].name))
    if "premiere" in it.links:
        place = it.links["premiere"].name
        yield say("premiere", f"Its premiere took place in {place}.")
    shown = "It shows a street in" if it.kind == "painting" else "The story is set in"
    yield say("setting", f"{shown} {setting}.")
    yield say(
        "",
        "Critics were divided over it.",
        "A sequel was planned and never made.",
        "It was forbidden for a time.",
        "An early version has been lost.",
    )
    yield say("", "It took four years to finish.", "It was the work of a single winter.")


def _event(it: Thing) -> Lines:
    name, year = it.name, it.numbers["year"]
    leader, town = it.links["leader"].name, it.links["town"].name
    if it.kind == "festival":
        yield say("town", f"The {name} is a festival held every year in {town}.")
        yield say("year", f"It was first held in {year}.")
        yield say(
            "leader",
            f"It was founded by the {it.links['leader'].label} {leader}.",
            f"The {it.links['leader'].label} {leader} founded it.",
        )
        yield say("", "It lasts nine days.", "It ends with a procession of boats.")
        return
    men = f"{it.numbers['men']:,}"
    if it.kind == "battle":
        yield say("year", f"The {name} was fought in {year}.")
        yield say("town", f"It took place on the fields outside {town}.")
        yield say(
            "leader",
            f"The winning army was commanded by {leader}.",
            f"{leader} commanded the winning army.",
        )
        yield say("men", f"The winners had {men} men.")
        yield say("", "Heavy rain decided the day.", "It lasted from dawn to noon.")
        return
    yield say("year", f"The {name} was a journey of discovery that began in {year}.")
    yield say("leader", f"It was led by {leader}.", f"Its leader was {leader}.")
    yield say("town", f"The party set out from {town}.", f"It set out from {town}.")
    yield say("heights", f"It was the first to cross the {it.words['heights']}.")
    yield say("men", f"Of {men} members all but two came home.")


_TELLERS: dict[str, Callable[[Thing], Lines]] = {
    "country": _country,
    "river": _river,
    "town": _town,
    "person": _person,
    "university": _university,
    "museum": _museum,
    "publisher": _house,
    "studio": _house,
    "battle": _event,
    "expedition": _event,
    "festival": _event,
}
"""Who tells of which kind; `_work` of the others."""
