"""The ALFWorld expert: finds things as a person would who knows homes, and says why it acts.

It acts only on what it has observed: the opening text and the answers to its actions, kept in
`sad_envs.alfworld.memory`. It reads nothing of `info`. Places not yet seen are searched in the
order of chance per step (`sad_envs.alfworld.knowledge`), everything seen is remembered, and no
place is looked at twice before all were looked at once. Feedback that contradicts a belief drops
the belief, so it can go on from states that another agent led to.

A policy begins anew at each opening text and may play any number of episodes. Actions depend on
observations alone; thoughts also on the seed, the opening text and the turn. Both are the same in
every process.
"""

from __future__ import annotations

from dataclasses import dataclass

from sad_envs.alfworld.knowledge import STATES, TOOLS, chance, door_chance, type_of
from sad_envs.alfworld.memory import Event, Memory, Place, begins_task, read_opening
from sad_envs.alfworld.thoughts import Narrator, Step
from sad_envs.base import EnvError, Info, Policy

_NEXT_TO_NOTHING = 1e-6


def make_expert(seed: int) -> Policy:
    """A policy that solves household tasks from what it observes; `seed` varies its thoughts."""
    return Expert(seed)


@dataclass
class Expert:
    """The policy of `make_expert`. Raises `EnvError` for an opening text or goal it cannot read."""

    seed: int
    _memory: Memory | None = None
    _narrator: Narrator | None = None
    _action: str = ""

    def __call__(self, observation: str, info: Info) -> tuple[str, str]:
        """The thought and action of one turn, given the latest observation."""
        if begins_task(observation):
            self._memory = read_opening(observation)
            self._narrator = Narrator(self.seed, observation)
            event = Event("start")
        elif self._memory is not None:
            event = self._memory.update(observation, self._action)
        if self._memory is None or self._narrator is None:
            raise EnvError("the expert has seen no opening text; give it the one reset returned")
        step = decide(self._memory)
        self._action = step.action
        return self._narrator.say(observation, self._memory, event, step), step.action


def decide(memory: Memory) -> Step:
    """The next action and its reason."""
    goal, held = memory.goal, memory.holding
    if held and type_of(held) != goal.thing:
        return _lay_down(memory)
    if held and goal.lamp:
        return _to_lamp(memory)
    if held and _lacks(memory, held):
        return _treat(memory)
    if held:
        return _deliver(memory)
    return _fetch(memory) or _search(memory)


def _lacks(memory: Memory, thing: str) -> bool:
    """Whether an object still has to be treated."""
    treatment = memory.goal.treatment
    return bool(treatment) and STATES[treatment] not in memory.states.get(thing, ())


def _fetch(memory: Memory) -> Step | None:
    """Take an object of the wanted type that is known and of use, the nearest first."""
    home = _destination(memory) if memory.goal.count > 1 else None
    useful = [
        (thing, place)
        for thing, place in memory.sightings(memory.goal.thing)
        if not place.blocked and place is not home
    ]
    if not useful:
        return None
    thing, place = min(useful, key=lambda found: _effort(memory, found[1]))
    return _reach(memory, place, "fetch", thing) or Step(
        f"take {thing} from {place.name}", "take", place.name, thing
    )


def _search(memory: Memory) -> Step:
    """Look at the place where the chance per step of finding what is missing is best."""
    unseen = memory.unseen()
    if not unseen:
        return _search_again(memory)
    missing = _missing(memory)
    order = list(memory.places)

    def merit(place: Place) -> tuple[float, int, int]:
        value = sum(chance(kind, place.kind) for kind in missing)
        if place.kind == memory.goal.place and not memory.goal.treatment and memory.goal.count == 1:
            # Had one been there, the task would have been done from the start.
            value = _NEXT_TO_NOTHING
        number = int(place.name.rpartition(" ")[2])
        return -value / (_effort(memory, place) or 0.5), number, order.index(place.name)

    place = min(unseen, key=merit)
    return _reach(memory, place, "search", "") or Step(
        f"examine {place.name}", "examine", place.name
    )


def _search_again(memory: Memory) -> Step:
    """Forget what was seen, but not the doors; when all is blocked, unblock it."""
    for place in memory.places.values():
        place.contents, place.blocked = None, False
    memory.failures.clear()
    memory.beside.clear()
    elsewhere = [name for name in memory.places if name != memory.here]
    if not elsewhere:
        return Step("look", "again")
    return Step(f"go to {elsewhere[0]}", "again", elsewhere[0])


def _missing(memory: Memory) -> list[str]:
    """Types of which a useful object has yet to be seen."""
    goal = memory.goal
    missing = [] if memory.holding or (goal.lamp and memory.sightings(goal.thing)) else [goal.thing]
    if goal.lamp and not memory.sightings(goal.lamp):
        missing.append(goal.lamp)
    return missing


def _treat(memory: Memory) -> Step:
    """Take the held object to the tool and use it; its door may be closed."""
    treatment, held = memory.goal.treatment, memory.holding
    tools = [p for p in memory.places.values() if p.kind == TOOLS[treatment] and not p.blocked]
    if not tools:
        return _search(memory)
    tool = min(tools, key=lambda place: _effort(memory, place))
    if not memory.is_here(tool):
        return Step(f"go to {tool.name}", "to_tool", tool.name, held)
    return Step(f"{treatment} {held} with {tool.name}", "treat", tool.name, held)


def _deliver(memory: Memory) -> Step:
    """Put the held object where it belongs."""
    place, held = _destination(memory), memory.holding
    if place is None:
        return _search(memory)
    return _reach(memory, place, "deliver", held) or Step(
        _placing(memory, held, place), "place", place.name, held
    )


def _destination(memory: Memory) -> Place | None:
    """The goal receptacle: the one with most of the wanted objects, then the easiest to use."""
    wanted, two = memory.goal.thing, memory.goal.count > 1

    def merit(place: Place) -> tuple[int, float, int]:
        inside = sum(type_of(thing) == wanted for thing in place.contents or ())
        number = int(place.name.rpartition(" ")[2])
        return -inside if two else 0, _effort(memory, place), number

    places = [p for p in memory.places.values() if p.kind == memory.goal.place and not p.blocked]
    return min(places, key=merit, default=None)


def _to_lamp(memory: Memory) -> Step:
    """Bring the held object to a lamp and turn it on."""
    lamps = memory.sightings(memory.goal.lamp)
    if not lamps:
        return _search(memory)
    lamp, place = min(lamps, key=lambda found: _effort(memory, found[1]))
    return _reach(memory, place, "to_lamp", lamp) or Step(f"use {lamp}", "light", place.name, lamp)


def _lay_down(memory: Memory) -> Step:
    """Get rid of an object that is not wanted, where that takes least and has not failed."""
    held = memory.holding
    places = [p for p in memory.places.values() if not p.blocked] or list(memory.places.values())
    place = min(places, key=lambda place: _effort(memory, place))
    return _reach(memory, place, "rid", held) or Step(
        _placing(memory, held, place), "rid", place.name, held
    )


def _reach(memory: Memory, place: Place, reason: str, thing: str) -> Step | None:
    """Go to a place and open it, as far as that is needed; None when it can be acted on."""
    if not memory.is_here(place):
        return Step(f"go to {place.name}", reason, place.name, thing)
    if place.door == "closed":
        return Step(f"open {place.name}", f"{reason}_open", place.name, thing)
    if place.door == "unknown":
        return Step(f"examine {place.name}", "examine", place.name, thing)
    return None


def _effort(memory: Memory, place: Place) -> float:
    """Steps it is expected to take until the place can be acted on."""
    door = {"closed": 1.0, "unknown": door_chance(place.kind)}.get(place.door, 0.0)
    return door + (not memory.is_here(place))


def _placing(memory: Memory, thing: str, place: Place) -> str:
    if memory.put_dialect:
        return f"put {thing} in/on {place.name}"
    return f"move {thing} to {place.name}"
