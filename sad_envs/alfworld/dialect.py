"""The two command dialects of ALFWorld, which are a property of the data, not of the package.

Games of release 2.1.1 place things with `put {o} in/on {r}`, arrive at `loc N` and have no `help`;
later games use `move {o} to {r}`, arrive at the receptacle and have `help`. Results are comparable
only within one dialect, and prompts of the older literature speak the first. A game can be
converted by changing those texts in its grammar; a game that does not have them where they are
expected is refused. Converting to `move` adds no `help`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, TypeAlias

from sad_envs.alfworld.game import Game, GameError

Dialect: TypeAlias = Literal["data", "put", "move"]
"""`data` plays a game's own grammar."""

_PLACE = re.compile(r'(action\s+PutObject\s*\{[^{}]*template\s*::\s*")([^"]*)(")')
_TEXTS = {
    "put": ("put {o} in/on {r}", "You put the {o.name} in/on the {r.name}.", "{lend.name}"),
    "move": ("move {o} to {r}", "You move the {o.name} to the {r.name}.", "{r.name}"),
}
_HELP_TEXT = re.compile(r"action\s+help\s*\{[^{}]*\}\s*")
_HELP_RULE = re.compile(r"\(:action\s+help\b", re.IGNORECASE)
_PUT = re.compile(r"put (.+?) (?:in/on|in|on) (.+)")
_MOVE = re.compile(r"move (.+?) to (.+)")


def dialect_of(game: Game) -> Literal["put", "move"]:
    """The dialect a game's grammar speaks; `move` for a grammar of neither."""
    found = _PLACE.search(game.grammar)
    return "put" if found and found[2] == _TEXTS["put"][0] else "move"


def to_dialect(game: Game, dialect: Dialect) -> Game:
    """The game in `dialect`; its digest stays that of the file it was read from."""
    if dialect == "data":
        return game
    found = _PLACE.search(game.grammar)
    if found and found[2] == _TEXTS[dialect][0]:
        return game
    template, feedback, arrival = _TEXTS["move" if dialect == "put" else "put"]
    new_template, new_feedback, new_arrival = _TEXTS[dialect]
    arrive = f"You arrive at {arrival}. "
    grammar = game.grammar
    if not found or found[2] != template or feedback not in grammar or arrive not in grammar:
        raise GameError(f"the grammar is of neither dialect, so it has no dialect {dialect!r}")
    grammar = _PLACE.sub(lambda m: m[1] + new_template + m[3], grammar)
    grammar = grammar.replace(feedback, new_feedback)
    grammar = grammar.replace(arrive, f"You arrive at {new_arrival}. ")
    domain = game.pddl_domain
    if dialect == "put":
        grammar = _HELP_TEXT.sub("", grammar)
        domain = _without_help(domain)
    walkthrough = game.walkthrough and tuple(
        next(synonyms(command), command) for command in game.walkthrough
    )
    return replace(game, grammar=grammar, pddl_domain=domain, walkthrough=walkthrough)


def synonyms(command: str) -> Iterator[str]:
    """The same placement in other words, the other dialect's first; nothing for other commands."""
    if match := _MOVE.fullmatch(command):
        yield f"put {match[1]} in/on {match[2]}"
    elif match := _PUT.fullmatch(command):
        yield f"move {match[1]} to {match[2]}"
        yield f"put {match[1]} in/on {match[2]}"


def _without_help(domain: str) -> str:
    start = _HELP_RULE.search(domain)
    if start is None:
        return domain
    depth = 0
    for at in range(start.start(), len(domain)):
        depth += {"(": 1, ")": -1}.get(domain[at], 0)
        if depth == 0:
            return domain[: start.start()] + domain[at + 1 :]
    return domain
