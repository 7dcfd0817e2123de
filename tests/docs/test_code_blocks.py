"""Every code block of the documentation is carried out, or says why not; every command exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from pages import NEEDS, NOT_RUN, PAGES, ROOT, Block, blocks

from sad_envs.data import fetch, is_present

HARNESS = (sys.executable, "-c", "from harness.cli import main; main()")
USAGE_ERROR = typer.BadParameter.__bases__[0]
DATA = ("alfworld", "hotpotqa", "webshop")
ALL = [block for page in PAGES for block in blocks(page)]


def _page(page: Path) -> Any:
    needs = {need for block in blocks(page) for need in block.needs}
    marks = [getattr(pytest.mark, NEEDS[need]) for need in sorted(needs) if need in NEEDS]
    return pytest.param(page, marks=marks, id=str(page.relative_to(ROOT)))


@pytest.mark.parametrize("page", [_page(p) for p in PAGES if any(b.carried_out for b in blocks(p))])
def test_the_blocks_of_a_page_work_one_after_the_other(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if any("data" in block.needs for block in blocks(page)):
        for name in DATA:
            if not is_present(name):
                fetch(name)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.kind == "file":
            name = block.text.splitlines()[0].removeprefix("# ")
            (tmp_path / name).write_text(block.text + "\n", encoding="utf-8")
        elif block.kind == "python" and block.carried_out:
            code = "import gymnasium, sad_envs\n" + block.text
            exec(compile(code, block.where, "exec"), names)
        elif block.kind == "toml":
            tomllib.loads(block.text)
        elif block.carried_out:
            for command in block.commands():
                _carry_out(command, block)


def _carry_out(command: str, block: Block) -> None:
    program, *arguments = shlex.split(command)
    own = Path(sys.executable).parent / program
    start = HARNESS if program == "harness" else (str(own if own.exists() else program),)
    done = subprocess.run(
        [*start, *arguments],
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{block.where}: {command}\n{done.stdout}{done.stderr}"


def test_every_block_says_what_becomes_of_it() -> None:
    for block in ALL:
        note, _, rest = block.note.partition(": ")
        if not block.note or block.note == "output":
            continue
        if note == "not run":
            assert rest in NOT_RUN, f"{block.where}: {rest!r} is no reason; expected {NOT_RUN}"
        elif block.needs:
            assert set(block.needs) <= set(NEEDS), f"{block.where}: {block.note}"
        else:
            file = block.note.removeprefix("tested by ")
            assert (ROOT / file).is_file(), f"{block.where}: {block.note!r} is not understood"
            assert block.page.name in (ROOT / file).read_text(encoding="utf-8"), block.where


@pytest.mark.parametrize("block", [pytest.param(b, id=b.where) for b in ALL if b.commands()])
def test_every_harness_command_is_one(block: Block) -> None:
    for command in block.commands():
        if command.startswith("harness "):
            problem = _misunderstood(shlex.split(command)[1:])
            assert problem is None, f"{block.where}: {command}: {problem}"


def _misunderstood(arguments: list[str]) -> str | None:
    """What the command line has against these arguments; None if it would begin to work.

    A pattern such as `[--out DIR]` or `a|b` is not held against them: its options must exist.
    """
    from harness.cli import _mount, app

    if not _mounted:
        _mount()
        _mounted.append(True)
    command: Any = typer.main.get_command(app)
    given = [re.sub(r"[\[\]]", "", word) for word in arguments]
    pattern = given != arguments or "..." in given or any("|" in word for word in given)
    while hasattr(command, "commands") and given:
        if given[0].startswith("-"):
            return None
        if given[0] not in command.commands:
            return f"there is no command {given[0]!r}"
        command = command.commands[given.pop(0)]
    if pattern:
        known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
        used = {word for word in given if word.startswith("--")}
        return f"no option {sorted(used - known)}" if used - known else None
    try:
        context = command.make_context("harness", given)
    except typer.Exit:
        return None
    except USAGE_ERROR as error:
        return str(error)
    context.close()
    return None


_mounted: list[bool] = []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("runn --agent x", "there is no command 'runn'"),
        ("run --agent x --enw y", "--enw"),
        ("run --agent AGENT [--modell SPEC]", "--modell"),
    ],
)
def test_a_command_that_does_not_exist_is_noticed(arguments: str, words: str) -> None:
    assert words in str(_misunderstood(arguments.split()))
    assert _misunderstood(["run", "--agent", "AGENT", "[--model", "SPEC]"]) is None
