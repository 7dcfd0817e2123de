"""`harness env check`: every environment passes, and a broken one is caught."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.conformance import run_checks
from harness.environments import ALIASES, find_env
from harness.worker import EnvSpec
from sad_envs import Beginning, Consequence, TextTaskEnv


class Counting(TextTaskEnv):
    """Count to three."""

    dynamics = "counting-1"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(split="all", max_steps=6, **kwargs)
        self._count = 0

    @property
    def task_ids(self) -> Sequence[str]:
        return ("one", "two", "three")

    def _begin(self, task_id: str) -> Beginning:
        self._count = 0
        return Beginning(f"Count, {task_id}.", "count", "count", ["up", "wait"])

    def _act(self, action: str) -> Consequence:
        self._count += action == "up"
        done = self._count == 3
        return Consequence(
            str(self._count), float(done), done, True if done else None, float(done),
            action in ("up", "wait"), ["up", "wait"],
        )  # fmt: skip


class Unseeded(Counting):
    def _begin(self, task_id: str) -> Beginning:
        return Beginning(f"{random.random()}", "count", "count", ["up", "wait"])


class Fragile(Counting):
    def _act(self, action: str) -> Consequence:
        action.encode()
        return super()._act(action)


class Shared(Counting):
    total = 0

    def _act(self, action: str) -> Consequence:
        Shared.total += 1
        return Consequence(str(Shared.total), admissible_actions=["up", "wait"])


class Leaking(Counting):
    kept: list[bytearray] = []  # noqa: RUF012

    def _begin(self, task_id: str) -> Beginning:
        self.kept.append(bytearray(b"x") * 400_000)
        return super()._begin(task_id)


class Forgetful(Counting):
    def _info(self, *arguments: Any) -> dict[str, Any]:
        info = super()._info(*arguments)
        del info["goal"]
        return info


def failing(cls: type) -> set[str]:
    spec = EnvSpec(cls.__name__, f"{Path(__file__)}:{cls.__name__}")
    return {check.name for check in run_checks(spec) if not check.ok}


IN_A_BROWSER = pytest.param(
    "webshop-browser", marks=[pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1200)]
)


@pytest.mark.parametrize("name", [*sorted(set(ALIASES) - {"webshop-browser"}), IN_A_BROWSER])
def test_every_environment_passes(name: str) -> None:
    for check in run_checks(find_env(name, {})):
        assert check.ok, check


def test_small_environment_passes() -> None:
    assert failing(Counting) == set()


@pytest.mark.parametrize(
    ("cls", "check"),
    [
        (Unseeded, "determinism across processes"),
        (Fragile, "hostile actions"),
        (Shared, "many in one process"),
        (Leaking, "memory"),
        (Forgetful, "info contract"),
    ],
)
def test_broken_environment_is_caught(cls: type, check: str) -> None:
    assert check in failing(cls)
