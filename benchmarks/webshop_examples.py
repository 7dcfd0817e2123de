"""Make the few-shot examples of the WebShop prompts from episodes on generated tasks.

    python benchmarks/webshop_examples.py > sad_envs/webshop/examples.json

The expert plays generated tasks in order, and for each of three courses an episode can take, the
shortest one that takes it is kept, in the observations of three modes.
"""

from __future__ import annotations

import json
from typing import Any

from sad_envs.webshop.env import WebShopEnv
from sad_envs.webshop.prompts import EXAMPLE_MODES

SPLIT = "generated:626262:400"
EXPERT_SEED = 3
OPTION = "option"
COURSES = (
    ("search", "open", "Features", "< Prev", OPTION, OPTION, "Buy Now"),
    ("search", "open", "< Prev", "open", "Features", "< Prev", OPTION, OPTION, "Buy Now"),
    ("search", "Back to Search", "search", "open", "Features", "< Prev", "Buy Now"),
)
"""What the actions are."""


def main() -> None:
    """Print the examples as JSON."""
    envs = {mode: WebShopEnv(split=SPLIT, mode=mode) for mode in EXAMPLE_MODES}
    lead = envs["react"]
    episodes = [play(lead, task_id) for task_id in lead.task_ids]
    kept = []
    for course in COURSES:
        fitting = [one for one in episodes if one["score"] == 1 and _course(one) == course]
        shortest = min(fitting, key=lambda one: sum(len(turn[2]) for turn in one["turns"]))
        kept.append(in_all_modes(envs, shortest))
    print(json.dumps(kept, indent=1, ensure_ascii=False))


def play(env: WebShopEnv, task_id: str) -> dict[str, Any]:
    """An episode of the expert."""
    observation, info = env.reset(options={"task_id": task_id})
    policy, turns, ended = env.make_expert(EXPERT_SEED), [], False
    while not ended:
        thought, action = policy(observation, info)
        observation, _, terminated, truncated, info = env.step(action)
        turns.append([thought, action, observation])
        ended = terminated or truncated
    return {"task_id": task_id, "score": info["score"], "turns": turns}


def in_all_modes(envs: dict[str, WebShopEnv], episode: dict[str, Any]) -> dict[str, Any]:
    """The episode with the observations of all environments."""
    task_id = episode["task_id"]
    task = {mode: env.reset(options={"task_id": task_id})[0].strip() for mode, env in envs.items()}
    turns = [
        [thought, action, {mode: env.step(action)[0].strip() for mode, env in envs.items()}]
        for thought, action, _ in episode["turns"]
    ]
    return {"task_id": task_id, "task": task, "turns": turns}


def _course(episode: dict[str, Any]) -> tuple[str, ...]:
    return tuple(_step(action) for _, action, _ in episode["turns"])


def _step(action: str) -> str:
    label = action.partition("[")[2][:-1]
    if action.startswith("search["):
        return "search"
    if label.startswith("B0"):
        return "open"
    buttons = ("Features", "Description", "< Prev", "Back to Search", "Buy Now")
    return label if label in buttons else OPTION


if __name__ == "__main__":
    main()
