"""A shortest solution of a generated game, found by trying every sensible way.

A way is a choice of objects, of the appliance, and of the receptacle they end in. What has to be
done for a choice leaves nothing to decide, so the shortest over all choices is a shortest solution.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from sad_envs.alfworld.homes import APPLIANCES, Goal, Home, Object, Receptacle


def shortest_walkthrough(home: Home, goal: Goal) -> tuple[str, ...]:
    """Commands that win the game from its start; of several the one with the lowest numbers."""
    return min(_ways(home, goal), key=len)


class _Way:
    """Commands as they are given, and what they have changed."""

    def __init__(self, start: str) -> None:
        self.commands: list[str] = []
        self._place = start
        self._opened: set[str] = set()

    def go(self, receptacle: Receptacle) -> None:
        """Stand where `receptacle` is reached, which may be here."""
        if receptacle.place != self._place:
            self.commands.append(f"go to {receptacle.name}")
            self._place = receptacle.place

    def take(self, item: Object, receptacle: Receptacle) -> None:
        self._reach(receptacle)
        self.commands.append(f"take {item.name} from {receptacle.name}")

    def treat(self, verb: str, item: Object, appliance: Receptacle) -> None:
        self.go(appliance)
        self.commands.append(f"{verb} {item.name} with {appliance.name}")

    def move(self, item: Object, receptacle: Receptacle) -> None:
        self._reach(receptacle)
        self.commands.append(f"move {item.name} to {receptacle.name}")

    def use(self, item: Object, receptacle: Receptacle) -> None:
        self.go(receptacle)
        self.commands.append(f"use {item.name}")

    def _reach(self, receptacle: Receptacle) -> None:
        self.go(receptacle)
        if receptacle.openable and receptacle.id not in self._opened:
            self._opened.add(receptacle.id)
            self.commands.append(f"open {receptacle.name}")


def _ways(home: Home, goal: Goal) -> Iterator[tuple[str, ...]]:
    # Lists are in the order of the texts, where numbers fall.
    receptacles = {receptacle.id: receptacle for receptacle in reversed(home.receptacles)}
    targets = [item for item in reversed(home.objects) if item.kind == goal.target]
    ends = _of_kind(receptacles, goal.receptacle)
    if goal.task_type == "examine":
        for lamp in home.objects:
            if lamp.kind == goal.receptacle:
                for item in targets:
                    way = _Way(home.start)
                    way.take(item, receptacles[item.receptacle])
                    way.use(lamp, receptacles[lamp.receptacle])
                    yield tuple(way.commands)
    elif goal.task_type in APPLIANCES:
        for appliance in _of_kind(receptacles, APPLIANCES[goal.task_type]):
            for item in targets:
                for end in ends:
                    way = _Way(home.start)
                    way.take(item, receptacles[item.receptacle])
                    way.treat(goal.task_type, item, appliance)
                    way.move(item, end)
                    yield tuple(way.commands)
    else:
        for items in permutations(targets, goal.n_needed):
            for end in ends:
                way = _Way(home.start)
                for item in items:
                    way.take(item, receptacles[item.receptacle])
                    way.move(item, end)
                yield tuple(way.commands)


def _of_kind(receptacles: dict[str, Receptacle], kind: str) -> list[Receptacle]:
    return [receptacle for receptacle in receptacles.values() if receptacle.kind == kind]
