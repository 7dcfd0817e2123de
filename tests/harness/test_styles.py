"""Reading completions: what models really write, cut into spans."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.models.base import cut_at_stop
from harness.styles import STYLES, get_style, resolve_action

STYLE = get_style("thought-action")
REACT = get_style("react-alfworld")


@pytest.mark.parametrize(
    ("completion", "reason", "act", "action"),
    [
        ("Thought: I go.\nAction: look", "Thought: I go.\n", "Action: look", "look"),
        ("Action: look\nBecause I must.", "", "Action: look", "look"),
        ("THOUGHT: a\nACTION 3: look", "THOUGHT: a\n", "ACTION 3: look", "look"),
        ("Thought: a\n**Action:** `look`", "Thought: a\n", "**Action:** `look`", "look"),
        ("Thought: a. Action: look", "Thought: a. ", "Action: look", "look"),
        ("Action:\n\nlook\nmore", "", "Action:\n\nlook", "look"),
        ("动作\nAction\uff1alook", "动作\n", "Action\uff1alook", "look"),
        ("Action: __look", "", "Action: __look", "__look"),
        ('Action: "look"', "", 'Action: "look"', "look"),
        (
            "<think>maybe\nAction: no</think>\nAction: look",
            "<think>maybe\nAction: no</think>\n",
            "Action: look",
            "look",
        ),
        ("reasoning\nAction: no</think>Action: look", "reasoning\nAction: no</think>",
         "Action: look", "look"),
    ],
)  # fmt: skip
def test_completion_is_cut_into_spans(completion: str, reason: str, act: str, action: str) -> None:
    parsed = STYLE.parse(completion)
    assert (parsed.reason, parsed.act, parsed.action) == (reason, act, action)


def test_first_of_several_rounds_counts() -> None:
    parsed = STYLE.parse("Thought: a\nAction: look\nObservation: x\nThought: b\nAction: inventory")
    assert parsed.action == "look"
    assert "Observation" not in parsed.reason + parsed.act


def test_observation_invented_on_the_line_of_the_action_is_tail() -> None:
    parsed = STYLE.parse("Thought: a Action: look Observation: hi")
    assert parsed.action == "look"


def test_hallucinated_observation_before_any_action_is_tail() -> None:
    parsed = STYLE.parse("Thought: a\nObservation: you win\nAction: look")
    assert parsed.action is None
    assert parsed.reason == "Thought: a"


@pytest.mark.parametrize("completion", ["", "  \n", "Action:", "Action: ``", "I do not know."])
def test_missing_action_is_none_and_keeps_the_words(completion: str) -> None:
    parsed = STYLE.parse(completion)
    if parsed.action is not None:
        assert parsed.action == "``"
    else:
        assert parsed.reason == completion.strip()


@given(st.text(alphabet=st.sampled_from(list("Aaction:Thoughtbservn<>/k \n`*1é")), max_size=80))
def test_kept_spans_stand_in_the_completion(completion: str) -> None:
    for style in STYLES.values():
        parsed = style.parse(completion)
        position = 0
        for text in (parsed.reason.strip(), parsed.act.strip()):
            found = completion.find(text, position)
            assert found >= 0
            position = found + len(text)


@given(st.text(max_size=60), st.text(min_size=1, max_size=40))
def test_composed_turn_reads_back(thought: str, action: str) -> None:
    thought = " ".join(thought.replace(":", " ").replace("<", "").split())
    action = " ".join(action.split()).strip("`*\"' ")
    if not action or ":" in action or "<" in action:
        return
    parsed = STYLE.parse(STYLE.compose(thought, action))
    assert parsed.action == action
    assert parsed.reason + parsed.act == STYLE.compose(thought, action)


def test_react_thought_is_a_turn_of_its_own() -> None:
    parsed = REACT.parse(" think: I need a pen.\nand more")
    assert parsed.thinking_turn
    assert parsed.reason == parsed.action == "think: I need a pen."
    assert parsed.act == ""


def test_webshop_thought_is_a_turn_of_its_own() -> None:
    style = get_style("react-webshop")
    parsed = style.parse("  think[B01 is [too] dear.]\nAction: click[B02]")
    assert parsed.thinking_turn
    assert parsed.reason == parsed.action == "think[B01 is [too] dear.]"
    assert style.parse(style.compose("a mug", "")).action == "think[a mug]"
    assert style.parse(style.compose("", "click[< Prev]")).act == "click[< Prev]"
    assert style.parse(" Action: search[a mug]").action == "search[a mug]"


ADMISSIBLE = ["go to desk 1", "go to desk 12", "look", "take pen 1 from desk 1"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("look", "look"),
        ("Go To Desk 1", "go to desk 1"),
        ("look.", "look"),
        ("go to desk 12 to find the pen", "go to desk 12"),
        ("go to desk 1, then look", "go to desk 1"),
        ("go to desk 123", "go to desk 123"),
        ("fly", "fly"),
    ],
)
def test_action_that_plainly_means_an_admissible_one(written: str, meant: str) -> None:
    assert resolve_action(written, ADMISSIBLE) == meant


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Thought: a\nAction: look\nObservation: x", "Thought: a\nAction: look"),
        ("Thought: a\nAction: look\n\nObservation: x", "Thought: a\nAction: look\n"),
        ("Action:\nlook\nObservation: x", "Action:\nlook"),
        ("a\nObservation: x\nAction: look\n", "a"),
        ("Action: look", "Action: look"),
        ("action: look\nmore", "action: look\n"),
    ],
)
def test_completion_ends_at_the_earliest_stop(text: str, kept: str) -> None:
    assert cut_at_stop(text, STYLE.stop, STYLE.stop_line)[0] == kept


NUMBERED = get_style("react-hotpotqa").at(1)


def test_markers_carry_the_number_of_the_turn() -> None:
    assert NUMBERED.lead == "Thought 2:"
    assert NUMBERED.observation_mark == "Observation 2: "
    assert NUMBERED.stop == ("\nObservation 2:",)
    assert NUMBERED.at(2).lead == "Thought 3:"
    assert STYLE.at(5) is STYLE


def test_numbered_turn_is_cut_at_its_marker_and_its_action_begins_in_lower_case() -> None:
    parsed = NUMBERED.parse(" I need its author. \nAction 2: Search[Ada Byron]\n")
    assert parsed.reason == "I need its author.\n"
    assert parsed.act == "Action 2: Search[Ada Byron]"
    assert parsed.action == "search[Ada Byron]"


@pytest.mark.parametrize(
    "completion",
    [
        "I think.",
        "I think.\nAction 1: Search[x]",
        "a\nAction 2: Search[x]\nAction 2: Search[y]",
        "a\nAction 2:Search[x]",
        "a\nAction 2:",
        "",
    ],
)
def test_without_exactly_one_marker_the_action_is_asked_for_again(completion: str) -> None:
    assert NUMBERED.parse(completion).action is None
    again = NUMBERED.continuation(completion)
    assert again is not None
    begun, stop = again
    assert begun == completion.split("\n")[0] + "\nAction 2:"
    assert stop == ("\n",)
    assert NUMBERED.parse(f"{begun} Search[z]").action == "search[z]"


def test_blank_before_an_action_keeps_its_capital() -> None:
    assert NUMBERED.parse("a\nAction 2: \n\nFinish[x]").action == "\n\nFinish[x]"


def test_composed_numbered_turn_reads_back() -> None:
    written = NUMBERED.compose("I know.", "finish[yes]")
    assert written == "I know.\nAction 2: Finish[yes]"
    assert NUMBERED.parse(written).action == "finish[yes]"
    assert NUMBERED.continuation(written) is None
    assert STYLE.continuation("no action here") is None
