"""`harness serve` with a stand-in where vLLM would be: what it starts, and that nothing is left."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from signals import heed_interrupts

from harness.errors import HarnessError
from harness.serving import ServeOptions, command, environment, find_python

HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]
STAND_IN = Path(__file__).parents[1] / "fault_server.py"

INTERPRETER = f"""#!/bin/bash
[ "$1" = -c ] && echo True && exit
while [ $# -gt 0 ]; do [ "$1" = --port ] && port=$2; shift; done
{{before}}
sleep 300 & exec {sys.executable} {STAND_IN} --port "$port"
"""


def fake_python(folder: Path, before: str = "") -> Path:
    """An interpreter that claims to have vLLM, and starts the stand-in with a child beside it."""
    path = folder / "python"
    path.write_text(INTERPRETER.replace("{before}", before), encoding="utf-8")
    path.chmod(0o755)
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def model_folder(folder: Path) -> Path:
    made = folder / "some-model"
    made.mkdir()
    (made / "config.json").write_text("{}")
    return made


def serve(tmp_path: Path, before: str = "") -> subprocess.Popen[str]:
    arguments = ["serve", str(model_folder(tmp_path)), "--port", str(free_port())]
    return subprocess.Popen(
        [*HARNESS, *arguments, "--python", str(fake_python(tmp_path, before))],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=heed_interrupts,
    )  # fmt: skip


def grandchildren(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 0)]
)
def test_it_prints_the_line_that_goes_with_it_and_leaves_no_process(
    number: int, code: int, tmp_path: Path
) -> None:
    process = serve(tmp_path)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("harness run --agent react --model openai:some-model --base-url http://")
    assert f"--tokenizer {tmp_path / 'some-model'}" in line
    started = grandchildren(process)
    assert len(started) == 2
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    assert psutil.wait_procs(started, 5)[1] == []


def test_a_server_ends_when_the_command_is_killed(tmp_path: Path) -> None:
    process = serve(tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    server = psutil.Process(process.pid).children()
    process.kill()
    process.wait(60)
    assert psutil.wait_procs(server, 10)[1] == []
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server[0].pid, signal.SIGKILL)


def test_a_server_that_does_not_start_is_one_line(tmp_path: Path) -> None:
    started = time.monotonic()
    process = serve(tmp_path, before="echo out of memory >&2; exit 3")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "out of memory" in said
    assert said.splitlines()[-1] == ("error: the server ended with code 3; what it said is above")
    assert time.monotonic() - started < 30


def test_a_port_in_use_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*HARNESS, "serve", str(model_folder(tmp_path)), "--port", port,
             "--python", str(fake_python(tmp_path))],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert f"port {port} of 127.0.0.1 cannot be used" in done.stderr


def test_the_key_is_handed_over_in_the_environment_alone() -> None:
    options = ServeOptions("folder", "name", max_model_len=2048, extra=("--seed", "3"))
    python = Path("/venv/bin/python")
    child = environment(python, {"OPENAI_API_KEY": "sk-secret", "PATH": "/bin"}, on_cpu=True)
    started = command(python, options, on_cpu=True)
    assert child["VLLM_API_KEY"] == "sk-secret"
    assert child["PATH"] == f"/venv/bin{os.pathsep}/bin"
    assert "sk-secret" not in " ".join(started)
    assert started[-2:] == ["--seed", "3"]
    assert "float32" in started


def test_without_a_gpu_alone_is_compiling_left_out() -> None:
    options = ServeOptions("folder", "name")
    assert "--enforce-eager" in command(Path("python"), options, on_cpu=True)
    assert "--enforce-eager" not in command(Path("python"), options, on_cpu=False)


def test_an_interpreter_without_vllm_is_refused(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\necho False\n")
    bare.chmod(0o755)
    for given, environ in ((bare, {}), (None, {"SAD_VLLM_PYTHON": str(bare)})):
        with pytest.raises(HarnessError, match="is no Python with vllm"):
            find_python(given, environ)
    assert find_python(fake_python(tmp_path), {}) == tmp_path / "python"
