"""What `harness env check` checks: Gymnasium's own checker, and the contract every task keeps.

Each check is a plain function that raises `Broken` with one line; nothing here knows a particular
environment, so anybody can run it on theirs.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from harness.worker import (
    EnvDescription,
    EnvFailure,
    EnvSpec,
    EnvWorker,
    describe_env,
    info_fault,
    make_env,
)

HOSTILE = (
    "",
    " ",
    "\n",
    "x" * 100_000,
    "\x00\x01\x1b[31m\x7f",
    "идти к столу 1",
    "走到桌子",
    "🙂 ‮ \u200b",
    "\ud800",
    "{}[]()<>%s%n{0}'\"\\",
    "__import__('os').system('true')",
    "Action: look\nObservation: done",
)
"""Actions that no environment should fall over."""

LEAK_RESETS = 200
LEAK_SECONDS = 20.0
"""A slow environment is reset as often as this allows."""
LEAK_MEGABYTES = 30.0


class Broken(Exception):
    """A check failed; the message says what was found and what was expected."""


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    name: str
    ok: bool
    detail: str


def run_checks(spec: EnvSpec) -> Iterator[Check]:
    """Run every check on the environment `spec` names, yielding results as they come."""
    for check in CHECKS:
        name = check.__name__.removeprefix("_").replace("_", " ")
        try:
            detail = check(spec)
        except Broken as error:
            yield Check(name, False, str(error))
        except EnvFailure as error:
            yield Check(name, False, f"in a worker process: {error}")
        except Exception as error:  # noqa: BLE001  the boundary: a raising environment is a finding
            line = " ".join(str(error).split())
            yield Check(name, False, f"raised {type(error).__name__}: {line}")
        else:
            yield Check(name, True, detail)


def _gymnasium_checker(spec: EnvSpec) -> str:
    from gymnasium.utils.env_checker import check_env

    env = make_env(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(env, skip_render_check=True)
    env.close()
    return "passes"


def _info_contract(spec: EnvSpec) -> str:
    env = make_env(spec)
    described = describe_env(env)
    if not described.task_ids:
        raise Broken("task_ids is empty")
    if len(set(described.task_ids)) != len(described.task_ids):
        raise Broken("task_ids holds duplicates")
    n_steps = 0
    for task_id in _some(described.task_ids, 3):
        observation, info = env.reset(seed=0, options={"task_id": task_id})
        _check_info(observation, info, task_id)
        if info["success"] is not None:
            raise Broken(f"success is {info['success']!r} after reset; expected None")
        for action in _script(random.Random(0), 10):
            action = _pick(action, info)
            observation, reward, terminated, truncated, info = env.step(action)
            n_steps += 1
            _check_info(observation, info, task_id)
            if type(reward) is not float or type(terminated) is not bool:
                raise Broken("step must return (str, float, bool, bool, dict)")
            if (terminated or truncated) != (info["success"] is not None):
                raise Broken("success must be None until the episode ends, then True or False")
            if terminated or truncated:
                break
    env.close()
    return f"{len(described.task_ids):,} tasks, version {described.env_version}, {n_steps} steps"


def _tasks_and_seeds(spec: EnvSpec) -> str:
    env = make_env(spec)
    tasks = describe_env(env).task_ids
    for seed in (0, 1):
        first = env.reset(seed=seed)
        second = env.reset(seed=seed)
        if first != second:
            raise Broken(f"reset(seed={seed}) twice gave different beginnings")
    drawn = {env.reset(seed=seed)[1]["task_id"] for seed in range(20)}
    if len(tasks) > 1 and len(drawn) == 1:
        raise Broken("20 seeds all drew the same task")
    try:
        env.reset(options={"task_id": "no such task"})
    except ValueError as error:
        if "\n" in str(error):
            raise Broken("the refusal of an unknown task is more than one line") from error
    else:
        raise Broken("an unknown task id was accepted; expected a ValueError")
    env.close()
    return f"20 seeds drew {len(drawn)} of {len(tasks):,} tasks"


def _hostile_actions(spec: EnvSpec) -> str:
    env = make_env(spec)
    task_id = describe_env(env).task_ids[0]
    for action in HOSTILE:
        env.reset(seed=0, options={"task_id": task_id})
        observation, _, _, _, info = env.step(action)
        _check_info(observation, info, task_id)
    env.close()
    return f"{len(HOSTILE)} answered"


def _step_after_the_end(spec: EnvSpec) -> str:
    env = make_env(spec)
    _, info = env.reset(seed=0)
    draw = random.Random(0)
    n_steps = 0
    ended = False
    while not ended:
        if n_steps == 1000:
            env.close()
            return "no episode ended within 1,000 random steps: not checked"
        last = env.step(_pick(next(_script(draw, 1)), info))
        info, ended = last[4], last[2] or last[3]
        n_steps += 1
    for action in ("look", ""):
        if env.step(action) != last:
            raise Broken("a step after the end changed the result; expected the last one again")
    env.close()
    return f"the result of step {n_steps} is repeated"


def _determinism_across_processes(spec: EnvSpec) -> str:
    here = _transcript(_Here(spec))
    workers = [EnvWorker(spec, deadline=120) for _ in range(3)]
    with ThreadPoolExecutor(len(workers)) as pool:
        there = list(pool.map(_transcript, workers))
    for transcript in there:
        for number, (mine, theirs) in enumerate(zip(here, transcript, strict=True)):
            if mine != theirs:
                raise Broken(f"answer {number} differs in another process")
    digest = hashlib.sha256(json.dumps(here).encode()).hexdigest()[:12]
    return f"{len(here)} answers equal in 4 processes (digest {digest})"


def _many_in_one_process(spec: EnvSpec) -> str:
    alone = _transcript(_Here(spec))
    envs = [_Here(spec) for _ in range(8)]
    # Interleaved, so that state shared between them would show.
    steps = [_answers(env) for env in envs]
    for number, expected in enumerate(alone):
        if any(next(step) != expected for step in steps):
            raise Broken(f"environments in one process influence each other (answer {number})")
    for env in envs:
        env.close()
    return f"{len(envs)} interleaved, as one alone"


def _memory(spec: EnvSpec) -> str:
    env = make_env(spec)
    tasks = describe_env(env).task_ids
    warm_until = time.monotonic() + LEAK_SECONDS / 4
    for index in range(50):
        env.reset(options={"task_id": tasks[index % len(tasks)]})
        if time.monotonic() > warm_until:
            break
    before = _resident_megabytes()
    until = time.monotonic() + LEAK_SECONDS
    n_resets = 0
    while n_resets < LEAK_RESETS and time.monotonic() < until:
        _, info = env.reset(options={"task_id": tasks[(50 + n_resets) % len(tasks)]})
        env.step(_pick("look", info))
        n_resets += 1
    after = _resident_megabytes()
    env.close()
    if after - before > LEAK_MEGABYTES:
        raise Broken(f"{n_resets} resets grew memory from {before:.0f} to {after:.0f} MB")
    return f"{before:.0f} MB, {after - before:+.1f} MB over {n_resets} resets"


def _expert(spec: EnvSpec) -> str:
    env = make_env(spec)
    tasks = describe_env(env).task_ids
    try:
        env.make_expert(0)
    except (AttributeError, ValueError):
        return "none"
    won = 0
    played = _some(tasks, 5)
    for task_id in played:
        observation, info = env.reset(seed=0, options={"task_id": task_id})
        policy = env.make_expert(0)
        for _ in range(200):
            thought, action = policy(observation, info)
            if not isinstance(thought, str) or not isinstance(action, str):
                raise Broken("the expert must return (thought, action), both str")
            observation, _, terminated, truncated, info = env.step(action)
            if terminated or truncated:
                break
        won += bool(info["success"])
    env.close()
    return f"solves {won} of {len(played)}"


CHECKS: tuple[Callable[[EnvSpec], str], ...] = (
    _gymnasium_checker,
    _info_contract,
    _tasks_and_seeds,
    _hostile_actions,
    _step_after_the_end,
    _determinism_across_processes,
    _many_in_one_process,
    _memory,
    _expert,
)


def _check_info(observation: Any, info: dict[str, Any], task_id: str) -> None:
    if not isinstance(observation, str):
        raise Broken(f"the observation is {type(observation).__name__}; expected str")
    fault = info_fault(info)
    if fault is not None:
        raise Broken(fault)
    if info["task_id"] != task_id:
        raise Broken(f"info['task_id'] is {info['task_id']!r}; expected {task_id!r}")


def _some(items: tuple[str, ...], n: int) -> list[str]:
    step = max(1, len(items) // n)
    return list(items[::step][:n])


def _script(draw: random.Random, n: int) -> Iterator[str]:
    """Numbers as text: which admissible action to take, or the action itself if none is listed."""
    for _ in range(n):
        yield str(draw.randrange(10**6))


def _pick(number: str, info: dict[str, Any]) -> str:
    admissible = info.get("admissible_actions")
    if not admissible or not number.isdigit():
        return number
    return str(admissible[int(number) % len(admissible)])


class _Here:
    """An environment of this process behind the same calls as an `EnvWorker`."""

    def __init__(self, spec: EnvSpec) -> None:
        self.env = make_env(spec)
        self._policy: Any = None

    def describe(self) -> EnvDescription:
        return describe_env(self.env)

    def reset(self, task_id: str, seed: int) -> Any:
        self._policy = None
        return self.env.reset(seed=seed, options={"task_id": task_id})

    def step(self, action: str) -> Any:
        return self.env.step(action)

    def expert(self, observation: str, info: dict[str, Any]) -> tuple[str, str]:
        if self._policy is None:
            self._policy = self.env.make_expert(self.env.np_random_seed)
        thought, action = self._policy(observation, info)
        return thought, action

    def close(self) -> None:
        self.env.close()


def _answers(env: _Here | EnvWorker) -> Iterator[Any]:
    """A fixed transcript of three tasks: the expert's actions, where there is one, mixed with draws
    from the admissible ones, and all that the environment says to them.
    """
    described = env.describe()
    for task_id in _some(described.task_ids, 3):
        draw = random.Random(7)
        observation, info = env.reset(task_id, 7)
        yield [observation, info["admissible_actions"]]
        done = False
        for number in _script(draw, 16):
            if done:
                yield None
                continue
            thought = ""
            action = _pick(number, info)
            if described.has_expert:
                thought, advised = env.expert(observation, info)
                action = advised if draw.random() < 0.7 else action
            observation, reward, terminated, truncated, info = env.step(action)
            done = terminated or truncated
            yield [thought, action, observation, reward, terminated, truncated,
                   info["admissible_actions"], info["success"], info["score"]]  # fmt: skip


def _transcript(env: _Here | EnvWorker) -> list[Any]:
    try:
        return list(_answers(env))
    finally:
        env.close()


def _resident_megabytes() -> float:
    """Memory of this process: resident now on Linux, the peak elsewhere."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
