"""Small episodes, runs and models for the tests of this folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.styles import get_style
from harness.trajectory import Episode, Outcome, Prompt, Span, Turn


def make_turn(completion: str, observation: str, style: str = "thought-action") -> Turn:
    parsed = get_style(style).parse(completion)
    spans = [Span(kind="reason", text=parsed.reason)] if parsed.reason else []
    if parsed.act:
        spans.append(Span(kind="act", text=parsed.act))
    spans.append(Span(kind="observation", text=observation))
    return Turn(spans=tuple(spans), raw_completion=completion, action=parsed.action)


def make_episode(n_turns: int = 3, *, task_id: str = "t", **changes: Any) -> Episode:
    turns = tuple(
        make_turn(
            f"Thought: step {i}, the pen may be on desk {i}.\nAction: go to desk {i}",
            f"You arrive at desk {i}. On the desk {i}, you see a mug {i}.",
        )
        for i in range(n_turns)
    )
    row: dict[str, Any] = {
        "env_id": "sad/ALFWorld-v1", "env_version": "1", "task_id": task_id, "agent": "expert",
        "outcome": Outcome.SUCCESS, "success": True, "score": 1.0, "goal": f"find {task_id}",
        "prompt": Prompt(instruction="Do the task.", task=f"You are in a room. Find {task_id}."),
        "turns": turns,
    }  # fmt: skip
    return Episode.model_validate(row | changes)


def write_run(folder: Path, episodes: list[Episode], split: str | None = "generated:0:9") -> Path:
    folder.mkdir(parents=True)
    rows = "".join(episode.model_dump_json() + "\n" for episode in episodes)
    (folder / "episodes.jsonl").write_text(rows)
    env = {} if split is None else {"split": split}
    config = {"decides": {"env": env}, "digest": "d"}
    (folder / "config.json").write_text(json.dumps(config))
    return folder
