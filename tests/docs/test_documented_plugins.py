"""What the pages on plugins show is run: every file is written, every command carried out."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
HARNESS = (sys.executable, "-c", "from harness.cli import main; main()")

ELSEWHERE = ("mygrid", "smollm2")
"""Words of commands that other tests carry out, or that need weights."""


@dataclass(frozen=True)
class Page:
    """A page's files by name, and its commands in order."""

    files: dict[str, str]
    commands: list[str]

    def run(self, folder: Path, *words: str) -> list[str]:
        """Write the files and run the commands with any of `words`; what each printed."""
        for name, text in self.files.items():
            (folder / name).write_text(text)
        return [self._run(c, folder) for c in self.commands if any(w in c for w in words)]

    def _run(self, command: str, folder: Path) -> str:
        program, *arguments = shlex.split(command)
        start = HARNESS if program == "harness" else (str(Path(sys.executable).parent / program),)
        result = subprocess.run(
            [*start, *arguments],
            cwd=folder, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
        return result.stdout


def page(name: str) -> Page:
    text = (DOCS / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, flags=re.M | re.S)
    files = {re.match(r"# (\S+\.py)\n", block)[1]: block for block in blocks}  # type: ignore[index]
    commands = re.findall(r"^    ((?:harness|tw-make) .*)$", text, flags=re.M)
    return Page(files, [c for c in commands if not any(word in c for word in ELSEWHERE)])


ENVIRONMENTS = page("add-an-environment.md")
PLUGINS = page("plugins.md")


def test_every_file_is_played() -> None:
    for shown in (ENVIRONMENTS, PLUGINS):
        for name in shown.files:
            assert any(f"{name}:" in command for command in shown.commands), name


def test_the_first_environment(tmp_path: Path) -> None:
    checked, played = ENVIRONMENTS.run(tmp_path, " guess.py")
    assert "FAIL" not in checked
    assert "5/5" in played


def test_an_expert_and_prompts(tmp_path: Path) -> None:
    (played,) = ENVIRONMENTS.run(tmp_path, "guess_helped.py")
    assert re.search(r"all +9/9 +100\.0%", played)


def test_a_wrapped_gymnasium_environment(tmp_path: Path) -> None:
    checked, played = ENVIRONMENTS.run(tmp_path, "lake.py")
    assert "FAIL" not in checked
    assert "5/5" in played


@pytest.mark.textworld
@pytest.mark.slow
def test_wrapped_textworld_games(tmp_path: Path) -> None:
    *_, checked, played = ENVIRONMENTS.run(tmp_path, "tw-make", "textworld_games.py")
    assert "FAIL" not in checked
    assert "2/2" in played


def test_an_agent_and_a_model(tmp_path: Path) -> None:
    first, second = PLUGINS.run(tmp_path, "harness run")
    assert "2/2" in first
    assert "2/2" in second
