"""`harness webshop serve` as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from signals import heed_interrupts

HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_shop_is_served_until_it_is_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    command = [*HARNESS, "webshop", "serve", "--split", "generated:0:5", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--log", str(tmp_path / "log"), "--attrs"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{address}/fixed_3") as answer:
        page = answer.read().decode()
    goal = json.loads((tmp_path / "log" / "fixed_3.jsonl").read_text())["goal"]
    assert goal["instruction_text"].split(",")[0].split("'")[0] in page
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "5 goals, from fixed_0 to fixed_4" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--split", "tset"], "did you mean 'test'?"),
        (["--env-arg", "nuns=builtin"], "did you mean 'nouns'?"),
        (["--host", "no.such.host.invalid"], "cannot serve on no.such.host.invalid port 3000"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(arguments: list[str], expected: str) -> None:
    done = subprocess.run(
        [*HARNESS, "webshop", "serve", *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1
