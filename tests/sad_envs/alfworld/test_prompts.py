"""Prompts: what they tell an agent, and that the examples happened as told."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from sad_envs.alfworld.dialect import Dialect
from sad_envs.alfworld.env import ALFWorldEnv
from sad_envs.alfworld.game import TASK_TYPES, task_type_of
from sad_envs.alfworld.prompts import prompt_parts, stored_examples
from sad_envs.base import EnvError, Example

TYPES = tuple(TASK_TYPES.values())
STYLES = ("thought-action", "react-original")
CASES = [(task_type, number) for task_type in TYPES for number in range(2)]


def text_of(example: Example) -> str:
    return "\n".join([example.task, *("\n".join(turn) for turn in example.turns)])


@pytest.fixture(scope="module", params=["move", "put"])
def game(request: pytest.FixtureRequest) -> ALFWorldEnv:
    dialect: Dialect = request.param
    seeds = {e["task_id"].split("_S")[-1].split("_")[0] for e in stored_examples()["put"]}
    return ALFWorldEnv(split=f"generated:{seeds.pop()}:3000", dialect=dialect)


@pytest.mark.parametrize(("task_type", "number"), CASES)
@pytest.mark.parametrize("style", STYLES)
def test_an_example_replays_word_for_word(
    game: ALFWorldEnv, style: str, task_type: str, number: int
) -> None:
    dialect = str(game._dialect)
    example = prompt_parts(task_type, style, 2, dialect=dialect).examples[number]
    task_id = stored_examples()[task_type][number]["task_id"]
    opening, info = game.reset(options={"task_id": task_id})
    assert re.sub(r"\n+", "\n", opening).endswith("\n" + example.task)
    for thought, action, observation in example.turns:
        if not action:
            assert (thought != "", observation) == (True, "OK.")
            continue
        seen, _, _, _, info = game.step(action)
        assert (action, seen) == (action, observation)
    assert info["success"]


def test_examples_are_of_the_tasks_type_and_of_no_default_split() -> None:
    assert tuple(stored_examples()) == TYPES
    for task_type, examples in stored_examples().items():
        assert len(examples) == 2
        for example in examples:
            assert task_type_of(example["task_id"]) == task_type
            assert re.search(r"/trial_S616161_\d{6}$", example["task_id"])
            assert len(example["turns"]) <= 12


def test_the_two_examples_of_a_type_ask_for_different_things() -> None:
    for examples in stored_examples().values():
        goals = [example["task"].rpartition("Your task is to: ")[2] for example in examples]
        assert not set(goals[0].rstrip(".").split()) >= set(goals[1].rstrip(".").split())


@pytest.mark.parametrize("task_type", TYPES)
@pytest.mark.parametrize("shots", [0, 1, 2])
@pytest.mark.parametrize("style", STYLES)
def test_gives_as_many_examples_as_asked(style: str, shots: int, task_type: str) -> None:
    parts = prompt_parts(task_type, style, shots)
    assert len(parts.examples) == shots
    assert parts.instruction == parts.instruction.strip() != ""


def test_default_number_of_examples_depends_on_the_style() -> None:
    assert len(prompt_parts("heat", "thought-action", None).examples) == 1
    assert len(prompt_parts("heat", "react-original", None).examples) == 2


def test_names_the_turn_protocol() -> None:
    assert prompt_parts("put", "thought-action", 1).style == "thought-action"
    assert prompt_parts("put", "react-original", 1).style == "react-alfworld"


def test_thought_action_has_both_in_every_turn() -> None:
    for task_type in TYPES:
        for example in prompt_parts(task_type, "thought-action", 2).examples:
            assert all(thought and action for thought, action, _ in example.turns)


def test_react_original_has_one_of_them_in_a_turn() -> None:
    for task_type in TYPES:
        for example in prompt_parts(task_type, "react-original", 2).examples:
            assert all(bool(thought) != bool(action) for thought, action, _ in example.turns)
            assert example.turns[0][0]
            thoughts = sum(bool(thought) for thought, _, _ in example.turns)
            assert 2 <= thoughts < len(example.turns) / 2


@pytest.mark.parametrize("style", STYLES)
def test_without_examples_the_instruction_explains_commands_and_replies(style: str) -> None:
    instruction = prompt_parts("put", style, 0).instruction
    for word in ("go to", "open", "take", "use", "heat", "inventory", "Nothing happens."):
        assert word in instruction
    assert ("think:" in instruction) == (style == "react-original")
    assert ("Thought:" in instruction) == (style == "thought-action")


def test_react_original_says_how_many_examples_come() -> None:
    assert "One example" in prompt_parts("put", "react-original", 1).instruction
    assert "Two examples" in prompt_parts("put", "react-original", 2).instruction


@pytest.mark.parametrize("style", STYLES)
def test_speaks_the_dialect_of_the_game(style: str) -> None:
    for task_type in set(TYPES) - {"examine"}:
        move = prompt_parts(task_type, style, 2)
        put = prompt_parts(task_type, style, 2, dialect="put")
        assert " in/on " not in move.instruction + "".join(map(text_of, move.examples))
        assert all(re.search(r"\nput \w+ \d+ in/on \w+ \d+\n", text_of(e)) for e in put.examples)
        assert not any(re.search(r"\nmove |You move ", text_of(e)) for e in put.examples)
    assert "move OBJECT" in prompt_parts("put", style, 0).instruction
    assert "put OBJECT in/on" in prompt_parts("put", style, 0, dialect="put").instruction


@pytest.mark.parametrize(
    ("arguments", "dialect", "message"),
    [
        (("put", "thought-action", 3), "move", "shots is 3; ALFWorld has 0 to 2 examples"),
        (("put", "thought-action", -1), "move", "shots is -1; ALFWorld has 0 to 2 examples"),
        (
            ("put", "react", 1),
            "move",
            "no prompt style 'react'; expected one of thought-action, react-original",
        ),
        (("puttow", "thought-action", 1), "move", "no task type 'puttow'; did you mean 'puttwo'"),
        (("put", "thought-action", 1), "data", "no dialect 'data'; expected one of move, put"),
    ],
)
def test_refuses_what_it_does_not_have_in_one_line(
    arguments: tuple[str, str, int], dialect: str, message: str
) -> None:
    with pytest.raises(EnvError) as caught:
        prompt_parts(*arguments, dialect=dialect)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_environment_gives_the_prompt_of_its_task() -> None:
    env = ALFWorldEnv(split="generated:3:12")
    env.reset(options={"task_id": env.task_ids[2]})
    task_type = task_type_of(env.task_ids[2])
    parts = env.prompt("react-original", 1)
    assert replace(parts, task=None) == prompt_parts(task_type, "react-original", 1)


@pytest.mark.parametrize(("dialect", "placing"), [("move", "move "), ("put", "put ")])
def test_an_environment_prompts_in_the_dialect_it_speaks(dialect: str, placing: str) -> None:
    env = ALFWorldEnv(split="generated:0:6", dialect=dialect)  # type: ignore[arg-type]
    opening, _ = env.reset(options={"task_id": env.task_ids[0]})
    parts = env.prompt(shots=1)
    actions = [action for _, action, _ in parts.examples[0].turns]
    assert any(action.startswith(placing) for action in actions)
    assert parts.task is not None
    assert parts.task.startswith("You are in the middle of a room.")
    assert opening.replace("\n\n", "\n").endswith(parts.task)
