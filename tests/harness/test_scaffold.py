"""`harness env new`: names that will not do, and a package that works where it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.scaffold import write_environment

NAME = "tinyhouse"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_environment(NAME, tmp_path_factory.mktemp("new"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My-Grid", "for example my_grid"),
        ("class", "cannot be the name of a package"),
        ("2rooms", "a letter first"),
        ("x" * 41, "at most 40"),
        ("../up", "for example up"),
        ("json", "a Python module 'json' already"),
        ("pytest", "a Python module 'pytest' already"),
        ("alfworld", "an environment 'alfworld' already"),
    ],
)
def test_a_name_that_will_not_do_is_one_line(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as caught:
        write_environment(name, tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(HarnessError, match="exists; choose another name"):
        write_environment(NAME, tmp_path)
    assert list((tmp_path / NAME).iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HarnessError, match="cannot write"):
        write_environment(NAME, tmp_path / "file")


def test_the_layout(package: Path) -> None:
    files = sorted(p.relative_to(package).as_posix() for p in package.rglob("*") if p.is_file())
    modules = ("__init__.py", "env.py", "expert.py", "prompts.py", "py.typed", "tasks.py")
    assert files == sorted(
        ["README.md", "pyproject.toml", f"tests/test_{NAME}.py", *(f"{NAME}/{m}" for m in modules)]
    )
    assert not [p for p in package.rglob("*") if p.is_file() and "{{" in p.read_text()]


@pytest.mark.slow
def test_what_was_written_is_tidy(package: Path) -> None:
    for tool in (("check",), ("format", "--check")):
        result = subprocess.run(
            [sys.executable, "-m", "ruff", *tool, "--no-cache", "."],
            cwd=package, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_what_was_written_is_typed(package: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "mypy"], cwd=package, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
