"""Fixtures of the ALFWorld tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def splits(alfworld_data: Path) -> Path:
    """The folder that holds the splits' folders of the real release."""
    return alfworld_data / "json_2.1.1"
