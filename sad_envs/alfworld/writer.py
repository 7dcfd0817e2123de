"""Writing texts: a grammar compiled to functions of the facts.

A text is written in a scope, the placeholders that have a value: the parameters of the action that
was taken, and inside `{… | query}` those of the query's answer. Scopes are known when the grammar
is compiled, so an unknown symbol or placeholder is refused then, not in the middle of an episode.

A query is answered as the reference implementation does: atom by atom, the facts of each sorted by
type and id, with no two placeholders standing for one thing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

from sad_envs.alfworld.facts import Facts, Row, World
from sad_envs.alfworld.game import GameError
from sad_envs.alfworld.grammar import (
    Atom,
    Attribute,
    Expression,
    Given,
    Grammar,
    Reference,
    Symbol,
    Text,
    parse_query,
    parse_text,
)
from sad_envs.alfworld.joins import tuple_getter
from sad_envs.alfworld.pddl import ROOT, Domain

Scope: TypeAlias = tuple[tuple[str, str], ...]
"""Placeholders as (name, type), in the order of their values in a row."""
Write: TypeAlias = Callable[[World, Facts, Row], str]
Answer: TypeAlias = Callable[[World, Facts, Row], list[Row]]
"""Rows that extend the given one by the query's new placeholders."""

DENIED = "not_"
"""Prefix of the facts that an action made false; other false facts are in no relation."""


class Compiler:
    """Compiles texts of one grammar. `reads` collects the predicates that queries look at."""

    def __init__(self, domain: Domain, grammar: Grammar) -> None:
        self.reads: set[str] = set()
        self._domain = domain
        self._grammar = grammar
        self._open: list[tuple[str, Scope]] = []
        self._compiled: dict[tuple[str, Scope], tuple[Write, frozenset[str]]] = {}

    def text(self, text: str, scope: Scope) -> tuple[Write, frozenset[str]]:
        """How to write `text`, and the predicates that doing so reads."""
        outer, self.reads = self.reads, set()
        write = self._text(parse_text(text), scope)
        reads, self.reads = self.reads, outer | self.reads
        return write, frozenset(reads)

    def _text(self, text: Text, scope: Scope) -> Write:
        parts = [self._symbol(symbol, scope) for symbol in text]
        if len(parts) == 1:
            return parts[0]
        return lambda world, facts, row: "".join([part(world, facts, row) for part in parts])

    def _symbol(self, symbol: Symbol, scope: Scope) -> Write:
        if isinstance(symbol, str):
            literal = symbol
            return lambda world, facts, row: literal
        if isinstance(symbol, Reference):
            return self._rule(symbol.symbol, scope)
        return self._given(symbol, scope)

    def _rule(self, symbol: str, scope: Scope) -> Write:
        key = (symbol, scope)
        if key in self._compiled:
            write, reads = self._compiled[key]
            self.reads |= reads
            return write
        if symbol not in self._grammar.rules:
            raise GameError(f"grammar symbol {symbol[:80]!r} has no rule")
        if key in self._open:
            raise GameError(f"grammar rule {symbol[:80]!r} leads to itself")
        self._open.append(key)
        outer, self.reads = self.reads, set()
        alternatives = [
            (self._condition(rule.condition, scope), self._text(parse_text(rule.text), scope))
            for rule in self._grammar.rules[symbol]
        ]
        self._open.pop()
        write = _first(symbol, alternatives)
        self._compiled[key] = (write, frozenset(self.reads))
        self.reads |= outer
        return write

    def _condition(self, condition: str, scope: Scope) -> Answer | None:
        query = parse_query(condition)
        return self._query(query, scope)[0] if query else None

    def _given(self, given: Given, scope: Scope) -> Write:
        answer, inner = self._query(given.query, scope)
        body = (
            self._rule(given.body.symbol, inner)
            if isinstance(given.body, Reference)
            else _expression(given.body, inner)
        )
        if not given.listed:
            return lambda world, facts, row: "".join(
                [body(world, facts, found) for found in answer(world, facts, row)]
            )
        empty, separator, last = (
            self._rule(symbol, scope)
            for symbol in ("list_empty", "list_separator", "list_last_separator")
        )

        def write(world: World, facts: Facts, row: Row) -> str:
            items = [body(world, facts, found) for found in answer(world, facts, row)]
            if len(items) > 1:
                before = separator(world, facts, row).join(items[:-1])
                return before + last(world, facts, row) + items[-1]
            return items[0] if items else empty(world, facts, row)

        return write

    def _query(self, query: Sequence[Atom], scope: Scope) -> tuple[Answer, Scope]:
        steps = []
        for atom in query:
            predicate = atom.predicate.removeprefix(DENIED)
            kinds = [kind for _, kind in atom.placeholders]
            if len(self._domain.predicates.get(predicate, ())) != len(kinds) or not kinds:
                raise GameError(f"grammar condition on {atom.predicate!r}: no such predicate")
            if not self._domain.types.issuperset(kinds):
                raise GameError(f"grammar condition on {atom.predicate!r} has an unknown type")
            self.reads.add(atom.predicate)
            steps.append(_step(atom, scope))
            scope += tuple(p for p in dict.fromkeys(atom.placeholders) if p not in scope)

        def answer(world: World, facts: Facts, row: Row) -> list[Row]:
            rows = [row]
            for step in steps:
                rows = step(world, facts, rows)
                if not rows:
                    break
            return rows

        return answer, scope


def _first(symbol: str, alternatives: list[tuple[Answer | None, Write]]) -> Write:
    if alternatives[0][0] is None:
        return alternatives[0][1]
    if all(condition for condition, _ in alternatives):
        raise GameError(f"grammar rule {symbol[:80]!r} has no alternative without condition")

    def write(world: World, facts: Facts, row: Row) -> str:
        for condition, text in alternatives:
            if condition is None or condition(world, facts, row):
                return text(world, facts, row)
        raise AssertionError("the last alternative has no condition")

    return write


def _expression(expression: Expression, scope: Scope) -> Write:
    slot_of = {name: slot for slot, (name, _) in enumerate(scope)}

    def term(part: str | Attribute) -> Callable[[World, Row], str]:
        if isinstance(part, str):
            return lambda world, row: part
        slot = slot_of.get(part.variable)
        if slot is None:
            raise GameError(f"grammar expression names the unknown {part.variable[:80]!r}")
        if part.attribute == "indefinite":
            return lambda world, row: "a"
        if part.attribute == "definite":
            return lambda world, row: "the"
        if part.attribute == "id":
            return lambda world, row: world.ids[row[slot]]
        return lambda world, row: world.names[row[slot]]

    sums = [[term(part) for part in terms] for terms in expression]
    if len(sums) == 1 and len(sums[0]) == 1:
        (only,) = sums[0]
        return lambda world, facts, row: only(world, row)

    def write(world: World, facts: Facts, row: Row) -> str:
        value = ""
        for terms in sums:
            value = "".join([part(world, row) for part in terms])
            if value:
                break
        return value

    return write


def _step(atom: Atom, scope: Scope) -> Callable[[World, Facts, list[Row]], list[Row]]:
    """Extends rows by the facts of one atom, in the order of types and ids."""
    predicate, places = atom.predicate, atom.placeholders
    known = tuple(i for i, place in enumerate(places) if place in scope)
    key = itemgetter(*(scope.index(places[i]) for i in known)) if known else None
    new = [i for i, place in enumerate(places) if place not in scope and i == places.index(place)]
    repeated = [(i, places.index(p)) for i, p in enumerate(places) if i not in (*known, *new)]
    pick: Callable[[Row], Any] = tuple_getter(new)
    typed = [(i, kind) for i, (_, kind) in enumerate(places) if kind != ROOT]
    untyped = [i for i, (_, kind) in enumerate(places) if kind == ROOT]

    def matches(world: World, facts: Facts, row: Row) -> Sequence[Row]:
        relation, kinds = facts[predicate], world.kinds
        bucket = relation.index(known).get(key(row), ()) if key else relation.rows
        found = sorted(bucket)
        if len(found) > 1 and any(kinds[m[i]] != ROOT for m in found for i in untyped):
            # The plainest types come first, then those that refine an earlier argument.
            def rank(match: Row) -> tuple[int, list[tuple[int, str]]]:
                refined = [(i, kinds[match[i]]) for i in untyped if kinds[match[i]] != ROOT]
                return len(refined), refined

            found = sorted(found, key=rank)
        for i, kind in typed:
            found = [match for match in found if kinds[match[i]] == kind]
        return found

    def step(world: World, facts: Facts, rows: list[Row]) -> list[Row]:
        result = []
        for row in rows:
            for match in matches(world, facts, row):
                if any(match[i] != match[j] for i, j in repeated):
                    continue
                values = pick(match)
                if len(set(values)) == len(values) and not any(v in row for v in values):
                    result.append(row + values)
        return result

    return step
