"""What `harness distill` does: a training put together, watched, and ended in good order."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from harness.cli.interrupts import stop_on_signals
from harness.cli.progress import say
from harness.errors import HarnessError
from sad_distill.assemble import Job, assemble
from sad_distill.checkpoint import checkpoints, load_state
from sad_distill.material import Material, Request
from sad_distill.onpolicy import Collector, OnPolicySource
from sad_distill.processes import joined, leave
from sad_distill.recipes import Recipe, load_recipe, make_recipe
from sad_distill.train import Hook, Moment, check_same, train

REQUEST = "request.json"
"""What was asked for, kept with the student so that --resume needs no more than --out."""

LINE_SECONDS = 10.0
"""Time between lines of progress where there is no terminal."""


@dataclass(frozen=True)
class Options:
    """The command line."""

    recipe: str | None
    settings: tuple[str, ...]
    teacher: str | None
    student: str | None
    runs: tuple[Path, ...]
    eval_runs: tuple[Path, ...]
    teacher_cache: Path | None = None


def read_options(options: Options, out: Path | None, *, resume: bool) -> Request:
    """The request of a command line; with --resume, what it leaves out is as it was.

    Raises:
        HarnessError: something is missing.
    """
    before: dict[str, Any] = {}
    if resume and out is not None and (out / REQUEST).is_file():
        before = json.loads((out / REQUEST).read_text(encoding="utf-8"))
    if options.recipe is not None:
        name, recipe = options.recipe, load_recipe(options.recipe, options.settings)
    elif before:
        name, recipe = before["recipe"], make_recipe(before["settings"], before["recipe"])
        recipe = load_over(recipe, options.settings)
    else:
        raise HarnessError("name a --recipe, such as imitation or sad (docs/recipes.md)")
    student = options.student or before.get("student") or recipe.student.spec
    if student is None:
        raise HarnessError("name a --student, such as nano:S, prune:6 or hf:PATH_OR_ID")
    return Request(
        name=name,
        recipe=recipe,
        runs=options.runs or tuple(map(Path, before.get("runs", ()))),
        teacher=options.teacher or before.get("teacher") or recipe.teacher.spec,
        student=student,
        eval_runs=options.eval_runs or tuple(map(Path, before.get("eval_runs", ()))),
        teacher_cache=_teacher_cache(options, recipe, before),
    )


def _teacher_cache(options: Options, recipe: Recipe, before: Mapping[str, Any]) -> Path | None:
    folder = options.teacher_cache
    if folder is None:
        return Path(before["teacher_cache"]) if before.get("teacher_cache") else None
    if recipe.teacher.source == "online":
        raise HarnessError(
            f"--teacher-cache is {folder} and nothing is kept with teacher.source online; add "
            "--set teacher.source=cached"
        )
    return folder


def load_over(recipe: Recipe, overrides: tuple[str, ...]) -> Recipe:
    """A recipe with `key=value` pairs over it."""
    from sad_distill.recipes import override

    settings = recipe.dump()
    for pair in overrides:
        override(settings, pair)
    return make_recipe(settings)


def carry_out(request: Request, out: Path | None, *, resume: bool, device: str) -> None:
    """Train as asked; exits with 130 when interrupted."""
    if out is None:
        raise HarnessError("name the folder of the student with --out")
    latest = None
    if resume:
        found = checkpoints(out)
        if not found:
            raise HarnessError(f"{out} has no checkpoint to go on from; leave out --resume")
        latest = found[-1]
    elif (out / "config.json").exists() or checkpoints(out):
        raise HarnessError(f"{out} holds a student already; choose another --out, or --resume")
    with joined(device, sharded=request.recipe.training.sharded) as place:
        job = assemble(request, out, place, lambda material: collector(request, material, out))
        if latest is not None:
            # Before anything is written: a refusal leaves the folder as it was.
            check_same(load_state(latest)["notes"]["decides"], job.decides, latest)
        if place.first:
            out.mkdir(parents=True, exist_ok=True)
            write_request(request, out)
            with redirect_stdout(sys.stderr):
                show_start(job)
        hooks = [*on_policy_hooks(job), *rollout_hooks(job, out)]
        with (
            Progress() as progress,
            stop_on_signals(
                lambda _: progress.say("interrupted: ending with a checkpoint")
            ) as stop,
        ):
            ending = train(
                job,
                out,
                hooks=hooks,
                resume_from=latest,
                stop=lambda: stop.draining,
                watch=progress.watch,
            )
    if ending.reason == "interrupted":
        if place.first:
            say(
                f"interrupted after step {ending.steps} of {ending.planned}, which is kept; go on "
                f"with: harness distill --resume --out {out}"
            )
        leave(130)
        raise typer.Exit(130)
    if place.first:
        print(f"student: {out}")
    leave(0)


def write_request(request: Request, out: Path) -> None:
    """Keep what was asked for."""
    kept = request.teacher_cache
    text = json.dumps(
        {
            "recipe": request.name,
            "settings": request.recipe.dump(),
            "runs": [str(folder.resolve()) for folder in request.runs],
            "eval_runs": [str(folder.resolve()) for folder in request.eval_runs],
            "teacher": request.teacher,
            "student": request.student,
            "teacher_cache": str(kept.resolve()) if kept is not None else None,
        },
        indent=2,
    )
    (out / REQUEST).write_text(text + "\n", encoding="utf-8")


def show_start(job: Job) -> None:
    """One example in the colours of its spans, what all amount to, and what is about to happen."""
    from harness.cli.spans import print_statistics, show_example

    material, recipe = job.material, job.request.recipe
    show_example(material.trained[0].episode, job.student.tokenizer, material.fmt, material.scheme)
    print_statistics(material.statistics)
    held = f" ({len(material.held_out)} held out)" if material.held_out else ""
    steps = min(job.source.steps, recipe.training.max_steps or job.source.steps)
    under = f"teacher {job.request.teacher}" if job.teacher is not None else "no teacher"
    print(
        f"\n{recipe.method}: {job.student.origin}, {job.student.parameters:,} parameters, {under}; "
        f"{len(material.trained)} episodes{held}, {steps} steps on {job.place.device}\n"
    )


def collector(request: Request, material: Material, out: Path) -> Collector:
    """What plays episodes with the student, for on-policy recipes.

    Raises:
        HarnessError: two runs have the same name.
    """
    from harness.cli.collecting import RunCollector

    runs = {folder.name: folder for folder in request.runs}
    if len(runs) < len(request.runs):
        raise HarnessError(
            "on-policy training tells runs apart by the names of their folders; two of --runs are "
            "called the same: rename one"
        )
    weights = {(one.run, one.episode.task_id): one.weight for one in material.trained}
    recipe = request.recipe
    return RunCollector(
        out,
        {name: runs[name] for name in {one.run for one in material.trained}},
        weights,
        recipe.on_policy,
        material.fmt,
        seed=recipe.training.seed,
        record_admissible=recipe.divergence.candidates,
    )


def on_policy_hooks(job: Job) -> list[Hook]:
    """The student plays its own data anew, where the recipe asks."""
    source = job.source
    if not isinstance(source, OnPolicySource):
        return []

    def refresh(moment: Moment) -> dict[str, float]:
        if moment.step == moment.steps:
            return {}  # nobody would be trained on it
        return source.refresh(moment.model, moment.tokenizer, moment.step, moment.done)

    return [Hook(source.section.refresh, refresh, at_start=True, trains=True)]


def rollout_hooks(job: Job, out: Path) -> list[Hook]:
    """What is done beside the training: rollouts of the student, where the recipe asks."""
    every = job.request.recipe.training.rollouts_every
    if every is None:
        return []
    from harness.cli.rollouts import play_rollouts

    if job.place.sharded:
        raise HarnessError(
            "rollouts need the whole student in one process; leave out training.rollouts_every, "
            "or train without sharding"
        )
    if not job.place.first:
        return [Hook(every, lambda moment: None)]
    return [Hook(every, lambda moment: play_rollouts(job, moment, out))]


class Progress:
    """A bar with the latest metrics on a terminal; a line now and then otherwise."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._next_line = 0.0
        self._words = ""

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                TextColumn,
                TimeRemainingColumn,
            )
            from rich.progress import Progress as Bar

            self._bar = Bar(
                BarColumn(20),
                MofNCompleteColumn(),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.description}"),
                console=Console(stderr=True),
            )
            self._bar.start()
        return self

    def watch(self, step: int, steps: int, line: Mapping[str, Any] | None) -> None:
        """After a step."""
        if line is not None:
            self._words = metrics_words(line)
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task("", total=steps)
            self._bar.update(self._task, completed=step, description=self._words)
        elif line is not None and (time.monotonic() >= self._next_line or step == steps):
            say(f"step {step}/{steps}: {self._words}")
            self._next_line = time.monotonic() + LINE_SECONDS

    def say(self, line: str) -> None:
        """A line beside the bar."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            say(line)

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def metrics_words(line: Mapping[str, Any]) -> str:
    """A line of metrics for people."""
    parts = [f"loss {line['loss']:.3f}"]
    for key, value in line.items():
        kind, _, span = key.partition("/")
        if kind == "accuracy":
            parts.append(f"{span} {100 * value:.1f}%")
        elif key == "rollouts/success":
            parts.append(f"success {100 * value:.0f}%")
    parts.append(f"{line['tokens_per_second']:,.0f} tokens/s")
    if line["mfu"] is not None:
        parts.append(f"MFU {100 * line['mfu']:.0f}%")
    return ", ".join(parts)
