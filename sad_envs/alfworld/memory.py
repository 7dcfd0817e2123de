"""What a player of ALFWorld knows: the goal it was given, and what feedback has told it since.

Everything comes from observation texts; a game's state, its file and the admissible actions are out
of reach from here. A command matters only when it was answered `Nothing happens.`, which tells that
what the player believed about it was wrong. Texts of both dialects are understood, with or without
the banner; a text that is none of the known ones changes nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from sad_envs.alfworld.knowledge import STATES, type_of
from sad_envs.base import EnvError

GOAL_MARK = "Your task is to: "
FAILED = "Nothing happens."

_NAME = r"(\w+ \d+)"
_LISTED = re.compile(rf"\ban? {_NAME}")
_OPENING = re.compile(rf"you see (.*?)\.\s+{GOAL_MARK}(.*?)\.?\s*$", re.DOTALL)
_GOALS = (
    re.compile(r"(?:put|find) (?P<two>two) (?P<thing>\w+) (?:(?:in|on) |and put them (?:in|on) )"
               r"(?P<place>\w+)"),
    re.compile(r"(?P<treatment>clean|heat|cool) some (?P<thing>\w+) and put it (?:in|on) "
               r"(?P<place>\w+)"),
    re.compile(r"put an? (?P<state>clean|hot|cool) (?P<thing>\w+) (?:in|on) (?P<place>\w+)"),
    re.compile(r"(?:look at|examine) (?:an? |the )?(?P<thing>\w+) (?:under|with) (?:the )?"
               r"(?P<lamp>\w+)"),
    re.compile(r"put (?:an?|some) (?P<thing>\w+) (?:in|on) (?P<place>\w+)"),
)  # fmt: skip

_CONTENTS = re.compile(rf"(?:On the {_NAME}|The {_NAME} is open\. In it), you see (.*?)\.")
_CLOSED = re.compile(rf"The {_NAME} is closed\.|You close the {_NAME}\.")
_TOOK = re.compile(rf"You pick up the {_NAME} from the {_NAME}\.")
_PLACED = re.compile(rf"You (?:move|put) the {_NAME} (?:to|in/on) the {_NAME}\.")
_TREATED = re.compile(rf"You (heat|cool|clean) the {_NAME} using the {_NAME}\.")
_LIT = re.compile(rf"You turn on the {_NAME}\.")
_CARRIES = re.compile(rf"You are carrying: an? {_NAME}\.")


@dataclass(frozen=True)
class Goal:
    """A task: `count` objects of type `thing`, treated or not, to a `place`, or under a `lamp`."""

    thing: str
    place: str = ""
    treatment: str = ""
    lamp: str = ""
    count: int = 1


@dataclass
class Place:
    """A receptacle. `door` is `none`, `open`, `closed` or, before a look, `unknown`.

    `contents` is None until they were seen. `blocked` says that acting on the place has failed.
    """

    name: str
    door: str = "unknown"
    contents: list[str] | None = None
    blocked: bool = False

    @property
    def kind(self) -> str:
        """The receptacle's type."""
        return type_of(self.name)


@dataclass(frozen=True)
class Event:
    """What the latest observation told.

    `kind` is start, arrived, opened, closed, took, placed, treated, lit, failed or other.
    """

    kind: str
    place: str = ""
    thing: str = ""


@dataclass
class Memory:
    """Beliefs of one episode."""

    goal: Goal
    places: dict[str, Place]
    here: str = ""
    holding: str = ""
    took_something: bool = False
    put_dialect: bool = False
    states: dict[str, set[str]] = field(default_factory=dict)
    """States of objects that were treated, such as {"mug 1": {"clean"}}."""
    failures: Counter[str] = field(default_factory=Counter)
    """How often each command was answered `Nothing happens.`"""
    beside: dict[str, set[str]] = field(default_factory=dict)
    """Places that are reached by going to another; both directions."""

    def is_here(self, place: Place) -> bool:
        """Whether the place can be acted on without going anywhere."""
        return place.name == self.here or place.name in self.beside.get(self.here, ())

    def sightings(self, kind: str) -> list[tuple[str, Place]]:
        """Objects of a type where they were last seen, in the order of the opening text."""
        return [
            (thing, place)
            for place in self.places.values()
            for thing in place.contents or ()
            if type_of(thing) == kind
        ]

    def unseen(self) -> list[Place]:
        """Places whose contents were never seen."""
        return [p for p in self.places.values() if p.contents is None and not p.blocked]

    def update(self, observation: str, command: str) -> Event:
        """Learn from the answer to `command`."""
        if observation.strip() == FAILED:
            return self._fail(command)
        if "You arrive at loc " in observation:
            self.put_dialect = True
        if observation.startswith("You arrive at "):
            self.here = ""
        if match := _CONTENTS.search(observation):
            return self._look(match, observation)
        if match := _CLOSED.search(observation):
            place = self._place(match[1] or match[2])
            place.door = "closed"
            self._stand_at(place)
            return Event("closed", place.name)
        return self._handle(observation)

    def _look(self, match: re.Match[str], observation: str) -> Event:
        place = self._place(match[1] or match[2])
        place.door = "none" if match[1] else "open"
        place.contents = _LISTED.findall(match[3])
        self._stand_at(place)
        kind = "opened" if observation.startswith("You open") else "arrived"
        return Event(kind, place.name)

    def _handle(self, observation: str) -> Event:
        if match := _TOOK.search(observation):
            self._remove(match[1])
            self.holding, self.took_something = match[1], True
            return Event("took", match[2], match[1])
        if match := _PLACED.search(observation):
            place = self._place(match[2])
            self.holding = ""
            place.contents = [*(place.contents or ()), match[1]]
            return Event("placed", place.name, match[1])
        if match := _TREATED.search(observation):
            state = STATES[match[1]]
            states = self.states.setdefault(match[2], set())
            states -= {"hot": {"cool"}, "cool": {"hot"}}.get(state, set())
            states.add(state)
            return Event("treated", match[3], match[2])
        if match := _LIT.search(observation):
            return Event("lit", self.here, match[1])
        if match := _CARRIES.search(observation):
            self.holding = match[1]
        elif observation.startswith("You are not carrying anything"):
            self.holding = ""
        return Event("other")

    def _fail(self, command: str) -> Event:
        """Give up the belief that made a command look possible."""
        self.failures[command] += 1
        words = command.split()
        verb, names = words[0] if words else "", re.findall(_NAME, command)
        place = self.places.get(names[-1]) if names else None
        if verb == "go" and place is not None and self.here and self.failures[command] == 1:
            # Going nowhere is not admissible: the place shares its location with this one.
            group = {self.here, place.name} | self.beside.get(self.here, set())
            for name in group:
                self.beside[name] = group - {name}
        elif verb == "take" and len(names) == 2:
            self._remove(names[0])
        elif verb in ("move", "put") and self.failures[command] == 1:
            self.put_dialect = not self.put_dialect
        elif verb == "use" and names:
            self._remove(names[0])
        elif place is not None:
            place.blocked = self.failures[command] > 1
            for name in self.beside.pop(place.name, ()):
                self.beside[name].discard(place.name)
            self.here = ""
        return Event("failed", place.name if place else "")

    def _stand_at(self, place: Place) -> None:
        if not self.is_here(place):
            self.here = place.name

    def _place(self, name: str) -> Place:
        return self.places.setdefault(name, Place(name))

    def _remove(self, thing: str) -> None:
        for place in self.places.values():
            if place.contents and thing in place.contents:
                place.contents = [other for other in place.contents if other != thing]


def begins_task(observation: str) -> bool:
    """Whether the text opens an episode."""
    return GOAL_MARK in observation


def read_opening(observation: str) -> Memory:
    """What the opening text tells: the receptacles and the goal."""
    match = _OPENING.search(observation)
    if match is None:
        raise EnvError(
            f"the expert cannot read the opening text {observation[:80]!r}; expected a list of "
            f"receptacles and {GOAL_MARK.strip()!r}"
        )
    return Memory(
        goal=read_goal(match[2]),
        places={name: Place(name) for name in _LISTED.findall(match[1])},
    )


def read_goal(sentence: str) -> Goal:
    """The goal in a task sentence of any of the twelve templates."""
    for pattern in _GOALS:
        if match := pattern.fullmatch(sentence.strip().rstrip(".")):
            parts = match.groupdict()
            treatment_of = {state: treatment for treatment, state in STATES.items()}
            return Goal(
                thing=parts["thing"],
                place=parts.get("place", ""),
                treatment=parts.get("treatment") or treatment_of.get(parts.get("state", ""), ""),
                lamp=parts.get("lamp", ""),
                count=2 if parts.get("two") else 1,
            )
    raise EnvError(
        f"the expert cannot read the goal {sentence[:80]!r}; expected one of ALFWorld's sentences, "
        "such as 'put a mug in desk'"
    )
