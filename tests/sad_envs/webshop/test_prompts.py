"""Prompts: examples that replay in every mode that has them, in both styles."""

from __future__ import annotations

import pytest

from sad_envs.base import EnvError
from sad_envs.webshop.env import MODES, WebShopEnv
from sad_envs.webshop.prompts import EXAMPLE_MODES, MAX_SHOTS, prompt_parts, stored_examples


@pytest.mark.parametrize("mode", EXAMPLE_MODES)
def test_examples_replay(mode: str) -> None:
    env = WebShopEnv(split="generated:626262:400", mode=mode)
    shown = prompt_parts("thought-action", MAX_SHOTS, mode=mode).examples
    for stored, example in zip(stored_examples(), shown, strict=True):
        task, info = env.reset(options={"task_id": stored["task_id"]})
        assert example.task == task.strip()
        for thought, action, observation in example.turns:
            assert thought
            seen, _, _, _, info = env.step(action)
            assert seen.strip() == observation
        assert info["success"]


def test_original_examples_are_the_same_with_thoughts_apart() -> None:
    plain = prompt_parts("thought-action", MAX_SHOTS).examples
    original = prompt_parts("react-original", MAX_SHOTS).examples
    for one, other in zip(plain, original, strict=True):
        acted = [(action, seen) for _, action, seen in other.turns if action]
        assert acted == [(action, seen) for _, action, seen in one.turns]
        thinking = [turn for turn in other.turns if not turn[1]]
        assert 1 < len(thinking) < len(acted)
        assert {seen for _, _, seen in thinking} == {"OK."}
        assert {turn[0] for turn in thinking} <= {thought for thought, _, _ in one.turns}


def test_examples_show_every_course() -> None:
    courses = [[turn[1] for turn in stored["turns"]] for stored in stored_examples()]
    assert any(sum("click[B0" in action for action in course) > 1 for course in courses)
    assert any(sum("search[" in action for action in course) > 1 for course in courses)
    assert all("click[Features]" in course for course in courses)


def test_one_short_example_by_default() -> None:
    env = WebShopEnv(split="generated:0:1")
    styles = {"thought-action": "thought-action", "react-original": "react-webshop"}
    for style, protocol in styles.items():
        parts = env.prompt(style)
        assert len(parts.examples) == 1
        assert parts.style == protocol
        written = sum(len(text) for turn in parts.examples[0].turns for text in turn)
        assert len(parts.instruction) + written < 3500


@pytest.mark.parametrize("mode", MODES)
def test_without_examples_the_instruction_says_all(mode: str) -> None:
    for style in ("thought-action", "react-original"):
        parts = prompt_parts(style, 0, mode=mode)
        assert parts.examples == ()
        for action in ("search[", "click[", "Buy Now"):
            assert action in parts.instruction
        assert ("think[" in parts.instruction) is (style == "react-original")
        assert "{" not in parts.instruction


@pytest.mark.parametrize(
    ("style", "shots", "mode"),
    [("react", 1, "react"), ("thought-action", 4, "react"), ("thought-action", 1, "html")],
)
def test_other_styles_and_numbers_are_refused(style: str, shots: int, mode: str) -> None:
    with pytest.raises(EnvError) as refused:
        prompt_parts(style, shots, mode=mode)
    assert "\n" not in str(refused.value)


def test_modes_without_examples_have_none_by_default() -> None:
    assert prompt_parts("thought-action", None, mode="url").examples == ()
