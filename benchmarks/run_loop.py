"""What a run itself costs: time per step besides the environment, and memory over many episodes.

    python benchmarks/run_loop.py [--episodes 5000] [--concurrency 2]

The random agent plays generated ALFWorld tasks, so that nothing but the loop is left: processes,
records, rows on disk. Prints milliseconds of this process's CPU per step, the growth of its memory
between the first tenth of the episodes and the last, and the memory of an environment's process.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from pathlib import Path

import psutil

from harness.agents import find_agent
from harness.environments import find_env
from harness.rollout import Job
from harness.runner import RunPlan, run_jobs
from harness.store import RunStore, read_episodes
from harness.trajectory import Episode
from harness.worker import EnvWorker

MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--episodes", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--max-steps", type=int, default=10)
    options = parser.parse_args()
    n = options.episodes
    spec = find_env("alfworld", {"split": "generated:0:1000", "max_steps": options.max_steps})
    worker = EnvWorker(spec, deadline=600)
    described = worker.describe()
    jobs = [
        Job(spec.env_id, described.env_version, task, repeat, 0)
        for repeat in range(-(-n // 1000))
        for task in described.task_ids
    ][:n]
    plan = RunPlan(
        env=spec,
        agent=find_agent("random").make({}),
        style="thought-action",
        shots=0,
        model=None,
        concurrency=options.concurrency,
        worker=worker,
    )
    process = psutil.Process()
    memory: list[int] = []
    workers: list[int] = []
    every = max(1, n // 200)

    def measure(episode: Episode) -> None:
        nonlocal count
        count += 1
        if count % every == 0:
            memory.append(process.memory_info().rss)
        if count == n // 2:
            for child in process.children():
                with contextlib.suppress(psutil.Error):
                    if "resource_tracker" not in " ".join(child.cmdline()):
                        workers.append(child.memory_full_info().uss)

    count = 0
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder) / "run", {"decides": {}}, resume=False)
        started, cpu = time.monotonic(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            run_jobs(plan, jobs, store, measure)
        cpu, seconds = time.process_time() - cpu, time.monotonic() - started
        steps = sum(episode.n_steps for episode in read_episodes(store.folder))
        store.close()
    tenth = max(1, len(memory) // 10)
    first, last = statistics.mean(memory[:tenth]), statistics.mean(memory[-tenth:])
    result = {
        "episodes": n,
        "steps": steps,
        "seconds": round(seconds, 1),
        "episodes_per_minute": round(60 * n / seconds),
        "harness_cpu_ms_per_step": round(1e3 * cpu / steps, 3),
        "memory_first_mib": round(first / MIB, 1),
        "memory_growth_mib": round((last - first) / MIB, 1),
        "worker_mib": round(statistics.mean(workers) / MIB, 1) if workers else None,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
