"""`harness run`: an agent in an environment, recorded."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from harness.agents import Agent
    from harness.agents.registry import AgentMaker
    from harness.config import RunConfig
    from harness.models.base import Model
    from harness.rollout import Job
    from harness.store import RunStore
    from harness.trajectory import Episode

Text = str | None
Number = int | None


def run(
    agent: Annotated[Text, typer.Option(help="expert, random, react, or one of your own.")] = None,
    env: Annotated[
        Text, typer.Option(help="Short name, Gymnasium id, module:Class or FILE.py:Class.")
    ] = None,
    env_arg: Annotated[
        list[str] | None, typer.Option("--env-arg", metavar="K=V", help="For the environment.")
    ] = None,
    model: Annotated[
        Text, typer.Option(help="smollm2, hf:PATH_OR_ID, scripted:FILE, or one of your own.")
    ] = None,
    split: Annotated[Text, typer.Option(help="The environment's split.")] = None,
    limit: Annotated[Number, typer.Option(help="Only the first N tasks of the split.")] = None,
    tasks: Annotated[list[str] | None, typer.Option("--tasks", help="Only these tasks.")] = None,
    repeats: Annotated[Number, typer.Option(help="Episodes per task.")] = None,
    seed: Annotated[Number, typer.Option(help="Seeds sampling, not the choice of tasks.")] = None,
    concurrency: Annotated[Number, typer.Option(help="Episodes at once.")] = None,
    max_steps: Annotated[Number, typer.Option(help="Actions per episode.")] = None,
    prompt_style: Annotated[Text, typer.Option(help="thought-action or react-original.")] = None,
    shots: Annotated[Number, typer.Option(help="Few-shot examples; 0 for none.")] = None,
    format: Annotated[Text, typer.Option(help="auto, plain or chat.")] = None,
    history: Annotated[Text, typer.Option(help="auto, full or last-k-turns.")] = None,
    last_k: Annotated[Number, typer.Option(help="Turns kept by last-k-turns.")] = None,
    max_length: Annotated[Number, typer.Option(help="Positions; the model's own if unset.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Nucleus sampling.")] = None,
    top_k: Annotated[Number, typer.Option(help="0 for all tokens.")] = None,
    max_tokens: Annotated[Number, typer.Option(help="Tokens per completion.")] = None,
    device: Annotated[Text, typer.Option(help="auto, cpu, cuda, ...")] = None,
    dtype: Annotated[Text, typer.Option(help="auto, float32, bfloat16, float16.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an existing run.")] = False,
    config: Annotated[Path | None, typer.Option(help="A TOML file with these settings.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Run an agent in an environment and record the episodes.

    Settings given on the command line win over those of --config.
    """
    from harness.config import make_config, read_config
    from harness.environments import parse_env_args

    settings: dict[str, Any] = read_config(config) if config else {}
    given = {
        "agent": agent, "env": env, "model": model, "split": split, "limit": limit,
        "tasks": tuple(tasks) if tasks else None, "repeats": repeats, "seed": seed,
        "concurrency": concurrency, "max_steps": max_steps, "prompt_style": prompt_style,
        "shots": shots, "format": format, "history": history, "last_k": last_k,
        "max_length": max_length, "temperature": temperature, "top_p": top_p, "top_k": top_k,
        "max_tokens": max_tokens, "device": device, "dtype": dtype, "out": out,
        "resume": resume or None,
    }  # fmt: skip
    settings.update({key: value for key, value in given.items() if value is not None})
    if env_arg:
        settings["env_args"] = {**settings.get("env_args", {}), **parse_env_args(env_arg)}
    unscored = execute(make_config(settings), dry_run=dry_run, as_json=as_json)
    if unscored:
        raise typer.Exit(1)


def execute(config: RunConfig, *, dry_run: bool = False, as_json: bool = False) -> int:
    """Run `config`; the number of episodes left unscored."""
    from harness.agents import find_agent
    from harness.environments import find_env
    from harness.errors import HarnessError
    from harness.runner import RunPlan, run_jobs
    from harness.store import RunStore
    from harness.worker import describe_env, make_env

    kwargs = dict(config.env_args)
    if config.split is not None:
        kwargs["split"] = config.split
    if config.max_steps is not None:
        kwargs["max_steps"] = config.max_steps
    spec = find_env(config.env, kwargs)
    here = make_env(spec)
    described = describe_env(here)
    here.close()
    jobs = _jobs(config, spec.env_id, described.env_version, described.task_ids)
    maker = find_agent(config.agent)
    _check_agent(config, maker, described.has_expert)
    if dry_run:
        _print_plan(config, jobs, described.env_version)
        return 0
    model: Model | None = None
    if config.model is not None:
        from harness.models import load_model

        if sys.stderr.isatty():
            _say(f"loading {config.model}")
        model = load_model(config.model, device=config.device, dtype=config.dtype)
    agent, model = _build_agent(config, maker, model)
    decides, notes = _decides(config, spec.env_id, kwargs, described.env_version, agent, model)
    folder = config.out or _default_folder(config)
    store = RunStore(
        folder,
        {"decides": decides, "request": config.model_dump(mode="json")},
        resume=config.resume,
    )
    handler = logging.StreamHandler(store.log())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("harness")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    interrupted = False
    try:
        store.write_env({**_versions(), **notes})
        done = store.done()
        owed = [job for job in jobs if job.key not in done]
        log.info("%d episodes planned, %d to play", len(jobs), len(owed))
        plan = RunPlan(
            env=spec,
            agent=agent,
            style=config.prompt_style,
            shots=config.shots,
            model=config.model,
            concurrency=config.concurrency,
        )
        try:
            with _Progress(len(jobs), len(jobs) - len(owed)) as progress:
                run_jobs(plan, owed, store, progress.update)
        except KeyboardInterrupt:
            interrupted = True
        except HarnessError as error:
            log.error("%s", error)
            raise
        unscored = _report(store, jobs, as_json)
    finally:
        log.removeHandler(handler)
        handler.stream.close()
        store.close()
    if interrupted:
        _say(f"interrupted; what was finished is kept: go on with --resume --out {folder}")
        raise typer.Exit(130)
    if model is not None:
        model.close()
    return unscored


def _jobs(config: RunConfig, env_id: str, env_version: str, task_ids: tuple[str, ...]) -> list[Job]:
    from harness.errors import HarnessError
    from harness.rollout import Job
    from sad_envs.base import did_you_mean

    chosen = task_ids
    if config.tasks:
        known = set(task_ids)
        for task in config.tasks:
            if task not in known:
                raise HarnessError(f"the split has no task {task!r}{did_you_mean(task, task_ids)}")
        chosen = config.tasks
    chosen = chosen[: config.limit]
    return [
        Job(env_id, env_version, task, repeat, config.seed)
        for repeat in range(config.repeats)
        for task in chosen
    ]


def _check_agent(config: RunConfig, maker: AgentMaker, has_expert: bool) -> None:
    from harness.errors import HarnessError

    if maker.needs_model and config.model is None:
        raise HarnessError(
            f"the agent {config.agent!r} needs --model (for example --model smollm2)"
        )
    if not maker.takes_model and config.model is not None:
        raise HarnessError(f"the agent {config.agent!r} uses no model; leave out --model")
    if config.agent == "expert" and not has_expert:
        raise HarnessError(f"the environment {config.env!r} has no expert; choose another agent")


def _build_agent(
    config: RunConfig, maker: AgentMaker, model: Model | None
) -> tuple[Agent, Model | None]:
    if model is None:
        return maker.make({"shots": config.shots}), None
    from harness.models.base import Sampling
    from harness.models.batching import BatchingModel
    from harness.rendering import make_format

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
    if config.concurrency > 1:
        shared = BatchingModel(model, max_batch=config.concurrency)
    offered = {"model": shared, "format": fmt, "sampling": sampling, "shots": shots}
    return maker.make(offered), shared


def _decides(
    config: RunConfig,
    env_id: str,
    kwargs: dict[str, Any],
    env_version: str,
    agent: Agent,
    model: Model | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What scores depend on, and what is only noted."""
    described = dict(model.describe()) if model is not None else {}
    notes = {"model_device": described.pop("device", None)}
    decides = {
        "env_id": env_id,
        "env_args": kwargs,
        "env_version": env_version,
        "agent": agent.describe(),
        "prompt_style": config.prompt_style,
        "model": {"spec": config.model, **described} if model is not None else None,
        "seed": config.seed,
        "max_steps": config.max_steps,
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


def _print_plan(config: RunConfig, jobs: list[Job], env_version: str) -> None:
    print(f"agent        {config.agent}" + (f" on {config.model}" if config.model else ""))
    print(f"environment  {config.env} ({env_version})")
    print(f"episodes     {len(jobs)}, {config.concurrency} at once")
    for job in jobs[:3]:
        print(f"  {job.task_id} repeat {job.repeat} seed {job.seed}")
    if len(jobs) > 3:
        print(f"  and {len(jobs) - 3} more")


def _report(store: RunStore, jobs: list[Job], as_json: bool) -> int:
    import json

    from harness.store import ERRORS, read_episodes
    from harness.summary import as_json as plain
    from harness.summary import summarise

    keys = {job.key for job in jobs}
    scored = (e for e in read_episodes(store.folder) if e.key in keys)
    failed = [e for e in read_episodes(store.folder, ERRORS) if e.key in keys]
    rows = summarise(scored, failed, len(jobs))
    data = {"digest": store.digest, "rows": plain(rows)}
    store.write_summary(data)
    if as_json:
        print(json.dumps({"run": str(store.folder), **data}, indent=2))
    else:
        from harness.cli.tables import print_summary

        print_summary(rows)
        print(f"\nrun: {store.folder}")
        done = {e.key for e in read_episodes(store.folder)}
        causes = {e.key: e for e in failed if e.key not in done}
        for episode in list(causes.values())[:3]:
            _say(f"not scored: {episode.task_id}: {episode.outcome}: {episode.error}")
    return len(jobs) - rows[-1].scored


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class _Progress:
    """A bar with the success so far on a terminal; a line now and then otherwise."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.done, self.scored, self.won = total, done, 0, 0
        self._bar: Any = None
        self._next_line = time.monotonic() + 10

    def __enter__(self) -> _Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task("episodes", total=self.total, completed=self.done)
        return self

    def update(self, episode: Episode) -> None:
        self.done += 1
        self.scored += episode.outcome.scored
        self.won += bool(episode.success)
        words = f"success {self.won}/{self.scored}" if self.scored else "episodes"
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, description=words)
        elif time.monotonic() >= self._next_line or self.done == self.total:
            _say(f"{self.done}/{self.total} episodes, {words}")
            self._next_line = time.monotonic() + 10

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._bar.stop()
