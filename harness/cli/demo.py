"""`make demo`: the main job end to end on embedded tasks, and a table."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer


@dataclass(frozen=True)
class DemoRun:
    """One line of the demo's table."""

    env: str
    agent: str
    tasks: int
    max_steps: int
    model: str | None = None
    env_args: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        extra = [*([self.model] if self.model else []), *map(str, self.env_args.values())]
        return self.agent + (f" ({', '.join(extra)})" if extra else "")


RUNS = (
    DemoRun("alfworld", "expert", 60, 50),
    DemoRun("alfworld", "random", 60, 50),
    DemoRun("alfworld", "react", 3, 4, "smollm2"),
    DemoRun("hotpotqa", "expert", 60, 7),
    DemoRun("hotpotqa", "expert", 10, 7, env_args={"engine": "lucene"}),
    DemoRun("hotpotqa", "react", 3, 3, "smollm2"),
    DemoRun("webshop", "expert", 60, 14),
    DemoRun("webshop", "random", 60, 14),
    DemoRun("webshop", "react", 2, 3, "smollm2"),
)


def main(out: Path = Path(".demo")) -> None:
    """Run expert, random and ReAct agents on generated tasks of every environment."""
    from harness.cli.execute import execute
    from harness.cli.tables import print_table
    from harness.config import RunConfig
    from harness.store import read_episodes
    from harness.summary import summarise

    shutil.rmtree(out, ignore_errors=True)
    rows = []
    for number, run in enumerate(RUNS):
        started = time.monotonic()
        print(f"\n== {run.env}, {run.name}: {run.tasks} tasks, at most {run.max_steps} steps")
        folder = out / f"{number + 1}-{run.env}-{run.agent}"
        execute(
            RunConfig(
                agent=run.agent, env=run.env, env_args=run.env_args, split="generated:0",
                model=run.model, limit=run.tasks, max_steps=run.max_steps, out=folder,
                concurrency=2 if run.model is None else run.tasks, max_tokens=60,
                shots=1 if run.model else None,
            )
        )  # fmt: skip
        total = summarise(read_episodes(folder), [], [""] * run.tasks)[-1]
        low, high = total.interval or (0.0, 0.0)
        rows.append(
            (
                run.env,
                run.name,
                f"{total.scored}/{total.planned}",
                f"{100 * (total.success_rate or 0):.1f}%",
                f"{100 * low:.0f}–{100 * high:.0f}",
                f"{total.mean_steps or 0:.1f}",
                f"{100 * (total.invalid_rate or 0):.1f}%",
                f"{time.monotonic() - started:.0f} s",
            )
        )
    print("\n== Generated tasks")
    print_table(
        ("environment", "agent", "scored/planned", "success", "95% interval", "steps", "invalid",
         "time"),
        rows,
    )  # fmt: skip
    print(f"\ntrajectories: {out}/*/episodes.jsonl")


if __name__ == "__main__":
    typer.run(main)
