"""The expert's thoughts: why it takes an action, in one or two sentences.

A thought is put together from a remark on the latest observation and a reason for the next action,
each in one of several wordings. It names only numbered things that an observation has shown, and
says nothing about a place that was not looked at beyond what is usual in homes. The wording is
chosen by seed, opening text, turn and observation, and not soon used again.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from sad_envs.alfworld import phrases
from sad_envs.alfworld.knowledge import (
    STATES,
    TOOLS,
    article,
    plural,
    preposition,
    type_of,
    usual_places,
)
from sad_envs.alfworld.memory import Event, Memory

_RECENT = 24
"""How many wordings are remembered so as not to be used again soon."""
_NUMBERS = (
    *("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    *("nineteen", "twenty"),
)


@dataclass(frozen=True)
class Step:
    """An action and its reason, a key of `phrases.REASONS`; `place` and `thing` as it needs."""

    action: str
    reason: str
    place: str = ""
    thing: str = ""


class Narrator:
    """Says the thoughts of one episode."""

    def __init__(self, seed: int, opening: str) -> None:
        self._source = f"{seed}\n{opening}"
        self._turn = 0
        self._recent: deque[str] = deque(maxlen=_RECENT)

    def say(self, observation: str, memory: Memory, event: Event, step: Step) -> str:
        """The thought for `step`, after `event`, which is what `observation` told."""
        random = Random(f"{self._turn}\n{observation}\n{self._source}")
        self._turn += 1
        words = _words(memory, event, step)
        remark = _remark(memory, event, step)
        reason = _reason(memory, event, step)
        parts = [self._choose(phrases.REMARKS[remark], random)] if remark else []
        parts.append(self._choose(phrases.REASONS[reason], random))
        return " ".join(_sentence(part.format_map(words)) for part in parts)

    def _choose(self, wordings: Sequence[str], random: Random) -> str:
        fresh = [w for w in wordings if w not in self._recent] or [
            w for w in wordings if w != self._recent[-1]
        ]
        chosen = random.choice(fresh)
        self._recent.append(chosen)
        return chosen


def _remark(memory: Memory, event: Event, step: Step) -> str:
    """Key of the remark on what was just observed; empty where the reason says it all."""
    if event.kind == "start":
        goal = memory.goal
        if goal.lamp:
            return "plan_lamp"
        if goal.count > 1:
            return "plan_two"
        return "plan_treat" if goal.treatment else "plan_put"
    if event.kind in ("arrived", "opened"):
        return _sight(memory, event, step)
    if (
        event.kind == "placed"
        and memory.goal.count > 1
        and type_of(event.thing) == (memory.goal.thing)
    ):
        return "one_placed"
    if event.kind == "took":
        return "took" if step.reason == "search" else ""
    if event.kind == "closed" and step.reason == "search_open":
        return ""
    return event.kind if event.kind in phrases.REMARKS else ""


def _sight(memory: Memory, event: Event, step: Step) -> str:
    """Key of the remark on a place whose contents came into view."""
    if step.reason in ("place", "treat", "light", "take", "to_tool", "deliver"):
        return ""
    contents = memory.places[event.place].contents or []
    goal = memory.goal
    kinds = [type_of(thing) for thing in contents]
    if goal.lamp in kinds and goal.thing not in kinds and not memory.holding:
        return "lamp_first"
    if goal.thing in kinds and not memory.holding:
        return "spare_found"
    if not contents:
        return "empty"
    return "only" if len(contents) <= 3 else "many"


def _reason(memory: Memory, event: Event, step: Step) -> str:
    """Key of the reason, more particular where there is more to say."""
    goal = memory.goal
    if step.reason == "search":
        return _search_reason(memory, event, step)
    if step.reason == "take":
        if event.kind not in ("arrived", "opened"):
            return "take_later"
        return "take_lamp" if goal.lamp else "take_treat" if goal.treatment else "take"
    if step.reason in ("deliver", "place") and goal.count > 1:
        inside = [t for t in memory.places[step.place].contents or () if type_of(t) == goal.thing]
        if step.reason == "deliver":
            return "deliver" if inside else "deliver_first"
        return "place_second" if inside else "place_first"
    if step.reason == "deliver":
        return "deliver_treated" if event.kind == "treated" else "deliver"
    return step.reason


def _search_reason(memory: Memory, event: Event, step: Step) -> str:
    wanted = _looked_for(memory)
    kind = type_of(step.place)
    seen = [place for place in memory.places.values() if place.contents is not None]
    same = [place for place in seen if place.kind == kind]
    if event.kind == "start":
        if kind in usual_places(wanted, {place.kind for place in memory.places.values()}):
            return "search_first_usual"
        return "search_first"
    if memory.took_something and (same or len(seen) > 5):
        return "search_more"
    if same:
        return "search_same_many" if len(same) > 1 else "search_same"
    if kind in usual_places(wanted, {place.kind for place in memory.unseen()}):
        return "search_usual"
    return "search_long" if len(seen) > 5 else "search"


def _looked_for(memory: Memory) -> str:
    goal = memory.goal
    if memory.holding or (goal.lamp and memory.sightings(goal.thing)):
        return goal.lamp or goal.thing
    return goal.thing


def _words(memory: Memory, event: Event, step: Step) -> dict[str, str]:
    """What the wordings may speak of."""
    goal, wanted = memory.goal, _looked_for(memory)
    place = step.place or event.place
    tool = TOOLS.get(goal.treatment, "")
    here = memory.places[event.place].contents or [] if event.place in memory.places else []
    words = {
        "a_thing": article(goal.thing),
        "thing": goal.thing,
        "things": plural(goal.thing),
        "a_wanted": article(wanted),
        "wanted": wanted,
        "wanteds": plural(wanted),
        "place": place,
        "in_place": f"{preposition(type_of(place))} {place}",
        "kind": type_of(place),
        "kinds": plural(type_of(place)),
        "a_kind": article(type_of(place)),
        "in_kind": f"{preposition(type_of(place))} {article(type_of(place))}",
        "in_another_kind": f"{preposition(type_of(place))} another {type_of(place)}",
        "event_place": event.place,
        "in_event_place": f"{preposition(type_of(event.place))} {event.place}",
        "event_thing": event.thing,
        "obj": step.thing or memory.holding,
        "held": memory.holding,
        "clean": goal.treatment,
        "cleaned": {"clean": "cleaned", "heat": "heated", "cool": "cooled"}.get(goal.treatment, ""),
        "state": STATES.get(goal.treatment, ""),
        "tool": tool,
        "lamp": goal.lamp,
        "contents": _listing(here, "and"),
        "spare": next((thing for thing in here if type_of(thing) == goal.thing), ""),
        "seen_lamp": next((thing for thing in here if type_of(thing) == goal.lamp), ""),
        "n_seen": _number(sum(p.contents is not None for p in memory.places.values())),
        "n_same": _number(
            sum(p.contents is not None and p.kind == type_of(place) for p in memory.places.values())
        ),
    }
    if goal.place:
        alone = sum(p.kind == goal.place for p in memory.places.values()) == 1
        one = f"the {goal.place}" if alone else article(goal.place)
        words |= {"goal": one, "in_goal": f"{preposition(goal.place)} {one}"}
    return words


def _listing(names: Sequence[str], joint: str) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {joint} {names[-1]}"


def _number(n: int) -> str:
    return _NUMBERS[n] if n < len(_NUMBERS) else f"more than {_NUMBERS[-1]}"


def _sentence(text: str) -> str:
    """The text with capitals where sentences begin."""
    return re.sub(r"(^|[.!?] )([a-z])", lambda m: m[1] + m[2].upper(), text)
