"""What is true in a game, as plain data: relations between numbered objects.

Objects are numbered in the order of their ids, so that sorting rows sorts by id, which is the order
in which the reference implementation lists things. A relation keeps an index for every set of
argument positions that something looked it up by, and keeps it true while rows come and go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeAlias

from sad_envs.alfworld.game import GameError
from sad_envs.alfworld.pddl import ROOT, Domain, Problem

Row: TypeAlias = tuple[int, ...]
"""Object numbers; -1 stands for a name that is no object."""


class Relation:
    """The rows for which a predicate is true."""

    __slots__ = ("_indexes", "rows")

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows = set(rows)
        self._indexes: dict[tuple[int, ...], dict[Any, set[Row]]] = {}

    def index(self, positions: tuple[int, ...]) -> dict[Any, set[Row]]:
        """Rows by the values at `positions`: a number for one position, else a tuple."""
        index = self._indexes.get(positions)
        if index is None:
            index = {}
            key = itemgetter(*positions)
            for row in self.rows:
                index.setdefault(key(row), set()).add(row)
            self._indexes[positions] = index
        return index

    def add(self, row: Row) -> None:
        """Make `row` true."""
        self.rows.add(row)
        for positions, index in self._indexes.items():
            index.setdefault(itemgetter(*positions)(row), set()).add(row)

    def discard(self, row: Row) -> None:
        """Make `row` false."""
        if row in self.rows:
            self.rows.discard(row)
            for positions, index in self._indexes.items():
                index[itemgetter(*positions)(row)].discard(row)


Facts: TypeAlias = dict[str, Relation]


@dataclass(frozen=True)
class World:
    """A game's objects and its facts at the start; lists are by object number."""

    ids: list[str]
    kinds: list[str]
    names: list[str]
    numbers: dict[str, int]
    facts: Facts


def make_world(domain: Domain, problem: Problem) -> World:
    """Number and name the problem's objects, and put its facts and types in relations."""
    ids = sorted(problem.objects)
    numbers = {name: number for number, name in enumerate(ids)}
    kinds = [problem.objects[name] for name in ids]
    number_of = numbers.__getitem__
    facts = {
        predicate: Relation([tuple(map(number_of, row)) for row in rows])
        for predicate, rows in problem.init.items()
    }
    mentioned: set[str] = set()
    for rows in problem.init.values():
        mentioned.update(*rows)
    of_kind: dict[str, list[Row]] = {}
    for number, kind in enumerate(kinds):
        of_kind.setdefault(kind, []).append((number,))
    for kind in domain.types:
        facts[type_predicate(kind)] = Relation(of_kind.get(kind, ()))
    facts[type_predicate(ROOT)] = Relation((number,) for number in range(len(ids)))
    return World(ids, kinds, _names(ids, mentioned), numbers, facts)


def type_predicate(kind: str) -> str:
    """The name under which `World.facts` holds the objects of a type."""
    return f"type@{kind}"


def _names(ids: list[str], mentioned: set[str]) -> list[str]:
    """Readable names: the kind of thing and a number that falls as ids rise.

    Only objects in some fact at the start are counted. An id such as `apple_bar__minus_01` names
    an apple; a sink's basin has `basin` added. An id of another form is followed by a blank.
    """
    stems = {
        name: name.split("_bar_", 1)[0] + ("basin" if "basin" in name else "")
        for name in ids
        if "_bar_" in name and name in mentioned
    }
    left = Counter(stems.values())
    names = []
    for name in ids:
        stem = stems.get(name)
        if stem is None:
            names.append(f"{name} ")
            continue
        if any(mark in stem for mark in ("_minus_", "_plus_", "_dot_", "_comma_")):
            raise GameError(f"object {name!r} has a sign in its name before '_bar_'")
        names.append(f"{stem} {left[stem]}")
        left[stem] -= 1
    return names
