"""`make demo`: the main job end to end on embedded tasks, and a table."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import typer

RUNS = (
    ("expert", None, 60, 50),
    ("random", None, 60, 50),
    ("react", "smollm2", 3, 6),
)
"""Agent, model, tasks, steps."""


def main(out: Path = Path(".demo")) -> None:
    """Run the expert, random and ReAct agents on generated ALFWorld tasks."""
    from harness.cli.execute import execute
    from harness.cli.tables import print_table
    from harness.config import RunConfig
    from harness.store import read_episodes
    from harness.summary import summarise

    shutil.rmtree(out, ignore_errors=True)
    rows = []
    for agent, model, tasks, steps in RUNS:
        started = time.monotonic()
        name = agent if model is None else f"{agent} ({model})"
        print(f"\n== {name}: {tasks} tasks, at most {steps} steps", flush=True)
        folder = out / agent
        execute(
            RunConfig(
                agent=agent, env="alfworld", split="generated:0", model=model, limit=tasks,
                max_steps=steps, concurrency=2 if model is None else tasks, out=folder,
                max_tokens=60, shots=1 if model else None,
            )
        )  # fmt: skip
        total = summarise(read_episodes(folder), [], [""] * tasks)[-1]
        low, high = total.interval or (0.0, 0.0)
        rows.append(
            (
                name,
                f"{total.scored}/{total.planned}",
                f"{100 * (total.success_rate or 0):.1f}%",
                f"{100 * low:.0f}–{100 * high:.0f}",
                f"{total.mean_steps or 0:.1f}",
                f"{100 * (total.invalid_rate or 0):.1f}%",
                f"{time.monotonic() - started:.0f} s",
            )
        )
    print("\n== ALFWorld, generated tasks")
    print_table(
        ("agent", "scored/planned", "success", "95% interval", "steps", "invalid", "time"), rows
    )
    print(f"\ntrajectories: {out}/*/episodes.jsonl")


if __name__ == "__main__":
    typer.run(main)
