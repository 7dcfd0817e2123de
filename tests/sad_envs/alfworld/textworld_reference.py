"""TextWorld made faster without changing what it answers, for comparing long random walks.

Each change leaves every output as it was: parsed texts and queries are kept, the translation that
only serves the planner is left out, contexts are copied shallowly because no one changes what is in
them, facts are sorted by keys instead of by comparisons of objects and listed without a generator,
and the environment is not asked for debugging flags at each text. `test_textworld_differential`
compares the result with TextWorld as it comes.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import random
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

import walks

from sad_envs.alfworld.dialect import Dialect, to_dialect
from sad_envs.alfworld.engine import Engine
from sad_envs.alfworld.game import Game, read_game

HOSTILE = (*walks.HOSTILE, "x" * 100_000)


def walk_command(admissible: list[str], seen: set[str], rng: random.Random) -> str:
    """A command: mostly admissible, sometimes one that was, or nearly one, or none at all."""
    choice = rng.random()
    if choice < 0.78:
        # Rather something other than yet another walk, so that objects are handled.
        doing = [c for c in admissible if not c.startswith("go to")]
        return rng.choice(doing if rng.random() < 0.6 else admissible)
    if choice < 0.88:
        return rng.choice(sorted(seen))
    if choice < 0.96:
        command = rng.choice(admissible)
        return rng.choice(
            (
                f"  {command}\t",
                command.upper(),
                command[:-1],
                f"{command} 1",
                command.replace(" ", "  "),
            )
        )
    return rng.choice(HOSTILE)


def compare(game: Game, steps: int, seed: int, *, fast: bool = True) -> tuple[int, list[str]]:
    """Play in both engines; the number of compared steps, and all differences.

    It is a random walk, which for odd seeds begins with the stored walkthrough.
    """
    from sad_envs.alfworld.textworld_backend import TextWorldBackend

    rng = random.Random(seed)
    with fast_textworld() if fast else contextlib.nullcontext():
        reference = TextWorldBackend(trusted=True).load(game)
        engine = Engine(game)
        differences = []
        if engine.reset() != reference.reset():
            differences.append("opening")
        if engine.goal != reference.goal:
            differences.append("goal")
        seen = set(engine.admissible)
        script = list(game.walkthrough or ()) if seed % 2 else []
        for number in range(steps):
            known = number < len(script)
            command = script[number] if known else walk_command(engine.admissible, seen, rng)
            expected = reference.step(command)
            found = engine.step(command)
            if (found, engine.admissible) != (expected, reference.admissible):
                differences.append(f"step {number}, {command!r}: {found} for {expected}")
                break
            seen.update(engine.admissible)
    return steps, differences


def compare_file(path: str, steps: int, dialect: Dialect) -> tuple[int, list[str]]:
    """`compare` for a worker process: a game file in a dialect, its walk seeded by its digest."""
    game = to_dialect(read_game(Path(path)), dialect)
    compared, differences = compare(game, steps, seed=int(game.digest[:8], 16))
    return compared, [f"{path}: {difference}" for difference in differences]


@contextlib.contextmanager
def fast_textworld() -> Iterator[None]:
    """Within it, TextWorld's PDDL games run several times faster."""
    import fast_downward
    import textworld.logic
    from textworld.envs.pddl import logic, textgen

    parse = lru_cache(maxsize=None)(textgen._parse_and_convert)
    query = lru_cache(maxsize=None)(textgen.Rule.parse_conjunctive_query)
    translate = fast_downward.pddl2sas
    latest: list[tuple[tuple[str, str], tuple[object, str]]] = []

    def parse_copy(text: str, **settings: object) -> list[object]:
        return [copy.copy(symbol) for symbol in parse(text, **settings)]

    def shallow(context: dict[str, object]) -> dict[str, object]:
        changed = {name: dict(context[name]) for name in ("variables", "mapping")}
        return {**context, **changed}

    def copied(self: textgen.Symbol, context: dict[str, object]) -> textgen.Symbol:
        other = copy.copy(self)
        other.context = shallow(context)
        return other

    def translate_once(domain: str, problem: str, verbose: bool = False, optimize: bool = False):
        if not latest or latest[0][0] != (domain, problem):
            latest[:] = [((domain, problem), translate(domain, problem, verbose=verbose))]
        return latest[0][1]

    def in_order(items: Iterable[Any]) -> list[Any]:
        listed = list(items)
        if listed and isinstance(listed[0], textworld.logic.Proposition):
            return sorted(listed, key=lambda p: (p.name, [(v.name, v.type) for v in p.arguments]))
        return sorted(listed)

    def all_facts(self: textworld.logic.State) -> list[Any]:
        return list(itertools.chain.from_iterable(self._facts.values()))

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(textworld.logic, "sorted", in_order, create=True))
        for owner, name, value in (
            (textgen, "_parse_and_convert", parse_copy),
            (textgen, "copy_context", shallow),
            (textgen, "deepcopy", lambda symbols: [copy.copy(symbol) for symbol in symbols]),
            (textgen.Symbol, "copy", copied),
            (textgen.Rule, "parse_conjunctive_query", query),
            (textworld.logic.State, "facts", property(all_facts)),
            (textgen, "check_flag", lambda name: False),
            (logic.fast_downward, "pddl2sas", translate_once),
        ):
            stack.enter_context(mock.patch.object(owner, name, value))
        yield
