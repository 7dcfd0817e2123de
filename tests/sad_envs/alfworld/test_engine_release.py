"""The native engine on the real release: recorded answers, counts, and stored walkthroughs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from sad_envs.alfworld.dialect import to_dialect
from sad_envs.alfworld.engine import Engine
from sad_envs.alfworld.env import ALFWorldEnv
from sad_envs.alfworld.game import read_game, task_type_of
from sad_envs.alfworld.textworld_backend import is_released

pytestmark = pytest.mark.realdata

APPLE = (
    "valid_unseen/pick_heat_then_place_in_recep-Apple-None-Fridge-10/trial_T20190906_182259_116320"
)
CLOCK = (
    "valid_unseen/look_at_obj_in_light-AlarmClock-None-DeskLamp-308/trial_T20190908_222917_366542"
)
DISCS = "valid_unseen/pick_two_obj_and_place-CD-None-Safe-308/trial_T20190907_050942_897916"
APPLES = (
    "On the garbagecan 1, you see a apple 2, a apple 1, a egg 2, a egg 1, a potato 2, "
    "and a potato 1."
)

TYPES = ("put", "examine", "clean", "heat", "cool", "puttwo")


@pytest.fixture
def engine(splits: Path) -> Callable[..., Engine]:
    def make(task: str, dialect: str = "data") -> Engine:
        return Engine(to_dialect(read_game(splits / task / "game.tw-pddl"), dialect))

    return make


def play(engine: Engine, *commands: str) -> str:
    """The feedback to the last of the commands."""
    return [engine.step(command)[0] for command in commands][-1]


@pytest.mark.parametrize(("dialect", "admissible"), [("data", 28), ("put", 27)])
def test_the_opening(engine: Callable[..., Engine], dialect: str, admissible: int) -> None:
    game = engine(APPLE, dialect)
    opening = game.reset()
    assert opening.startswith(
        "-= Welcome to TextWorld, ALFRED! =-\n\nYou are in the middle of a room."
    )
    assert opening.endswith(
        "a stoveburner 1, and a toaster 1.\n\n"
        "Your task is to: heat some apple and put it in fridge."
    )
    assert len(game.admissible) == admissible
    assert ("help" in game.admissible) == (dialect == "data")


def test_looking_before_the_first_move(engine: Callable[..., Engine]) -> None:
    assert play(engine(APPLE), "look") == (
        "You are in the middle of a room. Looking quickly around you, you see nothing."
    )


@pytest.mark.parametrize(("dialect", "place"), [("data", "garbagecan 1"), ("put", "loc 31")])
def test_arriving(engine: Callable[..., Engine], dialect: str, place: str) -> None:
    found = play(engine(APPLE, dialect), "go to garbagecan 1")
    assert found == f"You arrive at {place}. {APPLES}"


def test_only_what_is_held_can_be_examined(engine: Callable[..., Engine]) -> None:
    game = engine(APPLE)
    assert play(game, "go to garbagecan 1", "examine apple 2") == "Nothing happens."
    assert play(game, "take apple 2 from garbagecan 1") == (
        "You pick up the apple 2 from the garbagecan 1."
    )
    assert play(game, "examine apple 2") == "There's nothing special about apple 2."
    assert play(game, "inventory") == "You are carrying: a apple 2."
    assert play(game, "take apple 1 from garbagecan 1") == "Nothing happens."


def test_heating_cooling_and_cleaning(engine: Callable[..., Engine]) -> None:
    game = engine(APPLE)
    play(game, "go to garbagecan 1", "take apple 2 from garbagecan 1")
    assert play(game, "go to microwave 1").endswith(". The microwave 1 is closed.")
    assert play(game, "heat apple 2 with microwave 1") == (
        "You heat the apple 2 using the microwave 1."
    )
    assert play(game, "examine apple 2") == "This is a hot apple 2."
    assert play(game, "go to fridge 1", "move apple 2 to fridge 1") == "Nothing happens."
    assert play(game, "open fridge 1") == (
        "You open the fridge 1. The fridge 1 is open. In it, you see a bread 3, a bread 2, "
        "a bread 1, a lettuce 1, a tomato 2, and a tomato 1."
    )
    play(game, "cool apple 2 with fridge 1")
    assert play(game, "examine apple 2") == "This is a cold apple 2."
    play(game, "go to sinkbasin 1", "clean apple 2 with sinkbasin 1")
    assert play(game, "examine apple 2") == "This is a cool and clean apple 2."
    play(game, "go to microwave 1", "heat apple 2 with microwave 1", "go to fridge 1")
    assert game.step("move apple 2 to fridge 1") == ("You move the apple 2 to the fridge 1.", True)


def test_winning_in_the_old_dialect(engine: Callable[..., Engine]) -> None:
    game = engine(APPLE, "put")
    play(game, "go to garbagecan 1", "take apple 2 from garbagecan 1", "go to microwave 1")
    play(game, "heat apple 2 with microwave 1", "go to fridge 1", "open fridge 1")
    assert game.step("put apple 2 in/on fridge 1") == (
        "You put the apple 2 in/on the fridge 1.",
        True,
    )


def test_commands_are_trimmed_and_case_matters(engine: Callable[..., Engine]) -> None:
    game = engine(CLOCK)
    assert play(game, "Go to desk 1") == "Nothing happens."
    assert play(game, "  go to desk 1  ").startswith("You arrive at desk 1.")


def test_a_lamp_stays_on(engine: Callable[..., Engine]) -> None:
    game = engine(CLOCK)
    play(game, "go to desk 1")
    assert [game.step("use desklamp 1")[0] for _ in range(2)] == ["You turn on the desklamp 1."] * 2
    play(game, "go to desk 2", "take alarmclock 1 from desk 2")
    assert not game.won
    assert game.step("go to desk 1")[1]


def test_the_lamp_may_come_last(engine: Callable[..., Engine]) -> None:
    game = engine(CLOCK)
    play(game, "go to desk 2", "take alarmclock 1 from desk 2", "go to desk 1")
    assert game.step("use desklamp 1")[1]


def test_a_pair_needs_both(engine: Callable[..., Engine]) -> None:
    game = engine(DISCS)
    play(game, "go to drawer 5", "take cd 3 from drawer 5", "go to safe 1", "open safe 1")
    assert game.step("move cd 3 to safe 1") == ("You move the cd 3 to the safe 1.", False)
    play(game, "go to desk 2", "take cd 2 from desk 2")
    assert play(game, "go to safe 1").endswith(
        " The safe 1 is open. In it, you see a cd 3, and a cellphone 2."
    )
    assert game.step("move cd 2 to safe 1")[1]


def env(splits: Path, split: str, **arguments: object) -> ALFWorldEnv:
    return ALFWorldEnv(split=split, data_dir=splits, **arguments)


def test_the_step_limit_ends_an_episode(splits: Path) -> None:
    game = env(splits, "valid_unseen", max_steps=3)
    game.reset(options={"task_id": APPLE.removeprefix("valid_unseen/")})
    results = [game.step(action) for action in ("look", "look", "think: x")]
    assert [result[3] for result in results] == [False, False, True]
    assert results[-1][4]["success"] is False


@pytest.mark.parametrize(
    ("split", "counts"),
    [
        ("valid_seen", (35, 13, 27, 16, 25, 24)),
        ("valid_unseen", (24, 18, 31, 23, 21, 17)),
        ("train", (790, 308, 650, 459, 533, 813)),
    ],
)
def test_counts(splits: Path, split: str, counts: tuple[int, ...]) -> None:
    found = Counter(task_type_of(task_id) for task_id in env(splits, split).task_ids)
    assert tuple(found[kind] for kind in TYPES) == counts


@pytest.mark.parametrize("split", ["valid_seen", "valid_unseen"])
@pytest.mark.parametrize("dialect", ["data", "put"])
def test_every_walkthrough_wins_exactly_at_its_end(splits: Path, split: str, dialect: str) -> None:
    for task_id in env(splits, split).task_ids:
        game = to_dialect(read_game(splits / split / task_id / "game.tw-pddl"), dialect)
        assert is_released(game)
        engine = Engine(game)
        won = [engine.step(command)[1] for command in game.walkthrough or ()]
        assert won == [False] * (len(won) - 1) + [True], task_id
