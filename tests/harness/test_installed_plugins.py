"""Packages from outside, installed into a fresh environment as a user would.

The fresh environment sees the packages of the one the tests run in, so nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.store import read_episodes

PLUGIN_PACKAGE = Path(__file__).parents[1] / "plugin_package"

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Outside:
    """A folder to work in and an environment of its own."""

    folder: Path
    python: Path

    def harness(self, *arguments: str, check: int = 0) -> subprocess.CompletedProcess[str]:
        code = "from harness.cli import main; main()"
        return self.run(str(self.python), "-c", code, *arguments, check=check)

    def run(self, *command: str, check: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        result = subprocess.run(
            command, cwd=self.folder, env=environment,
            capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        assert result.returncode == check, result.stdout + result.stderr
        return result


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Outside:
    folder = tmp_path_factory.mktemp("outside")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    here = Outside(folder, next((folder / "venv").glob("[bS]*/python*")))
    packages = here.run(
        str(here.python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"
    )
    lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    (Path(packages.stdout.strip()) / "the_tests_own.pth").write_text("\n".join(lines) + "\n")
    here.harness("env", "new", "mygrid")
    here.run(
        str(here.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--no-deps", "--no-build-isolation", str(PLUGIN_PACKAGE), "-e", "./mygrid",
    )  # fmt: skip
    return here


def test_plugins_lists_all_and_why_some_cannot_be_used(outside: Outside) -> None:
    result = outside.harness("plugins", "--json")
    rows = {(row["kind"], row["name"]): row for row in json.loads(result.stdout)}
    assert set(rows) == {
        ("environment", "alfworld"), ("environment", "broken"), ("environment", "countdown"),
        ("environment", "mygrid"), ("agent", "asking"), ("agent", "patient"),
        ("agent", "quitting"), ("model", "parrot"),
    }  # fmt: skip
    countdown = rows["environment", "countdown"]
    assert (countdown["distribution"], countdown["version"]) == ("sad-test-plugins", "1.2.3")
    assert countdown["error"] is None
    assert "No module named 'a_library_that_nobody_has'" in rows["environment", "broken"]["error"]
    assert "hidden by the built-in" in rows["environment", "alfworld"]["error"]
    assert "SystemExit: 3" in rows["agent", "quitting"]["error"]
    assert "about to fail" in result.stderr

    text = outside.harness("plugins").stdout.splitlines()
    assert len(text) == len(rows) + 3
    assert any("mygrid 0.1.0" in line for line in text)


def test_lists_name_what_is_installed(outside: Outside) -> None:
    for kind, name in (("env", "countdown"), ("agent", "patient"), ("model", "parrot")):
        listed = outside.harness(kind, "list").stdout
        assert any(
            line.startswith(name) and line.rstrip().endswith("from sad-test-plugins 1.2.3")
            for line in listed.splitlines()
        )


def test_a_plugin_that_does_not_load_breaks_nothing_else(outside: Outside) -> None:
    outside.harness("run", "--agent", "expert", "--env", "alfworld", "--limit", "1")
    result = outside.harness("run", "--agent", "expert", "--env", "broken", check=2)
    assert "environment 'broken' from sad-test-plugins 1.2.3 cannot be used" in result.stderr
    assert "No module named 'a_library_that_nobody_has'" in result.stderr
    assert "did you mean 'countdown'" in outside.harness(
        "run", "--agent", "expert", "--env", "countdwon", check=2
    ).stderr  # fmt: skip


def test_environment_agent_and_model_by_their_names(outside: Outside) -> None:
    outside.harness(
        "run", "--agent", "asking", "--model", "parrot", "--env", "countdown",
        "--split", "high", "--concurrency", "2", "--out", "asked",
    )  # fmt: skip
    outside.harness("run", "--agent", "patient", "--env", "countdown", "--out", "patient")
    outside.harness(
        "run", "--agent", "asking", "--model", "parrot:2", "--env", "countdown", "--out", "two"
    )
    asked = list(read_episodes(outside.folder / "asked"))
    assert {(e.env_id, e.agent, e.model) for e in asked} == {("countdown", "asking", "parrot")}
    assert all(e.success for e in asked)
    assert all(e.success for e in read_episodes(outside.folder / "patient"))
    assert not any(e.success for e in read_episodes(outside.folder / "two"))


def test_a_new_environment_passes_every_check_at_once(outside: Outside) -> None:
    checks = json.loads(outside.harness("env", "check", "mygrid", "--json").stdout)
    assert [check for check in checks if not check["ok"]] == []
    for agent in ("random", "expert"):
        outside.harness(
            "run", "--agent", agent, "--env", "mygrid", "--limit", "5", "--out", agent
        )  # fmt: skip
    assert all(e.success for e in read_episodes(outside.folder / "expert"))
    assert len(list(read_episodes(outside.folder / "random"))) == 5


def test_the_tests_of_a_new_environment_pass(outside: Outside) -> None:
    result = outside.run(
        str(outside.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "mygrid"
    )
    assert "passed" in result.stdout


def test_a_name_that_is_taken_by_a_plugin_is_refused(outside: Outside) -> None:
    result = outside.harness("env", "new", "countdown", check=2)
    assert "there is an environment 'countdown' already" in result.stderr
