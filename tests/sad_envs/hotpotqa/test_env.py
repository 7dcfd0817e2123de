"""Observations, state and rewards, as upstream has them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sad_envs.base import EnvError
from sad_envs.hotpotqa.env import HotPotQAEnv

Make = Callable[..., HotPotQAEnv]


def answers(env: HotPotQAEnv, *actions: str) -> list[str]:
    return [env.step(action)[0] for action in actions]


def test_reset_returns_the_question(make: Make) -> None:
    env = make()
    observation, info = env.reset(options={"task_id": "task"})
    assert observation == "Question: Who wrote notes?"
    assert info["goal"] == "Who wrote notes?"
    assert (info["steps"], info["answer"], info["task_type"]) == (0, None, "bridge")


def test_search_shows_five_sentences(make: Make) -> None:
    assert answers(make(), "search[Ada Byron]") == [
        "A was x. She wrote notes on an engine. The notes were published in 1843. "
        "Her father was a poet. Her mother liked mathematics."
    ]


def test_faithful_ends_paragraphs_with_two_periods(make: Make) -> None:
    (opening,) = answers(make(faithful=True), "search[Ada Byron]")
    assert opening.endswith(
        "published in 1843.. Her father was a poet. Her mother liked mathematics."
    )


def test_lookup_goes_from_sentence_to_sentence(make: Make) -> None:
    faithful = make(faithful=True)
    assert answers(faithful, "search[Ada Byron]", "lookup[engine]", "lookup[engine]")[1:] == [
        "(Result 1 / 3) She wrote notes on an engine.",
        "(Result 2 / 3) The engine was never built..",
    ]
    clean = make()
    assert answers(clean, "search[Ada Byron]", "lookup[engine]", "lookup[engine]")[2] == (
        "(Result 2 / 3) The engine was never built."
    )


def test_keyword_of_another_case_begins_anew_and_finds_the_same(make: Make) -> None:
    env = make()
    answers(env, "search[Ada Byron]", "lookup[engine]")
    assert answers(env, "lookup[ENGINE]") == ["(Result 1 / 3) She wrote notes on an engine."]


def test_lookup_without_page_or_after_the_last_result(make: Make) -> None:
    env = make()
    assert answers(env, "lookup[engine]") == ["No more results.\n"]
    seen = answers(env, "search[Ada Byron]", "lookup[poet]", "lookup[poet]", "lookup[poet]")
    assert seen[1:] == ["(Result 1 / 1) Her father was a poet.", *["No more results.\n"] * 2]


def test_missed_search_keeps_page_and_lookup(make: Make) -> None:
    env = make()
    answers(env, "search[Ada Byron]", "lookup[engine]")
    assert answers(env, "search[Zzyzx Foo]", "lookup[engine]") == [
        "Could not find Zzyzx Foo. Similar: ['Zzyzx, California', 'Zzyzx Road'].",
        "(Result 2 / 3) The engine was never built.",
    ]


def test_opened_page_resets_the_lookup(make: Make) -> None:
    env = make()
    answers(env, "search[Ada Byron]", "lookup[engine]", "search[Ada Byron]")
    assert answers(env, "lookup[engine]") == ["(Result 1 / 3) She wrote notes on an engine."]


def test_ambiguous_entity_is_answered_with_its_titles(make: Make) -> None:
    env = make()
    answers(env, "search[Ada Byron]")
    (observation,) = answers(env, "search[Mercury]")
    assert observation.startswith("Could not find [Mercury]. Similar: ['Mercury', ")
    assert observation.count("', '") == 4
    assert answers(env, "search[[Mercury]]") == [observation]
    assert answers(env, "lookup[poet]") == ["(Result 1 / 1) Her father was a poet."]


def test_nothing_similar_is_an_empty_list(make: Make) -> None:
    assert answers(make(), "search[qqqq]", "search[]") == [
        "Could not find qqqq. Similar: [].",
        "Could not find . Similar: [].",
    ]


@pytest.mark.parametrize(
    "entity", ["ada byron", "ADA BYRON", "Ada_Byron", " Ada  Byron ", "[Ada Byron]", "Ada Lovelace"]
)
def test_title_is_found_in_other_spellings_and_by_redirect(make: Make, entity: str) -> None:
    (observation,) = answers(make(), f"search[{entity}]")
    assert observation.startswith("A was x.")


def test_title_letter_by_letter_goes_before_others_of_its_key(make: Make) -> None:
    first, second, neither = answers(
        make(), "search[the twins]", "search[The Twins]", "search[THE TWINS]"
    )
    assert first == "The first one of two articles."
    assert second == "The second one of two articles."
    assert neither.startswith("Could not find [THE TWINS]. Similar: [")


def test_short_blocks_are_dropped_and_abbreviations_cut(make: Make) -> None:
    env = make()
    assert answers(env, "search[Dr No]", "lookup[smith]") == [
        "It was seen by Dr. Smith at noon. It ends here.",
        "(Result 1 / 1) Smith at noon.",
    ]


@pytest.mark.parametrize(
    ("action", "observation"),
    [
        ("Search[Ada Byron]", "Invalid action: Search[Ada Byron]"),
        ("search[Ada Byron", "Invalid action: search[Ada Byron"),
        ("", "Invalid action: "),
        ("look around", "Invalid action: look around"),
        ("search [Ada Byron]", "Invalid action: search [Ada Byron]"),
        ("\n\nFinish[NOT ENOUGH INFO]", "Invalid action: Finish[NOT ENOUGH INFO]"),
    ],
)
def test_invalid_action_is_told(make: Make, action: str, observation: str) -> None:
    env = make()
    seen, reward, terminated, _, info = env.step(action)
    assert (seen, reward, terminated, info["valid_action"]) == (observation, 0.0, False, False)
    assert info["steps"] == 1


def test_action_is_trimmed(make: Make) -> None:
    assert answers(make(), "  search[Ada Byron] \n")[0].startswith("A was x.")


def test_thought_is_praised(make: Make) -> None:
    observation, _, _, _, info = make().step("think[what now?]")
    assert (observation, info["valid_action"]) == ("Nice thought.", True)


def test_right_answer_ends_with_reward(make: Make) -> None:
    env = make()
    last = env.step("finish[The Ada, Byron!]")
    observation, reward, terminated, truncated, info = last
    assert (observation, reward) == ("Episode finished, reward = 1\n", 1.0)
    assert (terminated, truncated, info["success"], info["score"]) == (True, False, True, 1.0)
    assert (info["em"], info["f1"], info["reward"]) == (True, 1.0, 1.0)
    assert (info["gt_answer"], info["question_idx"], info["steps"]) == ("Ada Byron", 0, 1)
    assert env.step("search[Ada Byron]") == last


def test_empty_answer_is_wrong(make: Make) -> None:
    observation, reward, terminated, _, info = make("no").step("finish[]")
    assert (observation, reward, terminated) == ("Episode finished, reward = 0\n", 0.0, True)
    assert (info["em"], info["f1"], info["answer"], info["success"]) == (False, 0.0, "", False)


def test_f1_counts_part_of_an_answer(make: Make) -> None:
    assert make("Barack Obama").step("finish[Obama]")[4]["f1"] == pytest.approx(2 / 3)


def test_seven_actions_without_answer_end_with_an_empty_one(make: Make) -> None:
    env = make()
    answers(env, *["Finish[NOT ENOUGH INFO]"] * 6)
    observation, reward, terminated, truncated, info = env.step("search[Ada Byron]")
    assert observation.startswith("A was x.")
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert (info["steps"], info["answer"]) == (8, "")
    assert (info["success"], info["em"], info["f1"]) == (False, False, 0.0)


def test_answer_in_the_last_turn_counts(make: Make) -> None:
    env = make()
    answers(env, *["think[x]"] * 6)
    assert env.step("finish[Ada Byron]")[1:4] == (1.0, True, False)


def test_what_a_score_depends_on_is_in_the_version() -> None:
    versions = {
        HotPotQAEnv(**arguments).env_version  # type: ignore[arg-type]
        for arguments in (
            {"split": "generated:0:2"},
            {"split": "generated:0:3"},
            {"split": "generated:1:2"},
            {"split": "generated:0:2", "faithful": True},
            {"split": "generated:0:2", "max_steps": 6},
        )
    }
    assert len(versions) == 5
    assert HotPotQAEnv().env_version == HotPotQAEnv(split="generated:0:1000").env_version


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"split": "generate"}, "did you mean 'generated'"),
        ({"split": "generated:0:0"}, "1 to"),
        ({"engine": "lucent"}, "did you mean 'lucene'"),
        ({"index": "somewhere"}, "leave out index"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments: dict[str, str], words: str) -> None:
    with pytest.raises(EnvError, match=words) as refused:
        HotPotQAEnv(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


hostile = st.text(max_size=40) | st.sampled_from(["search[", "lookup[", "finish[", "think["])


@settings(max_examples=80, deadline=None)
@given(
    actions=st.lists(
        st.builds("{}{}{}".format, hostile, hostile, st.sampled_from("] ")), max_size=7
    )
)
def test_any_text_is_answered(actions: list[str]) -> None:
    env = HotPotQAEnv(split="generated:0:3")
    env.reset(seed=0)
    for action in actions:
        observation, _, _, _, info = env.step(action)
        assert isinstance(observation, str)
        assert 0 <= info["score"] <= 1
