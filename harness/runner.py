"""Many episodes at once: threads that each hold one environment worker, and one shared model.

Episodes are written by the calling thread alone, in the order they finish, before they are
reported. An interrupt keeps what is finished; what was under way is owed again.
"""

from __future__ import annotations

import logging
import queue
import resource
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.agents.base import Agent
from harness.errors import HarnessError
from harness.rollout import Job, Stopped, rollout
from harness.store import RunStore
from harness.trajectory import Episode
from harness.worker import EnvSpec, EnvWorker

logger = logging.getLogger(__name__)


FILES_PER_EPISODE = 8
"""File descriptors that an environment's process and its pipes may take, generously."""

STOP_SECONDS = 3.0
"""How long a stopped run waits for its threads."""


@dataclass(frozen=True)
class RunPlan:
    """What is needed to play the jobs of a run.

    Attributes:
        worker: a worker that is already up, for the first thread; the run closes it.
        step_deadline: seconds after which an environment that does not answer is killed.
    """

    env: EnvSpec
    agent: Agent
    style: str
    shots: int | None
    model: str | None
    concurrency: int
    worker: EnvWorker | None = None
    step_deadline: float = 600.0


def run_jobs(
    plan: RunPlan,
    jobs: Sequence[Job],
    store: RunStore,
    on_episode: Callable[[Episode], None] = lambda episode: None,
) -> None:
    """Play `jobs`, appending each episode to `store` as it finishes.

    Raises what would spoil every episode, and lets `KeyboardInterrupt` through; in both cases the
    finished episodes are on disk, the environments are gone, and threads that still wait for a
    model are left behind (see `threads_left`).
    """
    n_threads = min(plan.concurrency, len(jobs))
    check_open_files(n_threads)
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    finished: queue.SimpleQueue[Episode | BaseException | None] = queue.SimpleQueue()
    stop = threading.Event()
    workers = [EnvWorker(plan.env, deadline=plan.step_deadline) for _ in range(n_threads)]
    if plan.worker is not None:
        workers[:1] = [plan.worker]
    threads = [
        threading.Thread(
            target=_work,
            args=(plan, worker, waiting, finished, stop),
            name=f"{THREAD_NAME}-{index}",
            daemon=True,
        )
        for index, worker in enumerate(workers[:n_threads])
    ]
    for thread in threads:
        thread.start()
    running = n_threads
    try:
        while running:
            result = finished.get()
            if result is None:
                running -= 1
            elif isinstance(result, Episode):
                store.append(result)
                if result.error:
                    logger.warning("%s %s: %s", result.task_id, result.outcome, result.error)
                on_episode(result)
            else:
                raise result
    finally:
        stop.set()
        if running:
            for worker in workers:
                worker.kill()
        give_up = time.monotonic() + STOP_SECONDS
        for thread in threads:
            thread.join(max(0.0, give_up - time.monotonic()))


THREAD_NAME = "episode"


def threads_left() -> bool:
    """Whether a stopped run left a thread inside a model; only a hard exit ends that one."""
    return any(thread.name.startswith(THREAD_NAME) for thread in threading.enumerate())


def check_open_files(n_workers: int) -> None:
    """Raise the limit of open files as far as `n_workers` need; refuse when that is not allowed."""
    needed = 64 + FILES_PER_EPISODE * n_workers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise HarnessError(
            f"--concurrency {n_workers} needs {needed} open files and the limit is {hard}; lower "
            "it, or raise the limit (ulimit -n)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _work(
    plan: RunPlan,
    worker: EnvWorker,
    waiting: queue.SimpleQueue[Job],
    finished: queue.SimpleQueue[Episode | BaseException | None],
    stop: threading.Event,
) -> None:
    try:
        while not stop.is_set():
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                break
            finished.put(
                rollout(
                    worker,
                    plan.agent,
                    job,
                    style=plan.style,
                    shots=plan.shots,
                    model=plan.model,
                    stopped=stop.is_set,
                )
            )
        worker.close()
    except Stopped:
        pass
    except BaseException as error:  # noqa: BLE001  raised again by the thread that waits for it
        finished.put(error)
    finally:
        finished.put(None)
