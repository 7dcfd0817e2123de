"""Agents: one completion per turn. `expert`, `random` and `react`, and the protocol for others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.agents.base import Agent, Context, Reply
    from harness.agents.registry import AGENTS, AgentMaker, find_agent, load_agent

__all__ = ["AGENTS", "Agent", "AgentMaker", "Context", "Reply", "find_agent", "load_agent"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'harness.agents' has no attribute {name!r}")
    from importlib import import_module

    module = "base" if name in ("Agent", "Context", "Reply") else "registry"
    return getattr(import_module(f"harness.agents.{module}"), name)
