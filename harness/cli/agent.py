"""`harness agent list`."""

from __future__ import annotations

import json

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """List agents."""


@app.command("list")
def list_agents(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """The agents that can be run."""
    from harness.agents import AGENTS
    from sad_envs.plugins import list_plugins

    agents = AGENTS | {p.name: f"from {p.source}" for p in list_plugins("agent")}
    if as_json:
        print(json.dumps(agents, indent=2))
        return
    for name, what in agents.items():
        print(f"{name:12} {what}")
