"""`harness env list|info|check|new`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)

Arguments = Annotated[
    list[str] | None, typer.Option("--env-arg", metavar="K=V", help="For the environment.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def _group() -> None:
    """List, describe, check and begin environments."""


@app.command("list")
def list_environments(as_json: Json = False) -> None:
    """The environments that can be run by name."""
    from harness.environments import ALIASES
    from sad_envs.plugins import list_plugins

    rows = [{"name": name, "env_id": env_id, "from": None} for name, env_id in ALIASES.items()]
    rows += [
        {"name": plugin.name, "env_id": plugin.name, "from": plugin.source}
        for plugin in list_plugins("environment")
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(f"{row['name']:12} {row['env_id'] if row['from'] is None else 'from ' + row['from']}")


@app.command("info")
def info(name: str, env_arg: Arguments = None, as_json: Json = False) -> None:
    """Version, tasks and arguments of an environment."""
    from harness.environments import find_env, parse_env_args
    from harness.worker import describe_env, make_env

    spec = find_env(name, parse_env_args(env_arg or []))
    env = make_env(spec)
    described = describe_env(env)
    data = {
        "env_id": spec.env_id,
        "env_version": described.env_version,
        "tasks": len(described.task_ids),
        "first_tasks": list(described.task_ids[:3]),
        "expert": described.has_expert,
    }
    if as_json:
        print(json.dumps(data, indent=2))
        return
    for key, value in data.items():
        print(f"{key:12} {', '.join(value) if isinstance(value, list) else value}")
    doc = type(env).__doc__
    if doc:
        import inspect

        print("\n" + inspect.cleandoc(doc))


@app.command("check")
def check(name: str, env_arg: Arguments = None, as_json: Json = False) -> None:
    """Check that an environment keeps the contract."""
    from dataclasses import asdict

    from harness.conformance import run_checks
    from harness.environments import find_env, parse_env_args

    results = []
    for result in run_checks(find_env(name, parse_env_args(env_arg or []))):
        results.append(result)
        if not as_json:
            print(
                f"{'ok  ' if result.ok else 'FAIL'}  {result.name:30} {result.detail}", flush=True
            )
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    if not all(result.ok for result in results):
        raise typer.Exit(1)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="The package's and the environment's name.")],
    parent: Annotated[Path, typer.Option("--dir", help="Where to put the folder.")] = Path(),
) -> None:
    """Write a small environment as a package of its own, to start from."""
    from harness.scaffold import write_environment

    folder = write_environment(name, parent)
    shown = folder if folder.is_absolute() else f"./{folder.as_posix()}"
    print(f"wrote {shown}")
    print("next:")
    print(f"  pip install -e {shown}")
    print(f"  harness env check {name}")
    print(f"  harness run --agent expert --env {name} --limit 5")
