"""An environment in a process of its own, and the handle the harness holds on it.

A slow or crashing environment neither blocks nor kills the rest: every call has a deadline, a
worker that misses it is killed, and the next call starts a new one. Workers are spawned, never
forked, so a JVM or a CUDA context in the parent does no harm; they ignore the terminal's interrupt
and end when their parent does, however it ends.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from harness.errors import HarnessError
from sad_envs.base import EnvError

logger = logging.getLogger(__name__)


class EnvFailure(Exception):
    """The environment raised, died or missed its deadline. The message is one line."""


@dataclass(frozen=True)
class EnvSpec:
    """How to make an environment in any process: a Gymnasium id or a target, and kwargs."""

    env_id: str
    entry: str
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EnvDescription:
    """What a run needs to know of an environment before it starts."""

    env_version: str
    task_ids: tuple[str, ...]
    has_expert: bool


def make_env(spec: EnvSpec) -> Any:
    """The environment `spec` names, in this process."""
    import gymnasium

    import sad_envs  # noqa: F401  registers the ids

    if ":" in spec.entry:
        from harness.outside import find_outside, make_outside

        what = f"environment {spec.env_id!r}"
        return make_outside(what, find_outside("environment", spec.entry), **spec.kwargs)
    try:
        return gymnasium.make(spec.entry, **spec.kwargs).unwrapped
    except TypeError as error:
        raise HarnessError(f"environment {spec.entry!r} refuses its arguments: {error}") from error


def describe_env(env: Any) -> EnvDescription:
    """Version and tasks of an environment that keeps the contract."""
    try:
        tasks = tuple(env.task_ids)
        version = str(env.env_version)
    except AttributeError as error:
        raise HarnessError(
            f"environment {type(env).__name__} lacks {error.name!r}; expected task_ids and "
            "env_version (see sad_envs.TextTaskEnv)"
        ) from error
    return EnvDescription(version, tasks, hasattr(env, "make_expert"))


class _Host:
    """Serves one environment inside the worker."""

    def __init__(self, spec: EnvSpec) -> None:
        self.env = make_env(spec)
        self.policy: Callable[[str, dict[str, Any]], tuple[str, str]] | None = None
        self.seed = 0

    def reset(self, task_id: str, seed: int) -> Any:
        self.policy, self.seed = None, seed
        return self.env.reset(seed=seed, options={"task_id": task_id})

    def step(self, action: str) -> Any:
        return self.env.step(action)

    def expert(self, observation: str, info: dict[str, Any]) -> tuple[str, str]:
        if self.policy is None:
            self.policy = self.env.make_expert(self.seed)
        return self.policy(observation, info)

    def prompt(self, style: str, shots: int | None) -> dict[str, Any]:
        return asdict(self.env.prompt(style, shots))


def _serve(spec: EnvSpec, pipe: Connection, path: list[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path[:] = path
    try:
        host: _Host | None = None
        while True:
            try:
                name, arguments = pipe.recv()
            except EOFError:
                return
            answer: tuple[str, Any]
            try:
                host = host or _Host(spec)
                answer = ("ok", getattr(host, name)(*arguments))
            except (HarnessError, EnvError) as error:
                # A bad argument spoils every episode; a bad task only its own.
                refused = host is None or name == "prompt"
                answer = ("refused" if refused else "raised", str(error))
            except Exception as error:
                logger.exception("the environment raised in %s", name)
                answer = ("raised", f"{type(error).__name__}: {error}")
            pipe.send(answer)
    except (BrokenPipeError, ConnectionResetError):
        return


class EnvWorker:
    """A handle on one worker process. Not for use from two threads at once."""

    def __init__(self, spec: EnvSpec, *, deadline: float) -> None:
        self._spec = spec
        self._deadline = deadline
        self._process: Any = None
        self._pipe: Connection | None = None

    def reset(self, task_id: str, seed: int) -> tuple[str, dict[str, Any]]:
        """Begin a task."""
        observation, info = self._call("reset", task_id, seed)
        return observation, info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Apply one action."""
        observation, reward, terminated, truncated, info = self._call("step", action)
        return observation, reward, terminated, truncated, info

    def expert(self, observation: str, info: dict[str, Any]) -> tuple[str, str]:
        """Ask the environment's expert."""
        thought, action = self._call("expert", observation, info)
        return thought, action

    def prompt(self, style: str, shots: int | None) -> dict[str, Any]:
        """The environment's prompt, as plain data."""
        parts: dict[str, Any] = self._call("prompt", style, shots)
        return parts

    def close(self) -> None:
        """End the worker; safe to call again."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.join(0.5)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
        self._process = self._pipe = None

    def _call(self, name: str, *arguments: Any) -> Any:
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(
                target=_serve, args=(self._spec, theirs, list(sys.path)), daemon=True
            )
            self._process.start()
            theirs.close()
        assert self._pipe is not None
        try:
            self._pipe.send((name, arguments))
            if not self._pipe.poll(self._deadline):
                raise EnvFailure(f"no answer to {name} within {self._deadline:g} s")
            answer = self._pipe.recv()
        except EnvFailure:
            self._kill()
            raise
        except (EOFError, OSError) as error:
            code = self._kill()
            raise EnvFailure(f"the environment's process ended during {name} ({code})") from error
        kind, value = answer
        if kind == "ok":
            return value
        line = " ".join(str(value).split())
        raise HarnessError(line) if kind == "refused" else EnvFailure(line)

    def _kill(self) -> str:
        assert self._process is not None
        self._process.join(0.2)
        code = self._process.exitcode
        self._process.kill()
        self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None
        return f"exit code {code}"
