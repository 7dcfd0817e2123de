"""Homes for generated games: which receptacles a room has, and what lies where.

The tables `homes.toml` (rooms) and `goals.toml` (what is asked for) hold frequencies of the
released games. A home is drawn from them for one goal and always admits it: the goal receptacle
and the appliances are there, the objects that the task is about can be reached, and

- not all of them lie in the receptacle that the opening text names first;
- for put and puttwo, none of them lies in a receptacle of the goal's kind;
- for clean, heat and cool, none of them lies in the appliance that does it.

Identifiers have the released games' form, `Apple_bar__plus_01_dot_24_bar_…`: a kind and where the
thing stands. Names follow from them as upstream has it, by falling identifier.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from sad_envs.dice import Dice

APPLIANCES = {"clean": "SinkBasin", "heat": "Microwave", "cool": "Fridge"}
"""What an object is treated with, by type of task."""

_MANY = 99
"""Objects that a receptacle takes when the home is furnished, unless it holds a single one."""


@dataclass(frozen=True)
class Goal:
    """What a task asks for. In an examine task `receptacle` is the lamp, `DeskLamp`."""

    task_type: str
    room: str
    target: str
    receptacle: str

    @property
    def n_needed(self) -> int:
        """How many objects must be brought."""
        return 2 if self.task_type == "puttwo" else 1

    @property
    def shunned(self) -> str:
        """The kind of receptacle in which no target begins; empty for examine."""
        if self.task_type in ("put", "puttwo"):
            return self.receptacle
        return APPLIANCES.get(self.task_type, "")


@dataclass(frozen=True)
class Receptacle:
    """A receptacle; `place` is where one stands to reach it, which others may share."""

    kind: str
    id: str
    name: str
    place: str
    openable: bool


@dataclass(frozen=True)
class Object:
    """An object; `receptacle` is the identifier of what it lies in or on."""

    kind: str
    id: str
    name: str
    receptacle: str


@dataclass(frozen=True)
class Home:
    """A furnished room. Receptacles are in the order of the opening text; `start` is a place."""

    room: str
    start: str
    receptacles: tuple[Receptacle, ...]
    objects: tuple[Object, ...]


@dataclass(frozen=True)
class ObjectTable:
    """Weights of how many objects of a kind there are, and of the receptacles they lie in."""

    count: Mapping[int, int]
    hosts: Mapping[str, int]


@dataclass(frozen=True)
class RoomTable:
    """One kind of room; see `homes.toml`."""

    least: Mapping[str, int]
    openable: Mapping[str, int]
    beside: Mapping[str, int]
    receptacles: Mapping[str, Mapping[int, int]]
    objects: Mapping[str, ObjectTable]
    lamp: Mapping[str, int]


@dataclass(frozen=True)
class TaskTable:
    """One type of task; see `goals.toml`."""

    targets: Mapping[int, int]
    drawers: int
    goals: Mapping[Goal, int]


@dataclass(frozen=True)
class Tables:
    """What `homes.toml` and `goals.toml` say."""

    rooms: Mapping[str, RoomTable]
    tasks: Mapping[str, TaskTable]
    properties: Mapping[str, frozenset[str]]
    accepts: Mapping[str, frozenset[str]]
    single: frozenset[str]


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The tables that come with the package."""
    homes, goals = _read("homes.toml"), _read("goals.toml")
    return Tables(
        rooms={
            room: RoomTable(
                least=table["least"],
                openable=table["openable"],
                beside=table["beside"],
                receptacles={k: _by_number(v) for k, v in table["receptacles"].items()},
                objects={
                    kind: ObjectTable(dict(enumerate(row["count"])), row["in"])
                    for kind, row in table["objects"].items()
                },
                lamp=homes["lamp"].get(room, {}),
            )
            for room, table in homes["rooms"].items()
        },
        tasks={
            task_type: TaskTable(
                targets=dict(enumerate(table["targets"])),
                drawers=table["drawers"],
                goals={
                    Goal(task_type, room, target, receptacle): weight
                    for room in homes["rooms"]
                    for target, receptacles in table.get(room, {}).items()
                    for receptacle, weight in receptacles.items()
                },
            )
            for task_type, table in goals.items()
        },
        properties={name: frozenset(kinds.split()) for name, kinds in homes["kinds"].items()},
        accepts={name: frozenset(kinds.split()) for name, kinds in homes["accepts"].items()},
        single=frozenset(homes["single"].split()),
    )


def furnish(dice: Dice, goal: Goal) -> Home:
    """Draw a home in which `goal` can be reached, and is not at the start."""
    room = tables().rooms[goal.room]
    lamp_host = dice.weighted(room.lamp) if goal.task_type == "examine" else None
    hosts = _target_hosts(goal)
    counts = _count_receptacles(dice, room, lamp_host or goal.receptacle)
    while _room_for(counts, hosts) < goal.n_needed or not _beyond_first(counts, hosts):
        counts[dice.weighted(hosts)] += 1
    places: dict[str, None] = {}
    receptacles = _stand(dice, room, counts, places)

    contents = _Contents(dice, receptacles)
    if lamp_host:
        contents.add("DeskLamp", {lamp_host: 1})
    contents.add(goal.target, hosts, without=receptacles[0])
    for _ in range(dice.weighted(tables().tasks[goal.task_type].targets) - 1):
        contents.add(goal.target, hosts)
    for kind, n in _count_others(dice, room, (goal.target, goal.receptacle)).items():
        for _ in range(n):
            contents.add(kind, room.objects[kind].hosts)
    return Home(goal.room, _free_place(dice, places), receptacles, contents.objects())


def _target_hosts(goal: Goal) -> dict[str, int]:
    """Weights, in hundredths of percent, of the kinds of receptacle in which a target begins."""
    scaled = {"Drawer": tables().tasks[goal.task_type].drawers}
    return {
        kind: weight * scaled.get(kind, 100)
        for kind, weight in tables().rooms[goal.room].objects[goal.target].hosts.items()
        if kind != goal.shunned
    }


def _count_receptacles(dice: Dice, room: RoomTable, needed: str) -> dict[str, int]:
    """How many there are of each kind, at least one of `needed`; drawn again if too few."""
    while True:
        counts = {}
        for kind, weights in room.receptacles.items():
            options = {n: w for n, w in weights.items() if n > 0} if kind == needed else weights
            counts[kind] = dice.weighted(options)
        enough = sum(counts.values()) >= room.least["receptacles"]
        if enough and sum(n > 0 for n in counts.values()) >= room.least["kinds"]:
            return counts


def _count_others(dice: Dice, room: RoomTable, without: Sequence[str]) -> dict[str, int]:
    """How many objects there are of kinds that the task is not about; again if too few."""
    while True:
        counts = {
            kind: dice.weighted(table.count)
            for kind, table in room.objects.items()
            if kind not in without
        }
        if sum(counts.values()) >= room.least["objects"]:
            return counts


def _room_for(counts: Mapping[str, int], hosts: Iterable[str]) -> int:
    """How many objects the receptacles of the kinds `hosts` take."""
    return sum(counts[kind] * (1 if kind in tables().single else _MANY) for kind in hosts)


def _beyond_first(counts: Mapping[str, int], hosts: Iterable[str]) -> bool:
    """Whether one of `hosts` is not the receptacle that the opening text will name first."""
    first = min((kind for kind in counts if counts[kind]), key=lambda kind: f"{kind.lower()}_")
    return sum(counts[kind] for kind in hosts) > (1 if first in hosts else 0)


def _stand(
    dice: Dice, room: RoomTable, counts: Mapping[str, int], places: dict[str, None]
) -> tuple[Receptacle, ...]:
    """Place the receptacles; in the order of the opening text."""
    drawn: dict[str, tuple[str, str, bool]] = {}
    for kind, n in counts.items():
        beside = room.beside.get(kind, 0)
        single: str | None = None
        for _ in range(n):
            # Pairing at this rate leaves `beside` percent of the receptacles in pairs.
            if single is not None and dice.below(200 - beside) < beside:
                place, single = single, None
            else:
                place = single = _free_place(dice, places)
            drawn[_free_id(dice, kind, drawn)] = (
                kind,
                place,
                dice.chance(room.openable.get(kind, 0)),
            )
    return tuple(
        Receptacle(drawn[identifier][0], identifier, name, *drawn[identifier][1:])
        for identifier, name in _named((i, kind) for i, (kind, _, _) in drawn.items())
    )


class _Contents:
    """Objects as they are put in receptacles."""

    def __init__(self, dice: Dice, receptacles: tuple[Receptacle, ...]) -> None:
        self._dice = dice
        self._by_kind: dict[str, list[Receptacle]] = {}
        for receptacle in receptacles:
            self._by_kind.setdefault(receptacle.kind, []).append(receptacle)
        self._full: set[str] = set()
        self._lying: dict[str, tuple[str, str]] = {}

    def add(self, kind: str, hosts: Mapping[str, int], without: Receptacle | None = None) -> None:
        """Put one more object of `kind` in one of `hosts`; none when nothing has room for it."""
        free = {
            host: [
                r for r in self._by_kind.get(host, ()) if r.id not in self._full and r != without
            ]
            for host in hosts
        }
        weights = {host: weight for host, weight in hosts.items() if free[host]}
        if not weights:
            return
        receptacle = self._dice.one_of(free[self._dice.weighted(weights)])
        if receptacle.kind in tables().single:
            self._full.add(receptacle.id)
        self._lying[_free_id(self._dice, kind, self._lying)] = (kind, receptacle.id)

    def objects(self) -> tuple[Object, ...]:
        """What was put in place, by identifier."""
        return tuple(
            Object(self._lying[identifier][0], identifier, name, self._lying[identifier][1])
            for identifier, name in _named((i, kind) for i, (kind, _) in self._lying.items())
        )


def _named(things: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Identifiers with names: a kind's numbers fall as its identifiers rise. By identifier."""
    ordered = sorted(things, key=lambda thing: thing[0].lower())
    left = Counter(kind for _, kind in ordered)
    named = []
    for identifier, kind in ordered:
        named.append((identifier, f"{kind.lower()} {left[kind]}"))
        left[kind] -= 1
    return named


def _free_id(dice: Dice, kind: str, taken: Mapping[str, object]) -> str:
    """An identifier of `kind`: where the thing stands, in hundredths of a metre."""
    while True:
        spot = (dice.below(800) - 400, dice.below(240), dice.below(800) - 400)
        coordinates = "".join(
            f"_bar__{'minus' if c < 0 else 'plus'}_{abs(c) // 100:02}_dot_{abs(c) % 100:02}"
            for c in spot
        )
        # A basin is a part of what it is the basin of.
        whole = kind.removesuffix("Basin")
        identifier = f"{whole}{coordinates}" + (f"_bar_{kind}" if whole != kind else "")
        if identifier not in taken:
            return identifier


def _free_place(dice: Dice, taken: dict[str, None]) -> str:
    """A place to stand, and a way to look; it is taken from now on."""
    while True:
        x, z = dice.below(32) - 16, dice.below(32) - 16
        parts = (x, z, dice.below(4), 15 * dice.below(5))
        place = "loc" + "".join(f"_bar_{'_minus_' if p < 0 else ''}{abs(p)}" for p in parts)
        if place not in taken:
            taken[place] = None
            return place


def _by_number(weights: Mapping[str, int]) -> dict[int, int]:
    return {int(number): weight for number, weight in weights.items()}


def _read(name: str) -> dict[str, Any]:
    text = resources.files("sad_envs.alfworld").joinpath(name).read_text(encoding="utf-8")
    return tomllib.loads(text)
