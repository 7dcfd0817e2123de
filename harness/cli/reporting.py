"""How a run is announced, and what it amounts to when it has ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.budget import Price
from harness.cli.progress import say
from harness.cli.tables import print_summary
from harness.config import RunConfig
from harness.rollout import Job
from harness.store import ERRORS, RunStore, read_episodes
from harness.summary import Spending, summarise
from harness.summary import as_json as plain_rows
from harness.trajectory import Episode, Outcome, Prompt


def versions() -> dict[str, Any]:
    """Python, platform, packages, and the revision of this code where it is a checkout."""
    import platform
    import subprocess
    from importlib.metadata import PackageNotFoundError, version

    packages = {}
    for name in ("structured-agent-distillation", "gymnasium", "numpy", "pydantic", "torch",
                 "transformers", "alfworld", "textworld"):  # fmt: skip
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    try:
        revision = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=10, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        revision = None
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "git_revision": revision,
    }


def print_plan(config: RunConfig, jobs: list[Job], env_version: str, as_json: bool) -> None:
    """Say what would be run."""
    done = set()
    if config.out is not None:
        done = {episode.key for episode in read_episodes(config.out)}
    data = {
        "agent": config.agent,
        "model": config.model,
        "environment": config.env,
        "env_version": env_version,
        "episodes": len(jobs),
        "done": sum(job.key in done for job in jobs),
        "concurrency": config.concurrency,
        "model_concurrency": config.model_concurrency,
        "first_tasks": [job.task_id for job in jobs[:3]],
    }
    if as_json:
        print(json.dumps(data, indent=2))
        return
    for key, value in data.items():
        if value is not None:
            print(f"{key:12} {', '.join(value) if isinstance(value, list) else value}")


def report(store: RunStore, jobs: list[Job], price: Price | None, as_json: bool) -> int:
    """Write and print the summary of a run, from its rows; the number of episodes not scored."""
    keys = {job.key for job in jobs}
    done: set[tuple[str, str, int]] = set()
    without_turns = 0
    spending = Spending()

    def scored() -> Iterator[Episode]:
        nonlocal without_turns
        for episode in read_episodes(store.folder):
            if episode.key in keys:
                done.add(episode.key)
                spending.add(episode)
                too_long = episode.outcome == Outcome.TRUNCATED_CONTEXT and not episode.turns
                without_turns += too_long
                yield episode

    failed = []
    for attempt in read_episodes(store.folder, ERRORS):
        if attempt.key in keys:
            spending.add(attempt)
            failed.append(attempt.model_copy(update={"turns": (), "prompt": Prompt()}))
    rows = summarise(scored(), failed, [job.task_type for job in jobs])
    data = {
        "digest": store.digest,
        "rows": plain_rows(rows),
        "usage": spending.as_json(price),
    }
    store.write_summary(data)
    if as_json:
        print(json.dumps({"run": str(store.folder), **data}, indent=2))
    else:
        print_summary(rows)
        for line in spending.lines(price):
            print(line)
        print(f"\nrun: {store.folder}")
    if without_turns:
        say(
            f"{without_turns} episodes ended before the first turn because the prompt does not "
            "fit; use fewer --shots or a larger --max-length"
        )
    causes = {e.key: e for e in failed if e.key not in done}
    for episode in list(causes.values())[:3]:
        say(f"not scored: {episode.task_id}: {episode.outcome}: {episode.error}")
    return len(jobs) - rows[-1].scored
