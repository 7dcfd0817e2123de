"""Prompts: examples that replay, in both styles and both forms of observation."""

from __future__ import annotations

import pytest

from sad_envs.base import EnvError
from sad_envs.hotpotqa.env import HotPotQAEnv
from sad_envs.hotpotqa.prompts import DEFAULT_SHOTS, MAX_SHOTS, prompt_parts, stored_examples


@pytest.mark.parametrize("faithful", [False, True])
def test_examples_replay(faithful: bool) -> None:
    env = HotPotQAEnv(split="generated:626262", faithful=faithful)
    shown = prompt_parts("thought-action", MAX_SHOTS, faithful=faithful).examples
    for stored, example in zip(stored_examples(), shown, strict=True):
        task, info = env.reset(options={"task_id": stored["task_id"]})
        assert example.task == task
        for thought, action, observation in example.turns:
            assert thought
            seen, _, _, _, info = env.step(action)
            assert seen == observation
        assert info["success"]


def test_examples_are_of_both_types_and_show_every_action() -> None:
    actions = [turn[1] for stored in stored_examples() for turn in stored["turns"]]
    assert {action.partition("[")[0] for action in actions} == {"search", "lookup", "finish"}
    observations = [turn[2] for stored in stored_examples() for turn in stored["turns"]]
    assert any(observation.startswith("Could not find") for observation in observations)
    first = [turn[1].partition("[")[0] for turn in stored_examples()[0]["turns"]]
    assert first.count("search") == 2
    assert "lookup" in first


def test_default_number_of_examples() -> None:
    env = HotPotQAEnv(split="generated:0:1")
    for style, n in DEFAULT_SHOTS.items():
        assert len(env.prompt(style).examples) == n
    assert env.prompt().style == "thought-action"
    assert env.prompt("react-original").style == "react-hotpotqa"


def test_without_examples_the_instruction_says_all() -> None:
    for style, word in (("thought-action", "search["), ("react-original", "Search[")):
        parts = prompt_parts(style, 0)
        assert parts.examples == ()
        assert word in parts.instruction


def test_faithful_examples_end_paragraphs_with_two_periods() -> None:
    clean, faithful = (
        " ".join(
            turn[2]
            for example in prompt_parts("thought-action", 6, faithful=form).examples
            for turn in example.turns
        )
        for form in (False, True)
    )
    assert ".." not in clean
    assert ".." in faithful


@pytest.mark.parametrize(("style", "shots"), [("react", 1), ("thought-action", 7)])
def test_other_styles_and_numbers_are_refused(style: str, shots: int) -> None:
    with pytest.raises(EnvError) as refused:
        prompt_parts(style, shots)
    assert "\n" not in str(refused.value)
