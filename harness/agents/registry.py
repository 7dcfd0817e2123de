"""Agents by name."""

from __future__ import annotations

from harness.agents.base import Agent
from harness.errors import HarnessError

AGENTS = {
    "expert": "the environment's demonstrator: acts on what it has observed and says why",
    "random": "uniform over the admissible actions",
    "react": "a language model, prompted with the transcript (needs --model)",
}


def load_agent(name: str) -> Agent:
    """An agent that needs no model; `react` is built where its model is."""
    if name == "expert":
        from harness.agents.expert import ExpertAgent

        return ExpertAgent()
    if name == "random":
        from harness.agents.random import RandomAgent

        return RandomAgent()
    from sad_envs.base import did_you_mean

    raise HarnessError(f"unknown agent {name!r}{did_you_mean(name, AGENTS)}")
