"""Make the few-shot examples of the HotPotQA prompts from episodes on generated questions.

    python benchmarks/hotpotqa_examples.py > sad_envs/hotpotqa/examples.json

The expert plays generated questions in order, and for each of six courses an episode can take the
first one that takes it is kept, unless it shares an article with an earlier one.
"""

from __future__ import annotations

import json
from typing import Any

from sad_envs.hotpotqa.env import HotPotQAEnv

SPLIT = "generated:626262:1000"
EXPERT_SEED = 3
COURSES = (
    ("bridge", ("search", "lookup", "search", "finish")),
    ("comparison", ("search", "search", "finish")),
    ("bridge", ("search", "miss", "search", "finish")),
    ("bridge", ("search", "search", "finish")),
    ("comparison", ("search", "search", "finish")),
    ("bridge", ("search", "search", "lookup", "finish")),
)
"""Type of the question, and what the actions are; a search that opens nothing is a miss."""


def main() -> None:
    """Print the examples as JSON."""
    env, faithful = HotPotQAEnv(split=SPLIT), HotPotQAEnv(split=SPLIT, faithful=True)
    kept: list[dict[str, Any]] = []
    searched: set[str] = set()
    answers: set[str] = set()
    for task_type, course in COURSES:
        for task_id in env.task_ids:
            example = play(env, faithful, task_id)
            actions = {turn[1] for turn in example["turns"]}
            answer = example["turns"][-1][1]
            if (
                env.reset(options={"task_id": task_id})[1]["task_type"] == task_type
                and sorted(_course(example)) == sorted(course)
                and searched.isdisjoint(actions)
                and answer not in answers
            ):
                kept.append(example)
                searched |= actions
                answers.add(answer)
                break
    assert len(kept) == len(COURSES)
    print(json.dumps(kept, indent=1, ensure_ascii=False))


def play(env: HotPotQAEnv, faithful: HotPotQAEnv, task_id: str) -> dict[str, Any]:
    """An episode of the expert, with the observations of both environments."""
    task, info = env.reset(options={"task_id": task_id})
    faithful.reset(options={"task_id": task_id})
    policy, turns, observation, ended = env.make_expert(EXPERT_SEED), [], task, False
    while not ended:
        thought, action = policy(observation, info)
        observation, _, terminated, truncated, info = env.step(action)
        turns.append([thought, action, observation, faithful.step(action)[0]])
        ended = terminated or truncated
    return {"task_id": task_id, "task": task, "turns": turns}


def _course(example: dict[str, Any]) -> list[str]:
    return [
        "miss" if observation.startswith("Could not find") else action.partition("[")[0]
        for _, action, observation, _ in example["turns"]
    ]


if __name__ == "__main__":
    main()
