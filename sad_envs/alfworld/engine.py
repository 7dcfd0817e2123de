"""The native ALFWorld engine: plays a game file without a planner, and evaluates nothing in it.

It promises the reference implementation's answers, byte by byte: the opening text, the feedback,
the list of admissible commands and whether the game is won. The rules are those of the PDDL domain
and the grammar in the file, interpreted by what `pddl` and `grammar` accept; a construct beyond
that is refused with its text when the engine is made, never in the middle of an episode.

How a step goes: the command is looked up among the commands of the actions that are applicable,
each with arguments; the action's effects change the facts; the feedback is written from the new
facts; the goal is tested and the applicable actions are found again.

Properties of the reference implementation that are easily missed, and kept:

- an action that would change nothing is not applicable (going to where one is);
- a command that several actions share means the first of them;
- an action's effects are recorded as facts also when they deny one (`not_inreceptacle`), and a
  grammar can ask for such denied facts, but not for facts that are merely absent.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from sad_envs.alfworld.facts import Facts, Relation, Row, make_world
from sad_envs.alfworld.game import Game, GameError
from sad_envs.alfworld.grammar import GOAL_MARK, Grammar, parse_grammar
from sad_envs.alfworld.joins import Getter, Join, compile_join, tuple_getter
from sad_envs.alfworld.pddl import (
    ActionSchema,
    Clause,
    Domain,
    Effect,
    Literal,
    parse_domain,
    parse_problem,
)
from sad_envs.alfworld.writer import DENIED, Compiler, Write

NOTHING_HAPPENS = "Nothing happens."
"""The answer to a command that is not admissible."""


@dataclass(frozen=True)
class _Action:
    """An action with its texts; `constant_command` when the command depends on no changing fact."""

    schema: ActionSchema
    command: Write
    feedback: Write
    constant_command: bool


@dataclass(frozen=True)
class _Rules:
    """What all games of one domain and grammar share."""

    domain: Domain
    actions: tuple[_Action, ...]
    intro: Write
    denied: frozenset[str]


class Engine:
    """One game being played.

    Attributes:
        admissible: the admissible commands, sorted, without repetition.
        won: whether the goal holds.
        goal: the sentence after `Your task is to: ` in the opening text.

    Raises `GameError` when the game has a construct that is not supported.
    """

    def __init__(self, game: Game) -> None:
        grammar, self.goal = parse_grammar(game.grammar)
        domain = parse_domain(game.pddl_domain)
        self._rules = _compile_rules(domain, grammar)
        problem = parse_problem(game.pddl_problem, domain)
        self._world = make_world(domain, problem)
        for name in self._rules.denied:
            self._world.facts[name] = Relation()
        self._changing = [*domain.fluents, *self._rules.denied]
        self._searches = [
            [self._search(clause, action.schema) for clause in action.schema.clauses]
            for action in self._rules.actions
        ]
        self._goals = [self._search(clause, None) for clause in problem.goal]
        self._texts: list[dict[Row, str]] = [{} for _ in self._rules.actions]
        self._opening = self._rules.intro(self._world, self._world.facts, ()).replace(
            GOAL_MARK, self.goal
        )
        self.reset()

    def reset(self) -> str:
        """Go back to the start and return the opening text."""
        facts = dict(self._world.facts)
        for name in self._changing:
            facts[name] = Relation(facts[name].rows)
        self._facts: Facts = facts
        self._look_around()
        return self._opening

    def step(self, command: str) -> tuple[str, bool]:
        """Carry out `command`, surrounding white space aside; return feedback and `won`.

        A command that is not admissible changes nothing and is answered `Nothing happens.`
        """
        found = self._commands.get(command.strip())
        if found is None:
            return NOTHING_HAPPENS, self.won
        number, args = found
        action = self._rules.actions[number]
        self._apply(action.schema, args)
        feedback = action.feedback(self._world, self._facts, args)
        self._look_around()
        return feedback.replace(GOAL_MARK, self.goal), self.won

    def _look_around(self) -> None:
        """Find the applicable actions and test the goal."""
        facts = self._facts
        commands: dict[str, tuple[int, Row]] = {}
        for number, searches in enumerate(self._searches):
            texts = self._texts[number]
            action = self._rules.actions[number]
            for search in searches:
                for args in search.find(facts):
                    text = texts.get(args)
                    if text is None:
                        text = action.command(self._world, facts, args)
                        if action.constant_command:
                            texts[args] = text
                    candidate = (number, args)
                    first = commands.setdefault(text, candidate)
                    if candidate < first:
                        commands[text] = candidate
        self._commands = commands
        self.admissible = sorted(commands)
        self.won = any(search.find(facts) for search in self._goals)

    def _apply(self, schema: ActionSchema, args: Row) -> None:
        """Make the effects true: what is denied first, so that what is asserted stays."""
        fired = [
            (effect.literal, self._ground(effect.literal, schema, args))
            for effect in schema.effects
            if all(self._holds(literal, schema, args) for literal in effect.condition)
        ]
        asserted = {(lit.predicate, row) for lit, row in fired if not lit.negated}
        for literal, row in fired:
            if literal.negated and (literal.predicate, row) not in asserted:
                self._set(literal.predicate, DENIED + literal.predicate, row)
        for predicate, row in asserted:
            self._set(DENIED + predicate, predicate, row)

    def _set(self, false: str, true: str, row: Row) -> None:
        if false in self._facts:
            self._facts[false].discard(row)
        if true in self._facts:
            self._facts[true].add(row)

    def _holds(self, literal: Literal, schema: ActionSchema, args: Row) -> bool:
        row = self._ground(literal, schema, args)
        if literal.predicate == "=":
            return (row[0] == row[1]) != literal.negated
        return (row in self._facts[literal.predicate].rows) != literal.negated

    def _ground(self, literal: Literal, schema: ActionSchema, args: Row) -> Row:
        values = dict(zip((name for name, _ in schema.parameters), args, strict=True))
        return tuple([values[a] if a in values else self._number(a) for a in literal.args])

    def _number(self, name: str) -> int:
        return self._world.numbers.get(name, -1)

    def _search(self, clause: Clause, schema: ActionSchema | None) -> _Search:
        parameters = schema.parameters if schema else ()
        facts = self._world.facts
        sizes = [
            len(facts[lit.predicate].rows).bit_length() if lit.predicate != "=" else 0
            for lit in clause.literals
        ]
        join = compile_join(clause, parameters, tuple(sizes))
        start = tuple([self._number(name) for name in join.constants])
        idle = _idle(clause, schema.effects, join) if schema else ()
        return _Search(join, start, join.getter([name for name, _ in parameters]), idle)


@dataclass(frozen=True)
class _Search:
    """Finds the arguments for which one clause of a condition holds."""

    join: Join
    start: Row
    arguments: Getter
    idle: tuple[tuple[Getter, Getter], ...]
    """Rows for which the two values of a pair are equal change nothing."""

    def find(self, facts: Facts) -> list[Row]:
        rows = self.join.rows(facts, self.start)
        for left, right in self.idle:
            rows = [row for row in rows if left(row) != right(row)]
        return [self.arguments(row) for row in rows]


def _idle(
    clause: Clause, effects: Sequence[Effect], join: Join
) -> tuple[tuple[Getter, Getter], ...]:
    """When the action changes nothing: each effect is a precondition, or denies what it asserts."""
    slots = join.slots
    ways: list[list[frozenset[tuple[int, int]]]] = []
    for effect in effects:
        literal = effect.literal
        others = [lit for lit in clause.literals if lit.negated == literal.negated]
        if literal.negated:
            others += [e.literal for e in effects if not (e.literal.negated or e.condition)]
        others = [lit for lit in others if lit.predicate == literal.predicate]
        if effect.condition:
            others = []
        same = [zip(literal.args, lit.args, strict=True) for lit in others]
        ways.append(
            [
                frozenset((slots[a], slots[b]) for a, b in pairs if a != b)
                for pairs in map(list, same)
                if all(a == b or (a in slots and b in slots) for a, b in pairs)
            ]
        )
    result = []
    for way in itertools.product(*ways):
        pairs = sorted(frozenset().union(*way))
        left, right = [i for i, _ in pairs], [j for _, j in pairs]
        result.append((tuple_getter(left), tuple_getter(right)))
    return tuple(result)


@lru_cache(maxsize=8)
def _compile_rules(domain: Domain, grammar: Grammar) -> _Rules:
    compiler = Compiler(domain, grammar)
    changing = domain.fluents
    actions = []
    reads: set[str] = set()
    for schema in domain.actions:
        texts = grammar.actions.get(schema.name)
        if texts is None:
            raise GameError(f"action {schema.name!r} of the domain has no text in the grammar")
        scope = tuple((name.removeprefix("?"), kind) for name, kind in schema.parameters)
        command, command_reads = compiler.text(texts[0], scope)
        feedback, feedback_reads = compiler.text(texts[1], scope)
        actions.append(
            _Action(schema, command, feedback, not any(_base(r) in changing for r in command_reads))
        )
        reads |= command_reads | feedback_reads
    intro, intro_reads = compiler.text("#intro#", ())
    reads |= intro_reads
    unsure = {e.literal.predicate for a in domain.actions for e in a.effects if e.condition}
    for predicate in sorted(reads):
        if _base(predicate) in unsure:
            # The reference implementation records such effects whether they happened or not.
            raise GameError(f"grammar condition on {predicate!r}, a conditional effect")
    denied = frozenset(predicate for predicate in reads if predicate != _base(predicate))
    return _Rules(domain, tuple(actions), intro, denied)


def _base(predicate: str) -> str:
    return predicate.removeprefix(DENIED)
