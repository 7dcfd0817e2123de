"""`harness demonstrate`: every demonstrator an environment has, played over a split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demonstrate(
    env: Annotated[str, typer.Argument(metavar="ENV", help="As for harness run --env.")],
    split: Annotated[str | None, typer.Option(help="The environment's split.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first N tasks of the split.")] = None,
    env_arg: Annotated[
        list[str] | None, typer.Option("--env-arg", metavar="K=V", help="For the environment.")
    ] = None,
    concurrency: Annotated[int, typer.Option(help="Episodes at once.")] = 1,
    record_admissible: Annotated[
        bool, typer.Option("--record-admissible", help="Keep the actions there were.")
    ] = False,
    out: Annotated[
        Path, typer.Option(help="Folder; each demonstrator's run is a folder in it.")
    ] = Path("runs/demonstrations"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what is begun.")] = False,
) -> None:
    """Record demonstrations: the expert's and, where the environment can plan, shortest solutions.

    The runs are OUT/expert and OUT/optimal, as harness run writes them, to learn from with
    harness distill --runs.
    """
    from harness.cli.execute import execute
    from harness.cli.progress import say
    from harness.config import make_config
    from harness.environments import find_env, parse_env_args
    from harness.errors import HarnessError
    from harness.worker import EnvFailure, EnvWorker

    arguments = parse_env_args(env_arg or [])
    whole = {**arguments, "split": split} if split is not None else arguments
    worker = EnvWorker(find_env(env, whole), deadline=600.0)
    try:
        described = worker.describe()
    except EnvFailure as error:
        raise HarnessError(f"environment {env!r}: {error}") from error
    finally:
        worker.close()
    agents = [
        name
        for name, there in (("expert", described.has_expert), ("optimal", described.has_optimal))
        if there
    ]
    if not agents:
        raise HarnessError(
            f"environment {env!r} has no demonstrator; record an agent's episodes with harness run"
        )
    unscored = 0
    for agent in agents:
        say(f"{agent}: {out / agent}")
        settings = {
            "agent": agent, "env": env, "env_args": arguments, "split": split, "limit": limit,
            "concurrency": concurrency, "record_admissible": record_admissible,
            "out": out / agent, "resume": resume,
        }  # fmt: skip
        unscored += execute(make_config(settings))
    if unscored:
        raise typer.Exit(1)
