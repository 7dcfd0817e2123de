"""vLLM's server as a child process: the command that starts it, and how it ends.

The interpreter that has vLLM is usually not this one: vLLM pins its own torch. The server gets a
process group of its own, which is gone when `Server.stop` returns; on Linux it is also told to end
when its parent dies in any way. An API key reaches it through the environment, never through its
command line, which other users of the machine can read.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from harness.errors import HarnessError

PYTHON_VARIABLE = "SAD_VLLM_PYTHON"

LOCAL_VENV = Path(".venvs/vllm/bin/python")
"""Where `make` puts an interpreter with vLLM, in the folder of the project."""

STOP_SECONDS = 15.0
"""How long the server may take to end by itself."""

_HAS_VLLM = "import importlib.util; print(importlib.util.find_spec('vllm') is not None)"
_ON_CPU = "import torch; print(not torch.cuda.is_available())"
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class ServeOptions:
    """How to serve one model.

    Attributes:
        source: a model folder or hub id.
        served_name: what clients call the model.
        max_model_len: positions; None for the model's own.
        dtype: `auto` is float32 on a CPU, as for in-process models, else the model's own.
        extra: further arguments for vLLM, as they are.
    """

    source: str
    served_name: str
    host: str = "127.0.0.1"
    port: int = 8000
    max_model_len: int | None = None
    dtype: str = "auto"
    extra: tuple[str, ...] = ()

    @property
    def base_url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/v1"


def find_python(given: Path | None, environ: Mapping[str, str]) -> Path:
    """The interpreter to serve with: the one given, SAD_VLLM_PYTHON's, `.venvs/vllm`, or this one.

    Raises:
        HarnessError: there is none with vLLM.
    """
    project = Path(__file__).parents[1] / LOCAL_VENV
    named = given or (Path(environ[PYTHON_VARIABLE]) if environ.get(PYTHON_VARIABLE) else None)
    candidates = [named] if named else [LOCAL_VENV, project, Path(sys.executable)]
    for python in candidates:
        found = shutil.which(python) if python else None
        if found and _answer(found, _HAS_VLLM) == "True":
            return Path(found).absolute()
    if named:
        raise HarnessError(f"{named} is no Python with vllm; install vllm there (docs/models.md)")
    raise HarnessError(
        f"no Python with vllm found (looked at {LOCAL_VENV} and this one); name one with --python "
        f"or {PYTHON_VARIABLE} (docs/models.md says how to make one)"
    )


def _answer(python: str, code: str) -> str:
    done = subprocess.run([python, "-c", code], check=False, capture_output=True, text=True)
    return done.stdout.strip()


def command(python: Path, options: ServeOptions, *, on_cpu: bool) -> list[str]:
    """The command that serves, with the flags we recommend.

    Requests alone decide how tokens are drawn (`--generation-config vllm`), prefixes are cached
    and the number of cached tokens is told. On a CPU nothing is compiled, which takes a minute and
    gains little.
    """
    dtype = "float32" if options.dtype == "auto" and on_cpu else options.dtype
    arguments = {
        "--model": options.source,
        "--served-model-name": options.served_name,
        "--host": options.host,
        "--port": str(options.port),
        "--dtype": dtype,
        "--generation-config": "vllm",
    }
    if options.max_model_len is not None:
        arguments["--max-model-len"] = str(options.max_model_len)
    flags = ["--enable-prefix-caching", "--enable-prompt-tokens-details"]
    if on_cpu:
        flags.append("--enforce-eager")
    # The `vllm` script of the CPU build does not start; the module does, in every build.
    module = ["-m", "vllm.entrypoints.openai.api_server"]
    pairs = [part for pair in arguments.items() for part in pair]
    return [str(python), *module, *pairs, *flags, *options.extra]


def runs_on_cpu(python: Path) -> bool:
    """Whether that interpreter's torch sees no CUDA device."""
    return _answer(str(python), _ON_CPU) == "True"


def environment(python: Path, environ: Mapping[str, str], *, on_cpu: bool) -> dict[str, str]:
    """The child's environment: its own venv first, the key where vLLM looks for it."""
    child = dict(environ)
    child["PATH"] = f"{python.parent}{os.pathsep}{environ.get('PATH', '')}"
    child.pop("PYTHONPATH", None)
    key = environ.get("SAD_API_KEY") or environ.get("OPENAI_API_KEY")
    if key:
        child["VLLM_API_KEY"] = key
    child.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    child.setdefault("VLLM_NO_USAGE_STATS", "1")
    if on_cpu:
        child.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")  # GiB; else a share of all memory
    return child


class Server:
    """A running server. Use it as a context manager, or call `stop`."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        libc = ctypes.CDLL(None) if sys.platform == "linux" else None

        def die_with_parent() -> None:
            if libc is not None:
                libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

        self._process = subprocess.Popen(
            arguments,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_healthy(
        self, base_url: str, timeout: float, stopped: Callable[[], bool] = lambda: False
    ) -> bool:
        """Wait for `/health`; False when told to stop meanwhile.

        Raises:
            HarnessError: the server ended, or is not up after `timeout` seconds.
        """
        address = f"{base_url.removesuffix('/v1')}/health"
        give_up = time.monotonic() + timeout
        while not stopped():
            code = self._process.poll()
            if code is not None:
                raise HarnessError(f"the server ended with code {code}; what it said is above")
            try:
                if httpx.get(address, timeout=2.0, trust_env=False).status_code == 200:
                    return True
            except httpx.TransportError:
                pass
            if time.monotonic() > give_up:
                raise HarnessError(f"the server is not up after {timeout:.0f} s")
            time.sleep(0.3)
        return False

    def wait(self, seconds: float) -> int | None:
        """Its exit code once it has ended, or None after so many seconds."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """End the server and all its processes; ask first, then make it so."""
        if self._process.poll() is None:
            self._process.terminate()
            self.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
