"""Carry out a run: environment, agent, model and store put together, played, reported."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from harness.agents import Agent, AgentMaker, find_agent
from harness.cli.progress import RunProgress, say
from harness.cli.tables import print_summary
from harness.config import RunConfig
from harness.environments import find_env
from harness.errors import HarnessError
from harness.models.base import Model
from harness.rollout import Job
from harness.runner import RunPlan, run_jobs
from harness.store import ERRORS, RunStore, read_episodes
from harness.summary import as_json as plain_rows
from harness.summary import summarise
from harness.trajectory import Episode, Outcome
from harness.worker import EnvDescription, EnvFailure, EnvWorker
from sad_envs.base import did_you_mean


def execute(config: RunConfig, *, dry_run: bool = False, as_json: bool = False) -> int:
    """Run `config`; the number of episodes left unscored."""
    kwargs = dict(config.env_args)
    if config.split is not None:
        kwargs["split"] = config.split
    if config.max_steps is not None:
        kwargs["max_steps"] = config.max_steps
    if config.resume and config.out is None:
        raise HarnessError("--resume needs --out, the run to go on with")
    maker = find_agent(config.agent)
    spec = find_env(config.env, kwargs)
    worker = EnvWorker(spec, deadline=config.step_timeout)
    try:
        try:
            described = worker.describe()
        except EnvFailure as error:
            raise HarnessError(f"environment {config.env!r}: {error}") from error
        jobs = _jobs(config, spec.env_id, described)
        _check_agent(config, maker, described.has_expert)
        if dry_run:
            _print_plan(config, jobs, described.env_version, as_json)
            return 0
        model: Model | None = None
        if config.model is not None:
            from harness.models import load_model

            if sys.stderr.isatty():
                say(f"loading {config.model}")
            model = load_model(
                config.model, device=config.device, dtype=config.dtype, **_server_options(config)
            )
        agent, model = _build_agent(config, maker, model)
        # What episodes without a model show a student is the prompt without examples.
        shots = getattr(agent, "shots", config.shots) if agent.wants_prompt else config.shots or 0
        try:
            prompts = worker.prompt_digest(config.prompt_style, shots)
        except EnvFailure as error:
            raise HarnessError(f"environment {config.env!r}: {error}") from error
        plan = RunPlan(
            env=spec,
            agent=agent,
            style=config.prompt_style,
            shots=shots,
            model=config.model,
            concurrency=config.concurrency,
            worker=worker,
            step_deadline=config.step_timeout,
        )
        unscored = _play(config, plan, jobs, described, prompts, model, as_json)
    finally:
        worker.close()
    if model is not None:
        model.close()
    return unscored


def _play(
    config: RunConfig,
    plan: RunPlan,
    jobs: list[Job],
    described: EnvDescription,
    prompts: str | None,
    model: Model | None,
    as_json: bool,
) -> int:
    decides, notes = _decides(config, plan, described, prompts, model)
    folder = config.out or _default_folder(config)
    store = RunStore(
        folder,
        {"decides": decides, "request": config.model_dump(mode="json")},
        resume=config.resume,
    )
    interrupted = False
    try:
        with _logging_to(store) as log:
            store.write_env({**_versions(), **notes})
            done = store.done()
            owed = [job for job in jobs if job.key not in done]
            log.info("%d episodes planned, %d to play", len(jobs), len(owed))
            try:
                with (
                    _terminate_as_interrupt(),
                    RunProgress(len(jobs), len(jobs) - len(owed)) as progress,
                ):
                    run_jobs(plan, owed, store, progress.update)
            except KeyboardInterrupt:
                interrupted = True
                log.info("interrupted")
            except HarnessError as error:
                log.error("%s", error)
                raise
            unscored = _report(store, jobs, as_json)
    finally:
        store.close()
    if interrupted:
        say(f"interrupted; what was finished is kept: go on with --resume --out {folder}")
        raise typer.Exit(130)
    return unscored


@contextmanager
def _logging_to(store: RunStore) -> Iterator[logging.Logger]:
    """Send what the packages log to the run's `run.log`."""
    handler = logging.StreamHandler(store.log())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("harness")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield log
    finally:
        log.removeHandler(handler)
        handler.stream.close()


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does, so that its environments end too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _jobs(config: RunConfig, env_id: str, described: EnvDescription) -> list[Job]:
    types = dict(zip(described.task_ids, described.task_types, strict=True))
    chosen = described.task_ids
    if config.tasks:
        for task in config.tasks:
            if task not in types:
                hint = did_you_mean(task, described.task_ids)
                raise HarnessError(f"the split has no task {task!r}{hint}")
        chosen = tuple(dict.fromkeys(config.tasks))
    chosen = chosen[: config.limit]
    return [
        Job(env_id, described.env_version, task, repeat, config.seed, types[task])
        for repeat in range(config.repeats)
        for task in chosen
    ]


def _check_agent(config: RunConfig, maker: AgentMaker, has_expert: bool) -> None:
    if maker.needs_model and config.model is None:
        raise HarnessError(
            f"the agent {config.agent!r} needs --model (for example --model smollm2)"
        )
    if not maker.takes_model and config.model is not None:
        raise HarnessError(f"the agent {config.agent!r} uses no model; leave out --model")
    if config.action_choice == "likelihood" and "action_choice" not in maker.declared:
        raise HarnessError(
            f"the agent {config.agent!r} does not choose actions by likelihood; leave out "
            "--action-choice"
        )
    if not config.reason and config.action_choice != "likelihood":
        raise HarnessError("--no-reason goes with --action-choice likelihood; add it")
    if config.agent == "expert" and not has_expert:
        raise HarnessError(f"the environment {config.env!r} has no expert; choose another agent")


def _server_options(config: RunConfig) -> dict[str, Any]:
    """What an openai: model is told about its server; other models refuse what was given."""
    given: dict[str, Any] = {"base_url": config.base_url, "tokenizer": config.tokenizer}
    given["api"] = config.api if config.api != "auto" else None
    options = {key: value for key, value in given.items() if value is not None}
    if config.model is not None and config.model.startswith("openai:"):
        if config.api == "completions" and config.tokenizer is None and config.format != "plain":
            raise HarnessError(
                "--api completions without --tokenizer sends plain text; say so with --format "
                "plain, or give the model's --tokenizer"
            )
        options |= {"server_timeout": config.server_timeout, "on_wait": say}
    return options


def _build_agent(
    config: RunConfig, maker: AgentMaker, model: Model | None
) -> tuple[Agent, Model | None]:
    if model is None:
        return maker.make({"shots": config.shots}), None
    from harness.models.base import Sampling
    from harness.models.batching import BatchingModel
    from harness.rendering import make_format

    if config.max_length is not None and config.max_length <= config.max_tokens:
        raise HarnessError(
            f"--max-length is {config.max_length} and --max-tokens {config.max_tokens}; expected "
            "room for a prompt as well"
        )
    limit = min(filter(None, (config.max_length, model.max_context)), default=None)
    # Transcripts of 50 turns reach 5,300 tokens: short contexts show the latest turns only.
    short = limit is not None and limit <= 2048
    history = config.history
    if history == "auto":
        history = "last-k-turns" if short else "full"
    fmt = make_format(
        model.tokenizer,
        template=config.format,
        max_length=limit,
        reserve=config.max_tokens,
        history=history,
        last_k=config.last_k,
    )
    sampling = Sampling(config.temperature, config.top_p, config.top_k, config.max_tokens)
    shots = 0 if short and config.shots is None else config.shots
    shared: Model = model
    if config.concurrency > 1 and not getattr(model, "concurrent", False):
        shared = BatchingModel(model, max_batch=config.concurrency)
    offered = {
        "model": shared,
        "format": fmt,
        "sampling": sampling,
        "shots": shots,
        "action_choice": config.action_choice,
        "reason": config.reason,
    }
    return maker.make(offered), shared


def _decides(
    config: RunConfig,
    plan: RunPlan,
    described: EnvDescription,
    prompts: str | None,
    model: Model | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What scores depend on, and what is only noted: no paths, no spelling of defaults."""
    weights = dict(model.describe()) if model is not None else None
    notes: dict[str, Any] = {"env_args": plan.env.kwargs}
    if weights is not None:
        notes["model_device"] = weights.pop("device", None)
        if len(weights) > 1:
            notes["model_spec"] = weights.pop("spec", None)
    decides = {
        "env_id": plan.env.env_id,
        "env": described.behaviour,
        "env_version": described.env_version,
        "agent": plan.agent.describe(),
        "prompt_style": config.prompt_style,
        "prompts": prompts,
        "model": weights,
        "seed": config.seed,
    }
    return decides, notes


def _versions() -> dict[str, Any]:
    import platform
    import subprocess
    from importlib.metadata import PackageNotFoundError, version

    packages = {}
    for name in ("structured-agent-distillation", "gymnasium", "numpy", "pydantic", "torch",
                 "transformers", "alfworld", "textworld"):  # fmt: skip
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    try:
        revision = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=10, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        revision = None
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "git_revision": revision,
    }


def _default_folder(config: RunConfig) -> Path:
    env = config.env.split("/")[-1].replace(":", "-").lower()
    parts = [
        Path(config.agent.replace(":", "-")).name,
        env,
        (config.split or "default").replace(":", "-"),
    ]
    if config.model:
        parts.insert(1, Path(config.model.replace(":", "-")).name)
    return Path("runs") / f"{'-'.join(parts)}-{time.strftime('%Y%m%d-%H%M%S')}"


def _print_plan(config: RunConfig, jobs: list[Job], env_version: str, as_json: bool) -> None:
    done = set()
    if config.out is not None:
        done = {episode.key for episode in read_episodes(config.out)}
    data = {
        "agent": config.agent,
        "model": config.model,
        "environment": config.env,
        "env_version": env_version,
        "episodes": len(jobs),
        "done": sum(job.key in done for job in jobs),
        "concurrency": config.concurrency,
        "first_tasks": [job.task_id for job in jobs[:3]],
    }
    if as_json:
        print(json.dumps(data, indent=2))
        return
    for key, value in data.items():
        if value is not None:
            print(f"{key:12} {', '.join(value) if isinstance(value, list) else value}")


def _report(store: RunStore, jobs: list[Job], as_json: bool) -> int:
    keys = {job.key for job in jobs}
    done: set[tuple[str, str, int]] = set()
    without_turns = 0

    def scored() -> Iterator[Episode]:
        nonlocal without_turns
        for episode in read_episodes(store.folder):
            if episode.key in keys:
                done.add(episode.key)
                too_long = episode.outcome == Outcome.TRUNCATED_CONTEXT and not episode.turns
                without_turns += too_long
                yield episode

    failed = [e for e in read_episodes(store.folder, ERRORS) if e.key in keys]
    rows = summarise(scored(), failed, [job.task_type for job in jobs])
    data = {"digest": store.digest, "rows": plain_rows(rows)}
    store.write_summary(data)
    if as_json:
        print(json.dumps({"run": str(store.folder), **data}, indent=2))
    else:
        print_summary(rows)
        print(f"\nrun: {store.folder}")
    if without_turns:
        say(
            f"{without_turns} episodes ended before the first turn because the prompt does not "
            "fit; use fewer --shots or a larger --max-length"
        )
    causes = {e.key: e for e in failed if e.key not in done}
    for episode in list(causes.values())[:3]:
        say(f"not scored: {episode.task_id}: {episode.outcome}: {episode.error}")
    return len(jobs) - rows[-1].scored
