"""The expert finds what it answers, on generated and on real questions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from sad_envs.base import EnvError, Info
from sad_envs.hotpotqa.env import HotPotQAEnv
from sad_envs.hotpotqa.reading import listed_titles, mention, partial_mention, was_read

Turn = tuple[str, str, str]


def play(env: HotPotQAEnv, task_id: str, seed: int = 0) -> tuple[list[Turn], Info]:
    observation, info = env.reset(options={"task_id": task_id})
    policy, turns, ended = env.make_expert(seed), [], False
    while not ended:
        thought, action = policy(observation, info)
        observation, _, terminated, truncated, info = env.step(action)
        turns.append((thought, action, observation))
        ended = terminated or truncated
    return turns, info


def episodes(split: str, **arguments: bool) -> Iterator[tuple[str, list[Turn], Info]]:
    env = HotPotQAEnv(split=split, **arguments)  # type: ignore[arg-type]
    for task_id in env.task_ids:
        yield env._split.question(task_id).question, *play(env, task_id)


@pytest.mark.parametrize("seed", [0, 1, 10, 11])
def test_every_generated_question_is_answered_from_what_was_read(seed: int) -> None:
    for question, turns, info in episodes(f"generated:{seed}:250"):
        assert info["em"], question
        assert len(turns) <= 7
        assert not any(action == "finish[]" for _, action, _ in turns)


def test_faithful_observations_are_understood_too() -> None:
    assert all(info["em"] for _, _, info in episodes("generated:0:200", faithful=True))


def _known(name: str, texts: list[str]) -> bool:
    """Whether every word of a search stood in something that was read."""
    seen = " ".join(texts).casefold()
    return all(word in seen for word in re.findall(r"[\w']+", name.casefold()))


def test_searches_are_for_what_was_named_before() -> None:
    for question, turns, _ in episodes("generated:0:250"):
        texts = [question]
        for _, action, observation in turns:
            verb, _, argument = action[:-1].partition("[")
            if verb == "search":
                # The word in brackets may be guessed, as titles have it.
                assert _known(re.sub(r" \(.*\)$", "", argument), texts), (question, action)
            texts.append(observation)


def test_quotes_are_of_what_was_read() -> None:
    for _, turns, _ in episodes("generated:0:250"):
        read = ""
        for thought, action, observation in turns:
            for quote in re.findall(r"“([^”]*)”", thought):
                assert quote in read or action == f"lookup[{quote}]", thought
            read += observation


def test_thoughts_vary_with_the_seed_and_actions_do_not() -> None:
    env = HotPotQAEnv(split="generated:0:40")
    first = [play(env, task_id, seed=0)[0] for task_id in env.task_ids]
    again = [play(env, task_id, seed=0)[0] for task_id in env.task_ids]
    other = [play(env, task_id, seed=1)[0] for task_id in env.task_ids]
    assert first == again
    assert [[t[1:] for t in turns] for turns in first] == [[t[1:] for t in o] for o in other]
    assert [[t[0] for t in turns] for turns in first] != [[t[0] for t in o] for o in other]
    assert len({turn[0] for turns in first for turn in turns}) > 80


def test_answer_that_was_not_found_is_not_given() -> None:
    env = HotPotQAEnv(split="generated:0:20")
    question = next(q for q in env._split.questions if q.type == "bridge")
    lost = [replace(fact, title=f"Nowhere {n}") for n, fact in enumerate(question.facts)]
    unknown = replace(question, answer="Xyzzy", question="What is it?", facts=tuple(lost))
    env._split = replace(env._split, questions=(unknown,))
    turns, info = play(env, question.task_id)
    assert turns[-1][1] == "finish[]"
    assert not info["em"]


def test_task_without_supporting_facts_is_refused() -> None:
    env = HotPotQAEnv(split="generated:0:1")
    bare = replace(env._split.questions[0], facts=())
    env._split = replace(env._split, questions=(bare,))
    observation, info = env.reset(options={"task_id": bare.task_id})
    with pytest.raises(EnvError, match="no supporting facts"):
        env.make_expert(0)(observation, info)


@pytest.mark.lucene
def test_lucene_gives_the_same_episodes() -> None:
    ours, lucenes = (
        [play(env, task_id)[0] for task_id in env.task_ids]
        for env in (
            HotPotQAEnv(split="generated:2:100"),
            HotPotQAEnv(split="generated:2:100", engine="lucene"),
        )
    )
    assert ours == lucenes


@pytest.mark.realdata
@pytest.mark.usefixtures("hotpotqa_data")
def test_real_questions_are_answered_within_seven_turns() -> None:
    played = list(episodes("sample300"))
    assert len(played) == 300
    assert sum(info["em"] for _, _, info in played) >= 285
    assert all(len(turns) <= 7 for _, turns, _ in played)
    for question, turns, info in played:
        if info["answer"] and info["answer"] not in ("yes", "no"):
            read = question + "".join(observation for _, _, observation in turns[:-1])
            assert info["answer"].strip(' ."').casefold() in read.casefold()


def test_titles_are_recognised_in_texts() -> None:
    assert mention("The Beach (film)", "He made the beach in 2000.") == "the beach"
    assert mention("Beach", "on beaches") is None
    assert partial_mention("Malcolm X Smith", "It was Smith who won.") == "Smith"
    assert listed_titles("Could not find A. Similar: ['B', \"C's\"].") == ["B", "C's"]
    assert listed_titles("Could not find words on a page.") is None


def test_sentence_counts_as_read_over_several_observations() -> None:
    assert was_read("By Dr. Who in 1900.", ["It is by Dr.", "(x) Who  in 1900.."])
    assert not was_read("By Dr. Who in 1900.", ["It is by Dr."])
