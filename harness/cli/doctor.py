"""`harness doctor`: the findings of `harness.checks`, printed."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from harness.checks import Finding, examine

MARKS = {"ok": "ok", "absent": "–", "problem": "PROBLEM"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check Python, extras, JVM, browser, GPU, data and disk, and say how to mend what is not well.

    Exit code 2 when there is a problem; what is merely absent is none.
    """
    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    problems = sum(finding.level == "problem" for finding in findings)
    if not as_json:
        absent = sum(finding.level == "absent" for finding in findings)
        print(f"\n{problems} problems, {absent} optional parts absent")
    if problems:
        raise typer.Exit(2)


def _print(finding: Finding) -> None:
    print(f"{MARKS[finding.level]:8} {finding.check:16} {finding.found}", flush=True)
    if finding.mend:
        print(f"{'':8} {'':16} → {finding.mend}", flush=True)
