"""The native engine on a home small enough to follow by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_game import WALKTHROUGH, small_game

from sad_envs.alfworld.engine import Engine
from sad_envs.alfworld.game import task_type_of


@pytest.fixture
def engine() -> Engine:
    return Engine(small_game())


def play(engine: Engine, *commands: str) -> str:
    """The feedback to the last of the commands."""
    return [engine.step(command)[0] for command in commands][-1]


def test_the_opening_lists_receptacles_by_id(engine: Engine) -> None:
    assert engine.reset() == (
        "Welcome.\n\nYou see a box 1, a chest 1, and a shelf 1.\n\n"
        "Your task is to: put a cup in chest."
    )
    assert engine.goal == "put a cup in chest."


def test_admissible_commands_are_sorted(engine: Engine) -> None:
    expected = ["go to box 1", "go to chest 1", "go to shelf 1", "inventory", "look"]
    assert engine.admissible == expected


def test_numbers_fall_as_ids_rise(engine: Engine) -> None:
    assert play(engine, "go to shelf 1").endswith("On it: cup 2, and cup 1.")


def test_going_to_where_one_is_is_not_admissible(engine: Engine) -> None:
    play(engine, "go to shelf 1")
    assert "go to shelf 1" not in engine.admissible
    assert "go to box 1" not in engine.admissible  # the box is at the same place
    assert "go to chest 1" in engine.admissible


@pytest.mark.parametrize("command", ["", "Look", "look around", "take cup 1", "go to  shelf 1"])
def test_other_commands_change_nothing(engine: Engine, command: str) -> None:
    before = list(engine.admissible)
    assert engine.step(command) == ("Nothing happens.", False)
    assert engine.admissible == before


def test_a_command_is_trimmed(engine: Engine) -> None:
    assert play(engine, "\t go to shelf 1 \n").startswith("You arrive at shelf 1.")


def test_what_is_closed_hides_its_contents(engine: Engine) -> None:
    assert play(engine, "go to chest 1") == "You arrive at chest 1. It is closed."
    assert "take spoon 1 from chest 1" not in engine.admissible
    assert play(engine, "open chest 1") == "You open chest 1. In it: spoon 1."
    assert "take spoon 1 from chest 1" in engine.admissible


def test_hands_hold_one_thing(engine: Engine) -> None:
    play(engine, "go to shelf 1", "take cup 1 from shelf 1")
    assert not [command for command in engine.admissible if command.startswith("take")]
    assert play(engine, "inventory") == "You hold a cup 1."


def test_a_type_that_was_never_declared_has_no_members(engine: Engine) -> None:
    """`exists (?l - location, ?r - receptacle)`: what lies about cannot be examined."""
    play(engine, "go to shelf 1")
    assert "examine cup 1" not in engine.admissible
    play(engine, "take cup 1 from shelf 1")
    assert "examine cup 1" in engine.admissible


def test_a_denied_fact_is_remembered(engine: Engine) -> None:
    """A cup moved from the shelf to the box is also `not_in` the shelf that stands there."""
    play(engine, "go to shelf 1", "take cup 1 from shelf 1", "move cup 1 to box 1")
    assert play(engine, "look") == "You face box 1, and shelf 1. Nearby: a cup 1."


def test_two_placeholders_never_stand_for_one_thing() -> None:
    pairs = "[{x.name + '+' + y.name | in(x:object, r:receptacle) & in(y:object, r:receptacle)}]"
    engine = Engine(small_game(grammar=("  On it: [{o.name | in(o:object, r:receptacle)}]", pairs)))
    assert play(engine, "go to shelf 1") == ("You arrive at shelf 1. cup 2+cup 1, and cup 1+cup 2.")


def test_a_conditional_effect_sees_the_facts_before_the_action() -> None:
    game = small_game(
        problem=("(in ?o chest_bar_1) (not (= ?o spoon_bar_1))", "(lit ?o) (used ?o)")
    )
    engine = Engine(game)
    play(engine, "go to shelf 1")
    assert [engine.step("use cup 1")[1] for _ in range(3)] == [True, False, True]


def test_the_walkthrough_wins_at_its_end(engine: Engine) -> None:
    assert [engine.step(command)[1] for command in WALKTHROUGH] == [False] * 4 + [True]
    assert engine.won


def test_a_negated_equality_in_the_goal_is_respected(engine: Engine) -> None:
    play(engine, "go to chest 1", "open chest 1", "take spoon 1 from chest 1")
    assert engine.step("move spoon 1 to chest 1") == ("You move the spoon 1 to the chest 1.", False)


def test_reset_goes_back_to_the_start(engine: Engine) -> None:
    opening, admissible = engine.reset(), list(engine.admissible)
    play(engine, *WALKTHROUGH)
    assert engine.reset() == opening
    assert engine.admissible == admissible
    assert not engine.won
    assert [engine.step(command)[1] for command in WALKTHROUGH] == [False] * 4 + [True]


def test_engines_of_one_game_do_not_share_their_state() -> None:
    first, second = Engine(small_game()), Engine(small_game())
    play(first, "go to shelf 1", "take cup 1 from shelf 1")
    assert play(second, "inventory") == "You hold nothing."


def test_games_that_differ_in_the_goal_sentence_keep_their_own() -> None:
    other = Engine(small_game(grammar=("put a cup in chest.", "fill the chest.")))
    assert other.goal == "fill the chest."
    assert other.reset().endswith("Your task is to: fill the chest.")
    assert Engine(small_game()).goal == "put a cup in chest."


_TRANSCRIPT = """
import random
from small_game import small_game
from sad_envs.alfworld.engine import Engine
engine, rng = Engine(small_game()), random.Random(0)
print(engine.reset())
for _ in range(100):
    print(engine.step(rng.choice(engine.admissible)), engine.admissible)
"""


def test_transcripts_do_not_depend_on_the_process() -> None:
    def transcript(hash_seed: str) -> bytes:
        paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": paths}
        command = [sys.executable, "-c", _TRANSCRIPT]
        return subprocess.run(command, env=environment, check=True, capture_output=True).stdout

    assert transcript("1") == transcript("2")


@pytest.mark.parametrize(
    ("folder", "task_type"),
    [
        ("pick_and_place_simple-Pen-None-Desk-1", "put"),
        ("look_at_obj_in_light-Pen-None-DeskLamp-1", "examine"),
        ("pick_clean_then_place_in_recep-Cup-None-Shelf-1", "clean"),
        ("pick_heat_then_place_in_recep-Cup-None-Shelf-1", "heat"),
        ("pick_cool_then_place_in_recep-Cup-None-Shelf-1", "cool"),
        ("pick_two_obj_and_place-Pen-None-Desk-1", "puttwo"),
    ],
)
def test_the_folder_says_the_task_type(folder: str, task_type: str) -> None:
    assert task_type_of(f"{folder}/trial_1") == task_type
