"""Asking for pip."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness import pip
from harness.errors import HarnessError


def test_pip_is_called_by_this_python() -> None:
    assert pip.require_pip() == [sys.executable, "-m", "pip"]


def test_a_python_without_pip_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pip.PathFinder, "find_spec", lambda name: None)
    with pytest.raises(HarnessError, match="has no pip; run: python -m ensurepip, or give up"):
        pip.require_pip(", or give up")


def test_setuptools_can_be_imported_afterwards() -> None:
    pytest.importorskip("setuptools")
    code = "from harness.pip import require_pip; require_pip(); import setuptools"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
