"""This Python's pip, which runs as a command of its own and is never imported."""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder

from harness.errors import HarnessError


def require_pip(advice: str = "") -> list[str]:
    """The words that call pip.

    Args:
        advice: what may be done instead, for the error.

    `importlib.util.find_spec` is not asked for it: setuptools' finder then takes pip for imported
    and gives way to the standard library's distutils, and `import setuptools`, with which
    `torch.compile` begins, fails for the rest of the process.

    Raises:
        HarnessError: this Python has none.
    """
    if PathFinder.find_spec("pip") is None:
        raise HarnessError(f"{sys.executable} has no pip; run: python -m ensurepip{advice}")
    return [sys.executable, "-m", "pip"]
