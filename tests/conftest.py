"""Shared fixtures, and what happens to tests whose prerequisites are absent.

Tests marked `realdata` look in the mirror that `SAD_DATA_MIRROR` names, then in the cache; where
there is neither they are deselected with one printed count, and with `CI=true` that is a failure.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

NEEDS = {
    "models": "torch",
    "textworld": "alfworld",
    "lucene": "jnius",
    "browser": "selenium",
    "spacy": "spacy",
}
"""Marker to the module without which its tests cannot run."""


def _data_available() -> bool:
    from sad_envs.data import is_present

    wanted = ("alfworld", "hotpotqa", "webshop")
    return bool(os.environ.get("SAD_DATA_MIRROR")) or all(map(is_present, wanted))


def _weights_available() -> bool:
    if importlib.util.find_spec("harness.models.weights") is None:
        return False
    from harness.errors import HarnessError
    from harness.models.weights import smollm2_path

    try:
        smollm2_path()
    except HarnessError:
        return False
    return True


def _chromium_available() -> bool:
    from sad_envs.base import EnvError
    from sad_envs.webshop.chromium import find_binaries

    try:
        find_binaries(download=False)
    except EnvError:
        return False
    return True


def _vllm_available() -> bool:
    from harness.errors import HarnessError
    from harness.serving import find_python

    try:
        find_python(None, os.environ)
    except HarnessError:
        return False
    return True


# Written in torch from the first line on: nothing to collect without it.
collect_ignore = (
    []
    if importlib.util.find_spec("torch")
    else [
        f"sad_distill/test_{name}.py"
        for name in [
            "attention",
            "candidates",
            "cli_distill",
            "divergence",
            "dryrun",
            "heads",
            "metrics",
            "onpolicy",
            "optimiser",
            "processes",
            "pruning",
            "resume",
            "selftest",
            "smollm2_student",
            "sources",
            "step",
            "teacher",
            "train",
        ]
    ]
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("vllm") is None:
        # `make test-vllm` runs these with the other interpreter.
        items[:] = [item for item in items if not item.get_closest_marker("vllm_here")]
    lacking: dict[str, str] = {}
    for marker, module in NEEDS.items():
        if importlib.util.find_spec(module) is None:
            lacking[marker] = f"the package {module} is not installed"
    used = {marker.name for item in items for marker in item.iter_markers()}
    if "realdata" in used and not _data_available():
        lacking["realdata"] = (
            "set SAD_DATA_MIRROR or run 'harness data fetch alfworld hotpotqa webshop'"
        )
    if "browser" in used and "browser" not in lacking and not _chromium_available():
        lacking["browser"] = "run 'apt-get install chromium chromium-driver'"
    if "smollm2" in used and "models" not in lacking and not _weights_available():
        lacking["smollm2"] = "run 'harness model fetch smollm2'"
    if "vllm" in used and not _vllm_available():
        lacking["vllm"] = "run 'make setup-vllm', or set SAD_VLLM_PYTHON"
    left_out = [item for item in items if any(item.get_closest_marker(m) for m in lacking)]
    if not left_out:
        return
    reasons = "; ".join(f"{marker}: {why}" for marker, why in lacking.items() if marker in used)
    if os.environ.get("CI") == "true" and os.environ.get("SAD_TEST_CORE_ONLY") != "1":
        raise pytest.UsageError(f"{len(left_out)} tests cannot run here ({reasons})")
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]
    if not hasattr(config, "workerinput"):
        print(f"{len(left_out)} tests left out ({reasons})")


@pytest.fixture(scope="session")
def alfworld_data() -> Path:
    """The verified ALFWorld folder, fetched from the mirror when it is not in the cache."""
    from sad_envs.data import data_path, fetch, is_present

    if not is_present("alfworld"):
        fetch("alfworld")
    return data_path("alfworld")
