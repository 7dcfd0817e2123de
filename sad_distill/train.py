"""The training loop, to be read from top to bottom.

    for every optimiser step:
        take its micro-batches, set the learning rate
        add the gradients of the loss (sad_distill.step), clip them, step
        now and then: write metrics, call hooks, save

Seams, and who fills them: *what is trained on* is a `BatchSource`; *what is minimised* an
`Objective` and, if any, a `LossTerm` besides; *what happens beside the training* (rollouts in an
environment, a refresh of on-policy data) is a `Hook`. Stopping early, by a signal or by time, ends
the training as the last step would, with a checkpoint to go on from.

Exactness: the same recipe, data and device give the same parameters, whether or not the training
was killed and resumed. There is no dropout: nothing in a step is random.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from harness.errors import HarnessError
from harness.models.loading import tokenizer_digest
from sad_distill.assemble import Job
from sad_distill.capabilities import capabilities
from sad_distill.checkpoint import (
    load_state,
    restore_optimiser,
    restore_weights,
    save_checkpoint,
    student_state,
)
from sad_distill.export import export_student, find_licence, make_record
from sad_distill.gpus import peak_rate
from sad_distill.heads import causal_model
from sad_distill.lora import is_adapted, merge
from sad_distill.metrics import Meter, MetricsWriter
from sad_distill.optimiser import (
    clip_gradients,
    learning_rate,
    make_optimiser,
    peak_learning_rate,
)
from sad_distill.processes import agreed, spread
from sad_distill.pruning import layers_of
from sad_distill.recipe_sections import TrainingSection
from sad_distill.step import SpanDistillation, distil_step
from sad_distill.students import count_parameters
from sad_distill.teacher import CachedTeacher

SAVE_SECONDS = 600.0
"""Time between checkpoints where a recipe does not count steps."""


@dataclass(frozen=True)
class Moment:
    """What a hook is told.

    Attributes:
        step: optimiser steps done.
        steps: optimiser steps planned.
        done: share of the training that lies behind, 0 to 1.
        model: the student itself, in evaluation mode while the hook runs.
        tokenizer: its tokenizer.
    """

    step: int
    steps: int
    done: float
    model: Any
    tokenizer: Any


@dataclass(frozen=True)
class Hook:
    """Something done beside the training, on every process.

    Attributes:
        every: optimiser steps between two calls.
        call: given the moment; what it returns is added to the metrics.
        at_start: also before the first step.
        trains: whether its time is time of the training.
    """

    every: int
    call: Callable[[Moment], Mapping[str, float] | None]
    at_start: bool = False
    trains: bool = False


@dataclass(frozen=True)
class Ending:
    """How a training ended.

    Attributes:
        reason: `done`, `time`, or what `stop` said.
        steps: optimiser steps done, of `planned`.
        metrics: the last line of metrics.
        checkpoint: the last checkpoint.
    """

    reason: str
    steps: int
    planned: int
    metrics: Mapping[str, Any]
    checkpoint: Path


def train(
    job: Job,
    out: Path,
    *,
    hooks: Sequence[Hook] = (),
    resume_from: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
    watch: Callable[[int, int, Mapping[str, Any] | None], None] = lambda step, steps, line: None,
) -> Ending:
    """Train the student of a job, and write it to `out`.

    Args:
        job: from `assemble`.
        out: folder of the student, its checkpoints and metrics.
        resume_from: a checkpoint of the same job to go on from.
        stop: asked before every step; true ends the training with a checkpoint to go on from.
        watch: told after every step, with the line of metrics where one was written.

    Raises:
        HarnessError: the checkpoint is of another training or cannot be read, or the student
            cannot be trained.
    """
    recipe, place = job.request.recipe, job.place
    settings = recipe.training
    out.mkdir(parents=True, exist_ok=True)
    student = job.student.model
    step, time_before = 0, 0.0
    state: dict[str, Any] = {}
    if resume_from is not None:
        state = load_state(resume_from)
        check_same(state["notes"]["decides"], job.decides, resume_from)
        restore_weights(resume_from, state, student)
        job.source.load_state_dict(state["source"])
        step, time_before = state["step"], state["notes"]["seconds"]

    student = student.to(place.device).train()
    no_dropout(student)
    width = int(student.get_input_embeddings().weight.shape[1])
    autocast = autocast_dtype(settings, place.device)
    if settings.gradient_checkpointing:
        student.gradient_checkpointing_enable({"use_reentrant": False})
    module: nn.Module = SpanDistillation(student, job.objective, job.term)
    if settings.compile:
        for layer in layers_of(causal_model(student))[1]:
            layer.compile()
    module = spread(module, place, autocast)
    peak = peak_learning_rate(recipe, scratch_width=None if job.student.parents else width)
    optimiser = make_optimiser(module, settings, peak)
    if state:
        restore_optimiser(state, module, optimiser)

    meter = Meter(
        spans=job.material.scheme.names,
        work=job.work,
        peak=peak_rate(place.device, autocast, place.world),
        device=place.device,
        total_tokens=state["notes"]["tokens"] if state else 0,
    )
    writer = MetricsWriter(out, after=step) if place.first else None
    line: dict[str, Any] = state["notes"]["line"] if state else {}
    planned = min(job.source.steps, settings.max_steps or job.source.steps)
    first_pass = job.source.first_pass
    limit = settings.minutes * 60 if settings.minutes else None
    began = time.monotonic()
    spent = saved_at = time_before
    reason = "done"

    def save() -> Path:
        notes = {
            "seconds": spent,
            "tokens": meter.total_tokens,
            "line": line,
            "decides": dict(job.decides),
        }
        if isinstance(job.teacher, CachedTeacher):
            job.teacher.flush()
        if job.term is not None:
            job.term.flush()
        return save_checkpoint(
            out,
            step,
            module=module,
            student=student,
            tokenizer=job.student.tokenizer,
            optimiser=optimiser,
            source=job.source,
            notes=notes,
            main=place.first,
        )

    def call(due: Sequence[Hook]) -> dict[str, float]:
        nonlocal began
        found: dict[str, float] = {}
        student.eval()
        for hook in due:
            at = time.monotonic()
            moment = Moment(step, planned, step / planned, student, job.student.tokenizer)
            found |= hook.call(moment) or {}
            if not hook.trains:
                began += time.monotonic() - at
        student.train()
        return found

    if step == 0:
        call([hook for hook in hooks if hook.at_start])
    while step < planned:
        stopped, spent = agreed(stop(), time_before + time.monotonic() - began, place)
        if stopped or (limit and spent >= limit):
            reason = "interrupted" if stopped else "time"
            break
        step_began = time.perf_counter()
        done = max((step + 0.5) / planned, spent / limit if limit else 0.0)
        rate = learning_rate(settings, peak, done)
        for group in optimiser.param_groups:
            group["lr"] = rate
        batches = [batch.to(place.device) for batch in job.source.next_step()]
        report = distil_step(
            module, job.objective, job.teacher, batches, autocast=autocast, term=job.term
        )
        norm = clip_gradients(module.parameters(), settings.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if place.device.type == "cuda":
            torch.cuda.synchronize(place.device)
        step += 1
        meter.add(report, batches, norm, time.perf_counter() - step_began)

        overdue = spent - saved_at > SAVE_SECONDS
        saving = step % settings.save_every == 0 if settings.save_every else overdue
        due = [hook for hook in hooks if step % hook.every == 0]
        # A checkpoint begins a new line, so that a resumed training misses nothing in its next one.
        noted = step % settings.log_every == 0 or step in (1, planned) or saving or bool(due)
        if noted:
            share = max(step / planned, spent / limit if limit else 0.0)
            line = {"step": step, "done": share, "seconds": spent, "learning_rate": rate}
            line |= meter.line() | call(due)
            if not math.isfinite(line["loss"]):
                raise HarnessError(
                    f"the loss is {line['loss']} at step {step}; lower training.learning_rate "
                    f"({peak:g}), or go on from a checkpoint in {out} with other settings"
                )
            if writer is not None:
                writer.write(line)
        if place.first:
            watch(step, planned, line if noted else None)
        complete = step == first_pass and place.world == 1
        if complete and isinstance(job.teacher, CachedTeacher):
            job.teacher.release()
            if job.term is not None:
                job.term.release()
        if saving:
            save()
            saved_at = spent

    spent = time_before + time.monotonic() - began
    if meter.pending:
        line = {"step": step, "done": done, "seconds": spent, "learning_rate": rate} | meter.line()
        if writer is not None:
            writer.write(line)
    checkpoint = save()
    if writer is not None:
        writer.close()
    ending = Ending(reason, step, planned, line, checkpoint)
    if reason != "interrupted":
        finish(job, out, ending, module, autocast, spent, int(meter.total_tokens))
    return ending


def finish(
    job: Job,
    out: Path,
    ending: Ending,
    module: nn.Module,
    autocast: torch.dtype | None,
    seconds: float,
    tokens: int,
) -> None:
    """Write the student, its card and its record; all processes call, the first writes."""
    weights: dict[str, Any] | None = student_state(module)
    if not job.place.first:
        return
    model = job.student.model
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if is_adapted(model):
        model, weights = merge(model, out, weights if job.place.sharded else None), None
    record = training_record(job, ending, seconds, tokens) | {
        "parameters": count_parameters(model),
        "trained_parameters": trained,
    }
    dtype = autocast or torch.float32
    export_student(out, causal_model(model), job.student.tokenizer, record, weights, dtype)


def check_same(found: Mapping[str, Any], expected: Mapping[str, Any], folder: Path) -> None:
    """Refuse a checkpoint of another training, naming what differs.

    Raises:
        HarnessError: something that the parameters depend on is not the same.
    """
    theirs = {**found["recipe"], **{k: v for k, v in found.items() if k != "recipe"}}
    ours = {**expected["recipe"], **{k: v for k, v in expected.items() if k != "recipe"}}
    differ = [
        f"{name} was {theirs.get(name)!r} and is {ours.get(name)!r}"
        for name in sorted(theirs.keys() | ours.keys())
        if theirs.get(name) != ours.get(name)
    ]
    if differ:
        raise HarnessError(
            f"{folder} is of another training: {'; '.join(differ)}; resume with the same, or "
            "choose another --out"
        )


def autocast_dtype(settings: TrainingSection, device: torch.device) -> torch.dtype | None:
    """Precision of the forward passes; None for that of the weights, float32."""
    if settings.precision == "auto":
        return torch.bfloat16 if capabilities(str(device)).bfloat16 else None
    return torch.bfloat16 if settings.precision == "bfloat16" else None


def no_dropout(model: nn.Module) -> None:
    """Switch off every dropout and layer drop; the configuration, as it is saved, keeps them.

    The teacher's distributions regularise, packed attention kernels have no dropout, and a step
    without chance can be repeated.
    """
    names = ("dropout", "attention_dropout", "activation_dropout", "layerdrop", "p")
    for part in model.modules():
        for name in names:
            if isinstance(getattr(part, name, None), float) and (
                name != "p" or isinstance(part, nn.Dropout)
            ):
                setattr(part, name, 0.0)


def training_record(job: Job, ending: Ending, seconds: float, tokens: int) -> dict[str, Any]:
    """What `distillation.json` says; see `sad_distill.export`."""
    request, material = job.request, job.material
    teacher = request.teacher if job.teacher is not None else None
    student = job.student
    parents = [*student.parents, *([teacher] if teacher else [])]
    episodes = [one.episode for one in material.trained]
    return make_record(
        method=request.recipe.method,
        recipe=request.name,
        settings=request.recipe.dump(),
        teacher=teacher,
        student=request.student,
        origin=student.origin,
        parents=list(student.parents),
        seed=request.recipe.training.seed,
        data={
            "digest": material.dataset.digest,
            "episodes": len(episodes),
            "held_out": len(material.held_out),
            "agents": sorted({episode.agent for episode in episodes}),
            "envs": sorted({episode.env_id for episode in episodes}),
            "runs": list(material.dataset.runs),
        },
        prompts={
            "styles": sorted({episode.prompt.style for episode in episodes}),
            "shots": sorted({len(episode.prompt.examples) for episode in episodes}),
        },
        format=material.fmt.model_dump() | {"digest": material.fmt.digest},
        spans=list(material.scheme.names),
        tokenizer=tokenizer_digest(student.tokenizer),
        steps=ending.steps,
        planned_steps=ending.planned,
        tokens=tokens,
        seconds=round(seconds, 1),
        ended=ending.reason,
        metrics=dict(ending.metrics),
        licences={spec: find_licence(spec) for spec in parents},
    )
