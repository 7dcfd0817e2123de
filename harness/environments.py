"""Environments by the names people type."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.worker import EnvSpec

ALIASES = {
    "alfworld": "sad/ALFWorld-v1",
    "hotpotqa": "sad/HotPotQA-v1",
    "webshop": "sad/WebShop-v1",
    "webshop-browser": "sad/WebShopBrowser-v1",
}
"""Short name to Gymnasium id."""


_PYTHON_WORDS = {"True": "true", "False": "false", "None": "null"}


def parse_env_args(pairs: Sequence[str]) -> dict[str, Any]:
    """`K=V` pairs as keyword arguments.

    Values are read as JSON where they are JSON, `True`, `False` and `None` as Python says them, and
    as text otherwise.
    """
    import json

    arguments: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier():
            raise HarnessError(f"--env-arg is {pair!r}; expected NAME=VALUE")
        try:
            arguments[key] = json.loads(_PYTHON_WORDS.get(value, value))
        except ValueError:
            arguments[key] = value
    return arguments


def find_env(name: str, kwargs: dict[str, Any]) -> EnvSpec:
    """The environment that a name stands for.

    In this order: a short name of this project, a Gymnasium id, an entry point of an installed
    package, `module:Class` or `path/to/file.py:Class`. An environment from a file is recorded
    without its folder, so that a run can be resumed from elsewhere.

    Raises:
        HarnessError: when the name is unknown, or what it names cannot be loaded.
    """
    import gymnasium

    import sad_envs  # noqa: F401  registers the ids
    from harness.outside import find_outside, names_outside
    from sad_envs.base import did_you_mean
    from sad_envs.plugins import absolute_target, find_plugin

    env_id = ALIASES.get(name.lower(), name)
    module, colon, rest = name.partition(":")
    if colon and rest in gymnasium.registry and module in sys.modules:
        env_id = rest  # Gymnasium's own form, module:id
    if env_id in gymnasium.registry:
        return EnvSpec(env_id=env_id, entry=env_id, kwargs=kwargs)
    if find_outside("environment", name) is None:
        ours = (i for i in gymnasium.registry if i.startswith("sad/"))
        known = [*ALIASES, *names_outside("environment"), *ours]
        raise HarnessError(f"unknown environment {name!r}{did_you_mean(name, known)}")
    plugin = find_plugin("environment", name)
    if plugin is not None:
        return EnvSpec(env_id=name, entry=plugin.target, kwargs=kwargs)
    target = absolute_target(name)
    where, _, attribute = target.rpartition(":")
    shown = f"{Path(where).name}:{attribute}" if where.endswith(".py") else target
    return EnvSpec(env_id=shown, entry=target, kwargs=kwargs)
