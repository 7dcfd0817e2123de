"""Run directories with chosen results, written as `harness run` writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.store import ENV, EPISODES, ERRORS, config_digest
from harness.trajectory import Episode, Outcome, Span, Turn, Usage

ALFWORLD = "sad/ALFWorld-v1"
TYPES = ("put", "clean", "heat")


def result(
    task: str,
    success: bool,
    *,
    repeat: int = 0,
    score: float | None = None,
    env_id: str = ALFWORLD,
    env_version: str = "alfworld-1+aaa",
    agent: str = "react",
    model: str | None = "hf:students/a",
    n_steps: int = 4,
    task_type: str = "put",
    **more: Any,
) -> Episode:
    """One scored episode with two turns of reasoning, 5 and 7 tokens long."""
    turns = tuple(
        Turn(
            spans=(
                Span(kind="reason", text="Thought: look\n"),
                Span(kind="act", text="Action: look"),
                Span(kind="observation", text="You see nothing."),
            ),
            action="look",
            reason_tokens=tokens if model else None,
        )
        for tokens in (5, 7)
    )
    usage = Usage(model_calls=2, prompt_tokens=100, cached_tokens=40, completion_tokens=20)
    fields: dict[str, Any] = {
        "env_id": env_id,
        "env_version": env_version,
        "task_id": task,
        "task_type": task_type,
        "repeat": repeat,
        "agent": agent,
        "model": model,
        "outcome": Outcome.SUCCESS if success else Outcome.FAILURE,
        "success": success,
        "score": float(success) if score is None else score,
        "n_steps": n_steps,
        "usage": usage if model else Usage(),
        "wall_seconds": 1.5,
        "turns": turns,
    }
    return Episode(**(fields | more))


def owed(task: str, outcome: Outcome = Outcome.PROVIDER_ERROR, **more: Any) -> Episode:
    """An attempt that was not scored."""
    scored = result(task, False, **more)
    return scored.model_copy(update={"outcome": outcome, "success": None, "score": None})


def write_run(
    folder: Path,
    episodes: Sequence[Episode],
    *,
    attempts: Sequence[Episode] = (),
    planned: Mapping[str, int] | None = None,
    split: str = "valid_unseen",
    settings: Mapping[str, Any] | None = None,
    parameters: int | None = None,
    weights: str | None = None,
    distillation: Mapping[str, Any] | None = None,
    seed: int = 0,
    max_steps: int = 50,
) -> Path:
    """Write a run of some episodes, which say themselves who played where."""
    first = [*episodes, *attempts][0]
    described = None
    if first.model is not None:
        described = {"weights": weights or first.model, "parameters": parameters}
    decides = {
        "env_id": first.env_id,
        "env": {"split": split, "max_steps": max_steps},
        "env_version": first.env_version,
        "agent": {"agent": first.agent, **(settings or {})},
        "prompt_style": "thought-action",
        "prompts": "p1",
        "model": described,
        "seed": seed,
    }
    if planned is None:
        planned = {}
        for episode in [*episodes, *attempts]:
            planned[episode.task_type] = planned.get(episode.task_type, 0) + 1
    config = {
        "decides": decides,
        "digest": config_digest(decides),
        "request": {"agent": first.agent, "model": first.model, "split": split},
        "planned": planned,
    }
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / ENV).write_text(json.dumps({"distillation": distillation}))
    for name, rows in ((EPISODES, episodes), (ERRORS, attempts)):
        (folder / name).write_text("".join(row.model_dump_json() + "\n" for row in rows))
    return folder


def play(
    folder: Path,
    outcomes: Sequence[bool],
    *,
    agent: str = "react",
    model: str | None = None,
    scores: Sequence[float] | None = None,
    repeats: int = 1,
    env_id: str = ALFWORLD,
    env_version: str = "alfworld-1+aaa",
    n_steps: int = 4,
    **how: Any,
) -> Path:
    """Write a run with these outcomes: task `t0`, `t1`, ..., all repeats of one after the other."""
    episodes = [
        result(
            f"t{i // repeats}",
            success,
            repeat=i % repeats,
            score=None if scores is None else scores[i],
            agent=agent,
            model=model,
            env_id=env_id,
            env_version=env_version,
            n_steps=n_steps,
            task_type=TYPES[i // repeats % len(TYPES)],
        )
        for i, success in enumerate(outcomes)
    ]
    return write_run(folder, episodes, **how)


def student(
    folder: Path,
    outcomes: Sequence[bool],
    *,
    method: str = "sad",
    seed: int = 0,
    parameters: int = 1_000_000,
    student: str = "nano:S",
    teacher: str | None = "hf:teachers/big",
    settings: Mapping[str, Any] | None = None,
    playing: Mapping[str, Any] | None = None,
    ended: str = "done",
    steps: int | None = None,
    **how: Any,
) -> Path:
    """Write the run of a distilled student, made with `settings` and played with `playing`."""
    made = {
        "method": method,
        "student": student,
        "teacher": teacher,
        "parameters": parameters,
        "seed": seed,
        "ended": ended,
        "steps": steps,
        "settings": {"training": {"seed": seed}, **(settings or {})},
        "data": {"episodes": 100, "digest": "d1", "agents": ["expert"]},
    }
    return play(
        folder,
        outcomes,
        model=f"hf:students/{method}-{parameters}-{seed}",
        weights=f"w-{method}-{parameters}-{seed}-{settings}",
        parameters=parameters,
        distillation=made,
        settings=playing,
        **how,
    )
