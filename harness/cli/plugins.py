"""`harness plugins`: what installed packages add, and what of it does not load."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Annotated, Any

import typer


def plugins(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Load every plugin and say where it is from, or why it cannot be used.

    Packages declare them as entry points of the groups sad_envs, harness.agents, harness.models.
    """
    from sad_envs.plugins import GROUPS, KINDS, list_plugins

    rows: list[dict[str, Any]] = []
    for kind in KINDS:
        for plugin in list_plugins(kind):
            # What a plugin prints when it is imported is not this command's output.
            with contextlib.redirect_stdout(sys.stderr):
                error = _trouble(plugin)
            rows.append(
                {
                    "kind": kind,
                    "name": plugin.name,
                    "target": plugin.target,
                    "distribution": plugin.distribution,
                    "version": plugin.version,
                    "error": error,
                }
            )
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(
            f"{row['kind']:12} {row['name']:16} {row['distribution']} {row['version']}  "
            f"{row['target']}"
        )
        if row["error"]:
            print(f"    {row['error']}")
    if not rows:
        groups = ", ".join(GROUPS.values())
        print(f"no plugins: no installed package has entry points in {groups}")


def _trouble(plugin: Any) -> str | None:
    """Why `plugin` cannot be used by its name; None when it can."""
    from harness.agents import AGENTS
    from harness.environments import ALIASES
    from harness.models.registry import BUILT_IN
    from sad_envs.plugins import PluginError, find_plugin

    built_in = {"environment": ALIASES, "agent": AGENTS, "model": BUILT_IN}[plugin.kind]
    try:
        plugin.load()
        if plugin.name in built_in:
            return f"hidden by the built-in {plugin.kind} {plugin.name!r}; use {plugin.target}"
        find_plugin(plugin.kind, plugin.name)
    except PluginError as error:
        return str(error)
    return None
