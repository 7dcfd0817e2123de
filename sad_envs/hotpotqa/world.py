"""A small world that never was: who made what, where and when.

Things are drawn once per seed, in an order in which every fact rests on earlier ones: nobody
publishes before their birth, studies at a university that is not yet founded, or is published by a
house that does not exist. What an article says of a thing is in `sad_envs.hotpotqa.articles`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sad_envs.dice import Dice
from sad_envs.hotpotqa.names import Names

WORLD_VERSION = "1"
"""Raised whenever the same seed no longer makes the same things."""

OCCUPATIONS = {
    "novelist": (22, 1800, 1930),
    "film director": (16, 1885, 1945),
    "painter": (20, 1720, 1930),
    "composer": (16, 1720, 1920),
    "general": (14, 1690, 1870),
    "explorer": (12, 1720, 1890),
    "architect": (16, 1760, 1920),
    "industrialist": (26, 1740, 1920),
    "astronomer": (10, 1720, 1930),
    "historian": (10, 1720, 1930),
}
"""Occupation to how many have it, and between which years they are born."""

SUBJECTS = {
    "novelist": ("law", "medicine", "classical languages"),
    "film director": ("photography", "philosophy", "theatre"),
    "painter": ("drawing", "anatomy", "art history"),
    "composer": ("harmony", "mathematics", "the organ"),
    "general": ("geometry", "fortification", "law"),
    "explorer": ("geography", "botany", "navigation"),
    "architect": ("engineering", "geometry", "drawing"),
    "industrialist": ("chemistry", "law", "mechanics"),
    "astronomer": ("mathematics", "optics", "physics"),
    "historian": ("classical languages", "theology", "law"),
    "scholar": ("theology", "logic", "medicine"),
}
_MADE = {"novelist": "novel", "film director": "film", "painter": "painting", "composer": "opera"}
_KNOWN_FOR = (
    *("glassware", "river trout", "tin mines", "carved clocks", "honey cakes", "woollen cloth"),
    *("copper bells", "smoked cheese", "pear orchards", "salt works", "lace", "wooden boats"),
    *("sandstone quarries", "horse fairs", "bookbinding", "blue pottery", "rope making", "cider"),
    *("tapestries", "leather gloves", "violin makers", "mineral springs", "paper mills", "saffron"),
)
_FESTIVALS = ("Song", "Lantern", "Film", "Harvest", "Puppet", "Poetry")
_PRIZES = ("Gilded Quill", "Silver Plumb Line", "Order of the Heron", "Meridian Medal")


@dataclass(eq=False)
class Thing:
    """Something that has an article.

    Attributes:
        kind: country, river, town, university, publisher, studio, museum, person, novel, film,
            painting, opera, battle, expedition or festival.
        name: as texts call it; `title` may add a bracket to tell it from others of that name.
        links: role to another thing.
        numbers: years and counts.
        words: other facts.
    """

    kind: str
    name: str
    title: str = ""
    links: dict[str, Thing] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What kind of thing a question calls it: a person's occupation, else the kind."""
        return self.words.get("occupation", self.kind)


class World:
    """All things of one seed, in the order they were made."""

    def __init__(self, seed: int) -> None:
        self._dice = Dice("encyclopaedia", WORLD_VERSION, seed)
        self._names = Names(self._dice)
        self.things: list[Thing] = []
        self._make_lands()
        self._make_universities()
        self._make_people()
        self._make_houses()
        self._make_works()
        self._make_events()
        self._share_names()
        for thing in self.things:
            thing.title = thing.title or thing.name

    def of(self, *kinds: str) -> list[Thing]:
        """Things of these kinds, or people of these occupations."""
        return [thing for thing in self.things if thing.kind in kinds or thing.label in kinds]

    def _add(self, kind: str, name: str) -> Thing:
        thing = Thing(kind, name)
        self.things.append(thing)
        return thing

    def _one_of(self, things: Iterable[Thing]) -> Thing | None:
        found = list(things)
        return self._dice.one_of(found) if found else None

    def _between(self, low: int, high: int) -> int:
        return low + self._dice.below(high - low + 1)

    # -- lands ------------------------------------------------------------------------------

    def _make_lands(self) -> None:
        seas = self._names.seas()
        for _ in range(6):
            name, adjective = self._names.country()
            country = self._add("country", name)
            country.words["adjective"] = adjective
            country.words["heights"] = self._names.heights()
            country.numbers["founded"] = self._between(1100, 1650)
        for index in range(15):
            river = self._add("river", self._names.river())
            river.links["country"] = self.of("country")[index % 6]
            river.words["source"] = self._names.heights()
            river.words["sea"] = self._dice.one_of(seas)
            river.numbers["length"] = self._between(60, 900)
        for _ in range(44):
            town = self._add("town", self._names.town())
            town.links["river"] = self._dice.one_of(self.of("river"))
            town.links["country"] = town.links["river"].links["country"]
            town.words["known_for"] = self._dice.one_of(_KNOWN_FOR)
            town.numbers["founded"] = self._between(870, 1450)
            town.numbers["people"] = self._between(4_000, 400_000)
        for country in self.of("country"):
            homes = [town for town in self.of("town") if town.links["country"] is country]
            country.links["capital"] = max(homes, key=lambda town: town.numbers["people"])

    # -- people -----------------------------------------------------------------------------

    def _person(self, occupation: str, born: int) -> Thing:
        she = self._dice.chance(45)
        person = self._add("person", self._names.person(she=she))
        person.words.update(occupation=occupation, she="yes" if she else "")
        person.links["birthplace"] = self._dice.one_of(self.of("town"))
        person.numbers.update(born=born, died=born + self._between(63, 91))
        return person

    def _make_universities(self) -> None:
        for _ in range(14):
            founded = self._between(1480, 1700)
            founder = self._person("scholar", founded - self._between(32, 55))
            town = self._dice.one_of(self.of("town"))
            name = f"University of {town.name}"
            if any(thing.name == name for thing in self.things):
                name = f"{founder.name.split()[1]} Institute of {town.name}"
            university = self._add("university", name)
            university.links.update(founder=founder, town=town)
            university.numbers.update(founded=founded, students=self._between(900, 30_000))
            founder.links["founded"] = university

    def _make_people(self) -> None:
        for occupation, (n, earliest, latest) in OCCUPATIONS.items():
            for _ in range(n):
                person = self._person(occupation, self._between(earliest, latest))
                person.links["university"] = self._dice.one_of(self.of("university"))
                person.words["subject"] = self._dice.one_of(SUBJECTS[occupation])
                person.numbers["prize"] = person.numbers["born"] + self._between(35, 60)
                person.words["prize"] = self._dice.one_of(_PRIZES)
        for person in self.of("painter", "composer", "astronomer", "historian", "architect"):
            born = person.numbers["born"]
            teacher = self._one_of(
                other
                for other in self.of(person.label)
                if 18 <= born - other.numbers["born"] <= 45 and "teacher" not in other.links
            )
            if teacher:
                person.links["teacher"] = teacher

    # -- houses -----------------------------------------------------------------------------

    def _make_houses(self) -> None:
        founders = sorted(self.of("industrialist"), key=lambda person: person.numbers["born"])
        for index, founder in enumerate(founders):
            surname = founder.name.split()[1]
            kind = "publisher" if index < 14 else "studio"
            ends = ("Press", "and Daughters", "Books") if kind == "publisher" else ("Pictures",)
            name = f"{surname} {self._dice.one_of(ends)}"
            if any(thing.name == name for thing in self.things):
                name = f"{founder.name} {ends[0]}"
            house = self._add(kind, name)
            house.links.update(founder=founder, town=self._dice.one_of(self.of("town")))
            house.numbers["founded"] = founder.numbers["born"] + self._between(26, 48)
            founder.links["founded"] = house
        for architect in self.of("architect"):
            town = self._dice.one_of(self.of("town"))
            name = f"{self._names.surname()} Museum of {town.name}"
            museum = self._add("museum", name)
            museum.links.update(architect=architect, town=town)
            museum.numbers["founded"] = architect.numbers["born"] + self._between(30, 58)
            museum.words["known_for"] = self._dice.one_of(_KNOWN_FOR)
            architect.links["built"] = museum

    # -- works and events -------------------------------------------------------------------

    def _make_works(self) -> None:
        for maker in self.of(*_MADE):
            for number in range(2):
                work = self._add(_MADE[maker.label], self._names.work())
                year = maker.numbers["born"] + self._between(24, 40) + 18 * number
                work.numbers["year"] = year
                work.links["maker"] = maker
                work.links["setting"] = self._dice.one_of(self.of("town"))
                maker.links[("first", "second")[number]] = work
                self._place_work(work, year)

    def _place_work(self, work: Thing, year: int) -> None:
        if work.kind in ("novel", "film"):
            house = self._one_of(
                house
                for house in self.of("publisher" if work.kind == "novel" else "studio")
                if house.numbers["founded"] <= year
            )
            if house:
                work.links["house"] = house
        elif work.kind == "painting":
            work.links["house"] = self._dice.one_of(self.of("museum"))
        else:
            work.links["premiere"] = self._dice.one_of(self.of("town"))

    def _make_events(self) -> None:
        for leader in self.of("general", "explorer"):
            kind = "battle" if leader.label == "general" else "expedition"
            town = self._dice.one_of(self.of("town"))
            name = f"Battle of {town.name}" if kind == "battle" else f"{town.name} Expedition"
            if any(thing.name == name for thing in self.things):
                name = f"{('Second', 'Great')[kind == 'expedition']} {name}"
            if any(thing.name == name for thing in self.things):
                continue
            event = self._add(kind, name)
            event.links.update(leader=leader, town=town)
            event.numbers["year"] = leader.numbers["born"] + self._between(28, 58)
            event.words["heights"] = self._names.heights()
            event.numbers["men"] = self._between(12, 90) * (100 if kind == "battle" else 1)
            leader.links["led"] = event
        for _ in range(16):
            town = self._dice.one_of(self.of("town"))
            name = f"{town.name} {self._dice.one_of(_FESTIVALS)} Festival"
            if any(thing.name == name for thing in self.things):
                continue
            founder = self._dice.one_of(self.of("novelist", "composer", "film director"))
            festival = self._add("festival", name)
            festival.links.update(leader=founder, town=town)
            festival.numbers["year"] = founder.numbers["born"] + self._between(30, 60)

    # -- names that mean several things -----------------------------------------------------

    def _share_names(self) -> None:
        """Give some people one name, and name some works after towns or rivers."""
        people = self.of(*_MADE, "astronomer", "historian", "explorer")
        for _ in range(14):
            one, other = self._dice.one_of(people), self._dice.one_of(people)
            if one.label == other.label or one.title or other.title:
                continue
            if one.words["she"] != other.words["she"]:
                continue
            other.name = one.name
            for person in (one, other):
                person.title = f"{person.name} ({person.label})"
        for work in self.of("novel", "film", "opera")[::9]:
            place = self._dice.one_of(self.of("town", "river"))
            if place.title:
                continue
            work.name = place.name
            for thing in (work, place):
                thing.title = f"{thing.name} ({thing.kind})"
