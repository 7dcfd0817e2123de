"""Environments by the names people type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.errors import HarnessError
from harness.worker import EnvSpec

ALIASES = {"alfworld": "sad/ALFWorld-v1"}
"""Short name to Gymnasium id."""


def parse_env_args(pairs: Sequence[str]) -> dict[str, Any]:
    """`K=V` pairs as keyword arguments; values are read as JSON where they are JSON."""
    import json

    arguments: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier():
            raise HarnessError(f"--env-arg is {pair!r}; expected NAME=VALUE")
        try:
            arguments[key] = json.loads(value)
        except ValueError:
            arguments[key] = value
    return arguments


def find_env(name: str, kwargs: dict[str, Any]) -> EnvSpec:
    """The environment a short name, a Gymnasium id or `module:Class` stands for."""
    import gymnasium

    import sad_envs  # noqa: F401  registers the ids

    if ":" in name:
        return EnvSpec(env_id=name, entry=name, kwargs=kwargs)
    env_id = ALIASES.get(name.lower(), name)
    if env_id not in gymnasium.registry:
        from sad_envs.base import did_you_mean

        known = [*ALIASES, *(i for i in gymnasium.registry if i.startswith("sad/"))]
        raise HarnessError(f"unknown environment {name!r}{did_you_mean(name, known)}")
    return EnvSpec(env_id=env_id, entry=env_id, kwargs=kwargs)
