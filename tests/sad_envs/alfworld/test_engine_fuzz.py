"""Damaged files: whatever is done to a game, it is played or refused, and nothing else happens."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from small_game import DOMAIN, GRAMMAR, PROBLEM, small_game

from sad_envs.alfworld.engine import Engine
from sad_envs.alfworld.game import Game, GameError, parse_game
from sad_envs.alfworld.grammar import parse_expression, parse_query, parse_text
from sad_envs.alfworld.pddl import read

TEXTS = {"pddl_domain": DOMAIN, "grammar": GRAMMAR, "pddl_problem": PROBLEM}
PIECES = ("(", ")", "{", "}", "[", "]", "#", '"', "|", "&", "-", "?", "not", "exists", "\n", ";")


@st.composite
def damaged_games(draw: st.DrawFn) -> Game:
    """The small game with a few stretches cut out, doubled, or replaced by a piece of syntax."""
    part = draw(st.sampled_from(sorted(TEXTS)))
    text = getattr(small_game(), part)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text) - 1))
        end = min(len(text), start + draw(st.integers(0, 40)))
        middle = draw(st.sampled_from(("", text[start:end] * 2, *PIECES)))
        text = text[:start] + middle + text[end:]
    return replace(small_game(), **{part: text})


@given(damaged_games())
@settings(max_examples=150, deadline=None)
def test_a_damaged_game_is_played_or_refused(game: Game) -> None:
    with contextlib.suppress(GameError):
        engine = Engine(game)
        for _ in range(4):
            for command in engine.admissible[:3]:
                engine.step(command)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_bytes_are_a_game_or_refused(data: bytes) -> None:
    with contextlib.suppress(GameError):
        parse_game(data)


@given(st.text(alphabet="ao.'+|&#{}[]():, \nr\t\"n\\", max_size=60))
def test_texts_are_read_or_refused(text: str) -> None:
    for parse in (parse_text, parse_query, parse_expression, read):
        with contextlib.suppress(GameError):
            parse(text)
