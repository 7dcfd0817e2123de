"""`harness doctor`: every finding says what was found and how to mend it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from harness import checks
from harness.cli import doctor

HARNESS = (sys.executable, "-c", "from harness.cli import main; main()")


def test_an_old_python_is_a_problem_and_a_tested_one_is_not() -> None:
    assert checks.check_python((3, 10, 4)).level == "problem"
    assert checks.check_python((3, 13, 0)) == checks.Finding("python", "ok", "3.13.0")


def test_a_foreign_package_of_our_name_is_named_with_its_remedy() -> None:
    owners = {"harness": [checks.DISTRIBUTION, "harness-sdk"], "numpy": ["numpy"]}
    (foreign,) = [f for f in checks.check_names(owners, None) if f.level == "problem"]
    assert "harness-sdk" in foreign.found
    assert "pip uninstall harness-sdk" in foreign.mend


def test_a_foreign_module_in_front_of_ours_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "harness.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (foreign,) = [f for f in checks.check_names({}, None) if f.level == "problem"]
    assert str(tmp_path) in foreign.found


def test_another_program_called_harness_is_named(tmp_path: Path) -> None:
    other = tmp_path / "harness"
    other.write_text("")
    if not (Path(sys.executable).parent / "harness").exists():
        pytest.fail("this Python has no harness command: install the package")
    (foreign,) = [f for f in checks.check_names({}, str(other)) if f.level == "problem"]
    assert str(other) in foreign.found


def test_every_extra_that_users_install_is_looked_at() -> None:
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    extras = tomllib.loads(pyproject.read_text())["project"]["optional-dependencies"]
    for_developers = {"dev", "docs", "distill-bench", "vllm"}
    assert set(checks.EXTRAS) == set(extras) - for_developers


def test_a_missing_distribution_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=1.0", "no-such-thing>=2; extra == 'report'", "numpy>=99; extra == 'report'"]
    monkeypatch.setattr(checks.metadata, "requires", lambda name: wanted)
    finding = checks.check_extra("report", "tables")
    assert finding.level == "absent"
    assert "no-such-thing, numpy 99 or newer" in finding.found
    assert finding.mend == "pip install 'structured-agent-distillation[report]'"


def test_an_extra_made_of_another_asks_for_that_too(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [
        f"{checks.DISTRIBUTION}[models]; extra == 'distill'",
        "no-such-thing; extra == 'models'",
    ]
    monkeypatch.setattr(checks.metadata, "requires", lambda name: wanted)
    assert "no-such-thing" in checks.check_extra("distill", "training").found


def test_a_full_or_closed_disk_is_a_problem(tmp_path: Path) -> None:
    assert checks.judge_disk("here", tmp_path, 2**20, True).level == "problem"
    assert checks.judge_disk("here", tmp_path, 2**40, False).level == "problem"
    assert checks.judge_disk("here", tmp_path, 2**40, True).level == "ok"


def test_a_mirror_that_is_no_folder_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAD_DATA_MIRROR", str(tmp_path / "gone"))
    assert next(checks.check_data()).level == "problem"


def test_data_that_is_absent_says_how_to_fetch_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAD_CACHE", str(tmp_path))
    monkeypatch.delenv("SAD_DATA_MIRROR", raising=False)
    found = {finding.check: finding for finding in checks.check_data()}
    assert found["data alfworld"].level == "absent"
    assert found["data alfworld"].mend == "harness data fetch alfworld"


def test_programs_that_hang_or_fail_are_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "TRY_SECONDS", 0.2)
    assert "no answer" in checks._try(["sleep", "5"]).text
    assert checks._try([sys.executable, "-c", "raise ValueError('broken')"]).text.endswith("broken")
    assert not checks._try(["/no/such/program"]).ok


def test_browser_and_driver_of_two_versions_are_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, version in (("chromium", "150.0.1"), ("chromedriver", "149.0.9")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} {version}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("SAD_CHROME", str(tmp_path / "chromium"))
    monkeypatch.setenv("SAD_CHROMEDRIVER", str(tmp_path / "chromedriver"))
    finding = checks.check_browser()
    assert finding.level == "problem"
    assert "150.0.1" in finding.found


def test_the_command_tells_problems_by_its_exit_code(tmp_path: Path) -> None:
    environ = {**os.environ, "SAD_CACHE": str(tmp_path), "SAD_DATA_MIRROR": str(tmp_path / "gone")}
    done = subprocess.run(
        [*HARNESS, "doctor", "--json"],
        env=environ, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    findings = json.loads(done.stdout)
    assert done.returncode == 2, done.stderr
    assert "mirror" in {f["check"] for f in findings if f["level"] == "problem"}
    assert all(f["mend"] for f in findings if f["level"] != "ok")


def test_what_is_only_absent_is_no_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = [checks.Finding("gpu", "absent", "none", "nothing to do")]
    monkeypatch.setattr(doctor, "examine", lambda: iter(findings))
    doctor.doctor(as_json=False)
    assert "0 problems, 1 optional parts absent" in capsys.readouterr().out
