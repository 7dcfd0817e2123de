"""Many episodes at once: threads that each hold one environment worker, and one shared model.

Episodes are written by the calling thread alone, in the order they finish, before they are
reported. An interrupt keeps what is finished; what was under way is owed again.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.agents.base import Agent
from harness.errors import HarnessError
from harness.rollout import Job, Stopped, rollout
from harness.store import RunStore
from harness.trajectory import Episode
from harness.worker import EnvSpec, EnvWorker

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunPlan:
    """What is needed to play the jobs of a run."""

    env: EnvSpec
    agent: Agent
    style: str
    shots: int | None
    model: str | None
    concurrency: int
    step_deadline: float = 600.0


def run_jobs(
    plan: RunPlan,
    jobs: Sequence[Job],
    store: RunStore,
    on_episode: Callable[[Episode], None] = lambda episode: None,
) -> None:
    """Play `jobs`, appending each episode to `store` as it finishes.

    Raises `HarnessError` when something would spoil every episode, and lets `KeyboardInterrupt`
    through; in both cases the finished episodes are on disk.
    """
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    finished: queue.SimpleQueue[Episode | BaseException | None] = queue.SimpleQueue()
    stop = threading.Event()
    n_threads = min(plan.concurrency, len(jobs))
    threads = [
        threading.Thread(
            target=_work,
            args=(plan, waiting, finished, stop),
            name=f"episode-{index}",
            daemon=True,
        )
        for index in range(n_threads)
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
    for thread in threads:
        thread.join()


def _work(
    plan: RunPlan,
    waiting: queue.SimpleQueue[Job],
    finished: queue.SimpleQueue[Episode | BaseException | None],
    stop: threading.Event,
) -> None:
    worker = EnvWorker(plan.env, deadline=plan.step_deadline)
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
    except Stopped:
        pass
    except HarnessError as error:
        finished.put(error)
    finally:
        worker.close()
        finished.put(None)
