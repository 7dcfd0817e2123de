"""The text grammar of a game file, read into plain data.

A grammar has actions, each with a command template and a feedback text, and rules: a symbol with
alternatives, of which the first whose condition holds is written. Texts are made of

- literal text,
- `#symbol#`, the text of a rule,
- `{expression}` or `{expression | query}`, the expression's value for every answer of the query,
- `[{… | query}]`, the same as a list with separators, by the rules `list_empty`,
  `list_separator` and `list_last_separator`.

A query is atoms joined by `&` over typed placeholders, `holds(a:agent, o:object)`. An expression
is names of things (`o`, `o.name`, `o.id`, `o.indefinite`, `o.definite`), quoted strings, `+` and
`or`, and nothing else: the reference implementation evaluates it as Python, here it is read by
these few rules and anything beyond them is refused with its text.

A rule that no action can reach is not read, as the games carry such rules with stray characters.
White space at the start of a text is dropped, as the reference implementation does.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from sad_envs.alfworld.game import GameError

GOAL_MARK = "THE-GOAL-SENTENCE"
"""Stands for the goal in a parsed grammar, so that games which differ only in it share one."""

_GOAL = re.compile(r"Your task is to: ([^\"\\#{}\[\]<>;|]+)")
_MAX_SYMBOLS = 200


@dataclass(frozen=True)
class Attribute:
    """A property of the thing a placeholder stands for; a bare placeholder is its name."""

    variable: str
    attribute: str


Term: TypeAlias = "str | Attribute"
Expression: TypeAlias = tuple[tuple[Term, ...], ...]
"""Alternatives joined by `or`, each the terms of a sum."""


@dataclass(frozen=True)
class Atom:
    """A query's atom: a predicate (`not_p` for a fact that an action denied) and placeholders."""

    predicate: str
    placeholders: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Reference:
    """`#symbol#`"""

    symbol: str


@dataclass(frozen=True)
class Given:
    """`{body | query}`, or with `listed` in brackets, `[{body | query}]`."""

    body: Reference | Expression
    query: tuple[Atom, ...]
    listed: bool


Symbol: TypeAlias = str | Reference | Given
Text: TypeAlias = tuple[Symbol, ...]


@dataclass(frozen=True)
class Alternative:
    """A text and the query that must have an answer; an empty query always has one."""

    text: str
    condition: str


@dataclass(frozen=True, eq=False)
class Grammar:
    """Command templates and feedback by lower-case action name, and rules by symbol."""

    actions: dict[str, tuple[str, str]]
    rules: dict[str, tuple[Alternative, ...]]


def parse_grammar(text: str) -> tuple[Grammar, str]:
    """The grammar with `GOAL_MARK` in the place of the goal, and the goal sentence."""
    found = _GOAL.findall(text)
    if len(found) != 1:
        raise GameError(f"expected one 'Your task is to: …' in the grammar, found {len(found)}")
    return _parse(_GOAL.sub(f"Your task is to: {GOAL_MARK}", text)), found[0]


@lru_cache(maxsize=8)
def _parse(text: str) -> Grammar:
    actions: dict[str, tuple[str, str]] = {}
    rules: dict[str, tuple[Alternative, ...]] = {}
    for name, parts in _blocks(text):
        if name is not None:
            if name in actions or "template" not in parts or "feedback" not in parts:
                raise GameError(f"grammar action {name!r} is repeated or incomplete")
            actions[name] = (parts["template"][1:-1], parts["feedback"][1:-1])
        if "grammar" in parts:
            rules.update(_rules(textwrap.dedent(parts["grammar"][3:-3])))
    return Grammar(actions, rules)


_SPACE = re.compile(r"(?:\s++|#.*+)*+")
_PART = re.compile(r'(template|feedback|grammar)\s*+::\s*+("""(?:.|\n)*?"""|"[^"]*")\s*;')
_ACTION = re.compile(r"action\s+([\w/-]+)\s*\{")


def _blocks(text: str) -> Iterator[tuple[str | None, dict[str, str]]]:
    """Actions with their parts, and top-level grammars with None for a name."""
    at = 0
    name: str | None = None
    parts: dict[str, str] = {}
    while (at := _skip(text, at)) < len(text):
        part = _PART.match(text, at)
        action = _ACTION.match(text, at)
        if part and part[1] not in parts and (part[2][:3] == '"""') == (part[1] == "grammar"):
            parts[part[1]] = part[2]
            at = part.end()
            if name is None:
                if part[1] != "grammar":
                    raise GameError(f"grammar part {part[0][:80]!r} stands outside an action")
                yield None, parts
                parts = {}
        elif name is None and action:
            name = action[1].lower()
            at = action.end()
        elif name is not None and text[at] == "}":
            yield name, parts
            name, parts = None, {}
            at += 1
        else:
            raise GameError(f"grammar text {text[at : at + 80]!r} is not supported")
    if name is not None:
        raise GameError(f"grammar action {name!r} has no closing brace")


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _rules(block: str) -> Iterator[tuple[str, tuple[Alternative, ...]]]:
    lines = [line for line in block.split("\n") if not line.lstrip().startswith("#")]
    try:
        data = json.loads("\n".join(lines))
    except (ValueError, RecursionError) as error:
        raise GameError(f"grammar rules are not JSON: {error}") from error
    if not isinstance(data, dict):
        raise GameError("grammar rules are not a JSON object")
    for symbol, alternatives in data.items():
        if not isinstance(alternatives, list) or not alternatives:
            raise GameError(f"grammar rule {symbol!r} has no alternatives")
        yield symbol, tuple(_alternative(symbol, data) for data in alternatives)


def _alternative(symbol: str, data: object) -> Alternative:
    if isinstance(data, dict) and data.keys() <= {"rhs", "condition", "weight"}:
        text, condition = data.get("rhs"), data.get("condition", "")
        if isinstance(text, str) and isinstance(condition, str):
            return Alternative(text, condition)
    raise GameError(f"grammar rule {symbol!r} has the alternative {str(data)[:120]!r}")


_QUERY_ATOM = re.compile(r"\s*([\w/]+)\s*\(([^()]*)\)\s*")
_PLACEHOLDER = re.compile(r"\s*(\w+)\s*:\s*([\w/-]+)\s*")


def parse_query(text: str) -> tuple[Atom, ...]:
    """Atoms joined by `&`; the empty text is the empty query."""
    if not text.strip():
        return ()
    atoms = []
    for part in text.split("&"):
        match = _QUERY_ATOM.fullmatch(part)
        places = match[2].split(",") if match and match[2].strip() else []
        placeholders = [_PLACEHOLDER.fullmatch(place) for place in places]
        if match is None or not all(placeholders):
            raise GameError(f"grammar condition {text[:120]!r} is not supported")
        atoms.append(Atom(match[1], tuple((p[1], p[2]) for p in placeholders if p)))
    return tuple(atoms)


_TERM = re.compile(r"\s*(?:(\w+)(?:\.(\w+))?|'([^'\\\"]*)')\s*")
_ATTRIBUTES = ("name", "id", "definite", "indefinite")


def parse_expression(text: str) -> Expression:
    """Names, strings, `+` and `or`; see the module's docstring."""
    alternatives: list[tuple[Term, ...]] = []
    terms: list[Term] = []
    at = 0
    while True:
        match = _TERM.match(text, at)
        if match is None:
            break
        variable, attribute, string = match.groups()
        if string is None and not variable[0].isalpha():
            break
        if string is None and (attribute or "name") not in _ATTRIBUTES:
            break
        terms.append(Attribute(variable, attribute or "") if string is None else string)
        at = match.end()
        if at == len(text) or text.startswith("or ", at):
            bare = any(isinstance(t, Attribute) and not t.attribute for t in terms)
            if bare and len(terms) > 1:
                break
            alternatives.append(tuple(terms))
            if at == len(text):
                return tuple(alternatives)
            terms = []
            at += len("or ")
        elif text[at] == "+":
            at += 1
        else:
            break
    raise GameError(f"grammar expression {text[:120]!r} is not supported")


_TOKEN = re.compile(
    r"#(?P<symbol>[\w()/!<>\-\s,.]+)#"
    r"|(?P<open>\[)?\{\s*(?:#(?P<body>[\w()/!<>\-\s,.]+)#|(?P<expression>[^|\[\]{}\n<>#]+?))\s*"
    r"(?:\|\s*(?P<query>[^;|{}\n\[\]#]+))?\}(?P<close>\])?"
    r"|(?P<literal>[^;|\"<>\[\]#{}]+)"
)


@lru_cache(maxsize=512)
def parse_text(text: str) -> Text:
    """The symbols of a template, feedback text or right-hand side."""
    symbols: list[Symbol] = []
    text = text.lstrip()
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or bool(match["open"]) != bool(match["close"]):
            raise GameError(f"grammar text {text[at : at + 120]!r} is not supported")
        if match["literal"]:
            if at == 0 and text.startswith("//"):
                raise GameError(f"grammar text {text[:120]!r} begins like a comment")
            symbols.append(match["literal"])
        elif match["symbol"]:
            symbols.append(Reference(match["symbol"]))
        else:
            query, listed = parse_query(match["query"] or ""), bool(match["open"])
            if match["body"]:
                symbols.append(Given(Reference(match["body"]), query, listed))
            else:
                symbols.append(Given(parse_expression(match["expression"]), query, listed))
        at = match.end()
        if len(symbols) > _MAX_SYMBOLS:
            raise GameError(f"grammar text {text[:120]!r} has too many symbols")
    return tuple(symbols)
