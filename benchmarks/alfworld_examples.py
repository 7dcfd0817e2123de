"""Make the few-shot examples of the ALFWorld prompts from episodes on generated tasks.

    python benchmarks/alfworld_examples.py > sad_envs/alfworld/examples.json

For each task type the expert plays generated tasks in order, and the first episodes that make good
examples are kept: short, in a room with few receptacles, with at least one place searched in vain,
and such that the two of a type differ in room, object and wording of the goal.
"""

from __future__ import annotations

import json
import re
from typing import Any

from sad_envs.alfworld.env import ALFWorldEnv
from sad_envs.alfworld.game import TASK_TYPES
from sad_envs.alfworld.memory import read_opening
from sad_envs.alfworld.prompts import MAX_SHOTS

SPLIT = "generated:616161:3000"
EXPERT_SEED = 1
MOST_TURNS = {"put": 8, "examine": 8, "clean": 9, "heat": 9, "cool": 9, "puttwo": 11}
MOST_PLACES = 24


def main() -> None:
    """Print the examples as JSON."""
    move = ALFWorldEnv(split=SPLIT, dialect="move")
    put = ALFWorldEnv(split=SPLIT, dialect="put")
    kept: dict[str, list[dict[str, Any]]] = {}
    for task_type in TASK_TYPES.values():
        chosen = kept.setdefault(task_type, [])
        traits: list[set[str]] = []
        for task_id in move.task_ids:
            if len(chosen) == MAX_SHOTS:
                break
            example = play(move, task_id) if _of_type(move, task_id, task_type) else None
            if example is None or len(example["turns"]) > MOST_TURNS[task_type]:
                continue
            here = _traits(example)
            if _searches(example) and all(here.isdisjoint(other) for other in traits):
                traits.append(here)
                chosen.append(example | {"locations": locations(put, example)})
    print(json.dumps(kept, indent=1))


def play(env: ALFWorldEnv, task_id: str) -> dict[str, Any] | None:
    """An episode of the expert; None when the room has too many places, or it failed."""
    observation, info = env.reset(options={"task_id": task_id})
    if len(read_opening(observation).places) > MOST_PLACES:
        return None
    task = re.sub(r"\n+", "\n", observation.partition("\n\n")[2])
    policy, turns, ended = env.make_expert(EXPERT_SEED), [], False
    while not ended:
        thought, action = policy(observation, info)
        observation, _, terminated, truncated, info = env.step(action)
        turns.append([thought, action, observation])
        ended = terminated or truncated
    return {"task_id": task_id, "task": task, "turns": turns} if info["success"] else None


def locations(env: ALFWorldEnv, example: dict[str, Any]) -> dict[str, str]:
    """What arrivals at the places visited are called in the `put` dialect."""
    env.reset(options={"task_id": example["task_id"]})
    found = {}
    for _, action, _ in example["turns"]:
        if action.startswith("go to "):
            arrival = env.step(action)[0]
            found[action.removeprefix("go to ")] = arrival.partition(". ")[0].split(" at ")[1]
    return found


def _of_type(env: ALFWorldEnv, task_id: str, task_type: str) -> bool:
    return any(task_id.startswith(p) for p, known in TASK_TYPES.items() if known == task_type)


def _searches(example: dict[str, Any]) -> bool:
    """Whether a place was searched in vain, and nothing was answered `Nothing happens.`"""
    texts = [observation for _, _, observation in example["turns"]]
    first = example["turns"][1][1]
    return "Nothing happens." not in texts and not first.startswith("take")


def _traits(example: dict[str, Any]) -> set[str]:
    """What another example of the type is to differ in: object, goal receptacle, wording, room."""
    _, thing, _, end, _ = example["task_id"].partition("/")[0].rsplit("-", 4)
    goal = example["task"].rpartition("Your task is to: ")[2]
    room = example["task"].partition("\n")[0]
    wording = re.sub(rf"\b({thing}|{end})\b", "_", goal, flags=re.IGNORECASE)
    return {thing, f"to {end}" if end != "DeskLamp" else thing, wording, room}


if __name__ == "__main__":
    main()
