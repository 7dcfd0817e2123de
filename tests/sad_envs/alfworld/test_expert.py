"""The expert: it succeeds, knows only what it observed, explains itself, and is deterministic."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sad_envs.alfworld.dialect import synonyms
from sad_envs.alfworld.env import ALFWorldEnv
from sad_envs.alfworld.expert import make_expert
from sad_envs.alfworld.knowledge import article, chance, plural, usual_places
from sad_envs.alfworld.memory import Goal, read_goal
from sad_envs.base import EnvError, Policy

GENERATED = "generated:7:120"
TYPES = ("put", "examine", "clean", "heat", "cool", "puttwo")
ROOT = Path(__file__).parents[3]
OPENING = (
    "You are in the middle of a room. Looking quickly around you, you see a desk 1, a drawer 2, "
    "a drawer 1, and a safe 1.\n\nYour task is to: {goal}."
)


@dataclass
class Played:
    """One episode: `turns` are (thought, action), `observations` start with the opening."""

    task_type: str
    success: bool
    turns: list[tuple[str, str]]
    observations: list[str]


class Unreadable(dict[str, Any]):
    """An info that nobody may look at."""

    def _refuse(self, *_: object) -> Any:
        raise AssertionError("the expert looked at info")

    __getitem__ = __contains__ = __iter__ = get = keys = values = items = _refuse


def play(env: ALFWorldEnv, policy: Policy, task_id: str, info: dict[str, Any]) -> Played:
    observation, truth = env.reset(options={"task_id": task_id})
    played = Played(truth["task_type"], False, [], [observation])
    ended = False
    while not ended:
        thought, action = policy(observation, info)
        observation, _, terminated, truncated, truth = env.step(action)
        played.turns.append((thought, action))
        played.observations.append(observation)
        ended = terminated or truncated
    played.success = bool(truth["success"])
    return played


def play_all(env: ALFWorldEnv, seed: int = 0, most: int | None = None) -> list[Played]:
    policy = make_expert(seed)
    return [play(env, policy, task_id, Unreadable()) for task_id in env.task_ids[:most]]


def show(split: str, episodes: list[Played]) -> None:
    """A table per task type; visible with `pytest -s`."""
    rows = defaultdict(list)
    for played in episodes:
        rows[played.task_type].append(played)
    sys.stdout.write(f"\n{split:<14} solved  mean steps  most\n")
    for task_type, group in [*((t, rows[t]) for t in TYPES), ("all", episodes)]:
        steps = [len(played.turns) for played in group]
        solved = sum(played.success for played in group)
        sys.stdout.write(
            f"  {task_type:<10} {solved:>4}/{len(group):<4} {statistics.mean(steps):8.2f} "
            f"{max(steps):8}\n"
        )


def success_rate(episodes: list[Played]) -> float:
    return sum(played.success for played in episodes) / len(episodes)


@pytest.fixture(scope="module")
def generated() -> list[Played]:
    return play_all(ALFWorldEnv(split=GENERATED))


@pytest.mark.realdata
@pytest.mark.parametrize(("split", "games"), [("valid_unseen", 134), ("valid_seen", 140)])
def test_solves_the_released_games_within_fifty_actions(
    alfworld_data: Path, split: str, games: int
) -> None:
    episodes = play_all(ALFWorldEnv(split=split, data_dir=alfworld_data / "json_2.1.1"))
    show(split, episodes)
    assert len(episodes) == games
    assert success_rate(episodes) >= 0.95
    assert statistics.mean(len(played.turns) for played in episodes) < 9


def test_solves_generated_games(generated: list[Played]) -> None:
    show(GENERATED, generated)
    assert success_rate(generated) >= 0.95
    for task_type in TYPES:
        assert success_rate([p for p in generated if p.task_type == task_type]) >= 0.9


def test_acts_alike_in_both_dialects(generated: list[Played]) -> None:
    other = play_all(ALFWorldEnv(split=GENERATED, dialect="put"), most=36)
    for here, there in zip(generated, other, strict=False):
        said = [action for _, action in there.turns]
        assert said == [next(synonyms(action), action) for _, action in here.turns]


def test_observations_alone_determine_the_actions(generated: list[Played]) -> None:
    for played in generated[:12]:
        policy = make_expert(0)
        again = [policy(text, Unreadable()) for text in played.observations[:-1]]
        assert again == played.turns


def test_the_banner_is_not_needed(generated: list[Played]) -> None:
    played = generated[0]
    policy = make_expert(0)
    bare = re.sub(r"\n+", "\n", played.observations[0].partition("\n\n")[2])
    actions = [policy(text, {})[1] for text in [bare, *played.observations[1:-1]]]
    assert actions == [action for _, action in played.turns]


def test_every_numbered_thing_in_a_thought_was_observed(generated: list[Played]) -> None:
    for played in generated:
        known: set[str] = set()
        for (thought, _), observation in zip(played.turns, played.observations, strict=False):
            known |= set(re.findall(r"\b[a-z]+ \d+\b", observation))
            named = set(re.findall(r"\b[a-z]+ \d+\b", thought.lower()))
            assert named <= known, thought


def test_acts_only_on_things_it_was_shown(generated: list[Played]) -> None:
    for played in generated:
        known = ""
        for (_, action), observation in zip(played.turns, played.observations, strict=False):
            known += observation
            for name in re.findall(r"[a-z]+ \d+", action.replace("to ", "")):
                assert name in known, action


def test_thoughts_are_varied(generated: list[Played]) -> None:
    thoughts = [thought for played in generated[:100] for thought, _ in played.turns]
    assert len(set(thoughts)) / len(thoughts) > 0.9
    # The same wording, names aside, is rare as well.
    shapes = [re.sub(r"\b[a-z]+ \d+\b", "_", thought.lower()) for thought in thoughts]
    assert len(set(shapes)) / len(shapes) > 0.6
    for played in generated:
        said = [thought for thought, _ in played.turns]
        assert all(a != b for a, b in pairwise(said))


def test_thoughts_are_short_sentences(generated: list[Played]) -> None:
    thoughts = [thought for played in generated for thought, _ in played.turns]
    lengths = sorted(len(thought.split()) for thought in thoughts)
    assert lengths[0] >= 5
    assert lengths[-1] <= 50
    assert lengths[len(lengths) // 20] >= 10
    assert lengths[-len(lengths) // 20] <= 35
    for thought in thoughts:
        assert re.fullmatch(r"[A-Z0-9][^{}\n]*\.", thought), thought
        assert not re.search(r"\ba [aeio]|  |\. [a-z]|\.\.|, \.", thought), thought


def test_the_seed_varies_thoughts_and_not_actions(generated: list[Played]) -> None:
    other = play_all(ALFWorldEnv(split=GENERATED), seed=1, most=12)
    for here, there in zip(generated, other, strict=False):
        assert [action for _, action in here.turns] == [action for _, action in there.turns]
        assert here.turns != there.turns


def test_is_the_same_in_another_process(generated: list[Played]) -> None:
    program = (
        "import json, sys\n"
        "from sad_envs.alfworld.expert import make_expert\n"
        "policy = make_expert(0)\n"
        "print(json.dumps([policy(text, {}) for text in json.load(sys.stdin)]))\n"
    )
    texts = [text for played in generated[:6] for text in played.observations[:-1]]
    result = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(texts),
        env={**os.environ, "PYTHONHASHSEED": "5"},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    turns = [list(turn) for played in generated[:6] for turn in played.turns]
    assert json.loads(result.stdout) == turns


def test_goes_on_from_where_another_agent_led(generated: list[Played]) -> None:
    env = ALFWorldEnv(split=GENERATED, max_steps=100)
    solved = 0
    for number, task_id in enumerate(env.task_ids[:24]):
        draw = Random(number)
        policy = make_expert(0)
        observation, info = env.reset(options={"task_id": task_id})
        ended = False
        for turn in range(100):
            _, action = policy(observation, {})
            if turn < 12:
                action = draw.choice(info["admissible_actions"])
            observation, _, terminated, truncated, info = env.step(action)
            ended = terminated or truncated
            if ended:
                break
        solved += bool(info["success"])
    assert solved >= 23


# -- how it reads goals, and what it does when a belief was wrong --------------------------------


@pytest.mark.parametrize(
    ("sentence", "goal"),
    [
        ("put a mug in desk", Goal("mug", "desk")),
        ("put some watch on safe.", Goal("watch", "safe")),
        ("look at cd under the desklamp.", Goal("cd", lamp="desklamp")),
        ("examine the alarmclock with the desklamp.", Goal("alarmclock", lamp="desklamp")),
        ("put a clean pan in countertop.", Goal("pan", "countertop", "clean")),
        ("clean some knife and put it in drawer.", Goal("knife", "drawer", "clean")),
        ("put a hot potato in fridge.", Goal("potato", "fridge", "heat")),
        ("heat some egg and put it in garbagecan.", Goal("egg", "garbagecan", "heat")),
        ("put a cool pan in stoveburner.", Goal("pan", "stoveburner", "cool")),
        ("cool some bread and put it in countertop.", Goal("bread", "countertop", "cool")),
        ("put two keychain in safe.", Goal("keychain", "safe", count=2)),
        ("find two pen and put them in desk.", Goal("pen", "desk", count=2)),
    ],
)
def test_reads_the_goal_of_every_template(sentence: str, goal: Goal) -> None:
    assert read_goal(sentence) == goal


def answers(goal: str, *observations: str) -> list[str]:
    """The actions after the opening and after each observation."""
    policy = make_expert(0)
    texts = [OPENING.format(goal=goal), *observations]
    return [policy(text, {})[1] for text in texts]


NOTHING = "Nothing happens."


def test_looks_at_a_place_that_is_within_reach_without_going_there() -> None:
    actions = answers(
        "put a creditcard in safe",
        "You arrive at desk 1. On the desk 1, you see nothing.",
        "You arrive at drawer 1. On the drawer 1, you see nothing.",
        NOTHING,
        "On the drawer 2, you see a creditcard 1.",
    )
    assert actions[1:] == [
        "go to drawer 1",
        "go to drawer 2",
        "examine drawer 2",
        "take creditcard 1 from drawer 2",
    ]


def test_tries_the_other_dialect_when_a_placement_fails() -> None:
    actions = answers(
        "put a pen in safe",
        "You arrive at desk 1. On the desk 1, you see a pen 1.",
        "You pick up the pen 1 from the desk 1.",
        "You arrive at safe 1. The safe 1 is closed.",
        "You open the safe 1. The safe 1 is open. In it, you see nothing.",
        NOTHING,
    )
    assert actions[-2:] == ["move pen 1 to safe 1", "put pen 1 in/on safe 1"]


def test_puts_the_second_object_where_the_first_is() -> None:
    actions = answers(
        "put two pen in drawer",
        "You arrive at desk 1. On the desk 1, you see a pen 2, and a pen 1.",
        "You pick up the pen 2 from the desk 1.",
        "You arrive at drawer 1. On the drawer 1, you see nothing.",
        "You move the pen 2 to the drawer 1.",
        "You arrive at desk 1. On the desk 1, you see a pen 1.",
        "You pick up the pen 1 from the desk 1.",
        "You arrive at drawer 1. On the drawer 1, you see a pen 2.",
    )
    assert actions[3:] == [
        "move pen 2 to drawer 1",
        "go to desk 1",
        "take pen 1 from desk 1",
        "go to drawer 1",
        "move pen 1 to drawer 1",
    ]


def test_an_object_in_its_place_already_counts() -> None:
    actions = answers(
        "put two pen in drawer",
        "You arrive at desk 1. On the desk 1, you see nothing.",
        "You arrive at drawer 1. On the drawer 1, you see a pen 1.",
    )
    assert actions[2] == "go to drawer 2"


def test_searches_again_when_all_was_seen_in_vain() -> None:
    seen = "You arrive at {0}. On the {0}, you see nothing."
    texts = [seen.format(place) for place in ("desk 1", "drawer 1", "drawer 2", "safe 1")]
    assert answers("put a pen in drawer", *texts)[-1].startswith("go to ")


def test_puts_down_what_is_not_wanted() -> None:
    actions = answers(
        "put a pen in drawer",
        "You arrive at desk 1. On the desk 1, you see a cd 1, and a pen 1.",
        "You pick up the cd 1 from the desk 1.",
        "You move the cd 1 to the desk 1.",
    )
    assert actions[2:] == ["move cd 1 to desk 1", "take pen 1 from desk 1"]


@pytest.mark.parametrize(
    "text",
    ["Hello.", OPENING.format(goal="paint the desk"), "You arrive at desk 1."],
)
def test_refuses_an_opening_it_cannot_read_in_one_line(text: str) -> None:
    with pytest.raises(EnvError, match=r"^the expert [^\n]*expected|give it the one") as caught:
        make_expert(0)(text, {})
    assert "\n" not in str(caught.value)


# -- what it knows -------------------------------------------------------------------------------


def test_knows_where_things_usually_are() -> None:
    assert chance("pillow", "bed") > 0.5 > chance("pillow", "safe")
    assert usual_places("lettuce", {"fridge", "countertop", "bed"}) == ["fridge", "countertop"]
    assert 0 < chance("snowglobe", "shelf") < 0.01


@pytest.mark.parametrize(
    ("noun", "one", "more"),
    [
        ("apple", "an apple", "apples"),
        ("knife", "a knife", "knives"),
        ("watch", "a watch", "watches"),
        ("bread", "some bread", "loaves of bread"),
    ],
)
def test_speaks_of_one_and_of_more(noun: str, one: str, more: str) -> None:
    assert (article(noun), plural(noun)) == (one, more)


@pytest.mark.slow
@pytest.mark.realdata
def test_the_table_of_places_is_what_the_training_games_say(alfworld_data: Path) -> None:
    path = ROOT / "benchmarks" / "alfworld_prior.py"
    made = subprocess.run(
        [sys.executable, str(path), "--data", str(alfworld_data / "json_2.1.1")],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout
    stored = resources.files("sad_envs.alfworld").joinpath("prior.json").read_text("utf-8")
    assert made == stored
