"""What a training will take: parameters, tokens, operations, memory and time, before it is begun.

Parameters are exact. Operations are those of `sad_distill.metrics.useful_work`: per packed token
two for every weight of the teacher's body and six for every one of the student's, per supervised
row `2·V·H` for the teacher's head and `6·V·H` for the student's; recomputation under gradient
checkpointing is `2` more per weight of the student's body and counts in the time only. Time is
operations over the device's dense peak, at a share of the peak that is stated. Memory is a sum of
parts, each of which the table shows; the activations are estimated, rather
high (`sad_distill.sizing`). Tokens are those of the given runs, else an assumption that is stated.

An estimate: kernels, fragmentation and rollouts of on-policy recipes are not in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from harness.errors import HarnessError
from sad_distill.capabilities import CHUNK_BYTES
from sad_distill.datasize import ASSUMED, DataSize
from sad_distill.gpus import Gpu, find_gpu
from sad_distill.metrics import body_parameters, useful_work
from sad_distill.recipes import Recipe
from sad_distill.sizing import Stored, model_config, stored_bytes
from sad_distill.students import count_parameters, meta_model

MFU = 0.4
"""Share of the dense peak that is assumed; good training stacks reach 0.33 to 0.46."""

CONTEXT_BYTES = 1e9
"""Of a GPU's driver and libraries."""

SPARE = 0.05
"""Share of the memory that is left for fragmentation."""


@dataclass(frozen=True)
class Memory:
    """Bytes on the device at the fullest moment of a step, by what holds them."""

    weights: float
    gradients: float
    moments: float
    teacher: float
    activations: float
    logits: float
    context: float

    @property
    def total(self) -> float:
        """All of it."""
        return math.fsum(vars(self).values())


@dataclass(frozen=True)
class Plan:
    """The switches of a recipe that memory depends on."""

    tokens: int
    checkpointing: bool
    lora: int = 0
    devices: int = 1


@dataclass(frozen=True)
class Rung:
    """One student under its teacher.

    Attributes:
        parameters, teacher_parameters: numbers; the latter 0 where no teacher runs.
        tokens, rows: of the whole training.
        operations: useful ones, and those recomputed.
        seconds: on one device.
        memory: as the recipe says; `without` with gradient checkpointing the other way round.
        fits: whether the memory is enough.
        switch: what to change where it is not; None where nothing that is known helps.
    """

    student: str
    teacher: str | None
    parameters: int
    teacher_parameters: int
    steps: int
    tokens: int
    rows: int
    operations: float
    recomputed: float
    seconds: float
    memory: Memory
    other: Memory
    checkpointing: bool
    fits: bool
    switch: str | None


@dataclass(frozen=True)
class DryRun:
    """Every rung of a recipe on a device."""

    recipe: str
    gpu: Gpu
    data: DataSize
    epochs: int
    rungs: tuple[Rung, ...]

    def render(self) -> str:
        """The report for a terminal."""
        precision = "bfloat16" if self.gpu.precision else "float32"
        head = [
            f"{self.recipe} on {self.gpu.name}: {_amount(self.gpu.peak / 1e12)} TFLOP/s dense "
            f"{precision}, {self.gpu.memory / 1e9:,.0f} GB",
            f"data: {self.data.sequences:,} sequences, {self.data.tokens:,} tokens, "
            f"{100 * self.data.rows / max(self.data.tokens, 1):.0f}% supervised, "
            f"{self.epochs} epochs",
            f"      {self.data.told}",
            f"time at {100 * MFU:.0f}% of the peak, recomputation counted; rollouts are not",
            "",
        ]
        columns = [_column(rung, self.gpu) for rung in self.rungs]
        lines = [[name, *(column[name] for column in columns)] for name in columns[0]]
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        for cells in lines:
            first = cells[0].ljust(widths[0])
            rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
            head.append("  ".join([first, *rest]).rstrip())
        notes = [
            f"{rung.student}: {rung.switch or 'no switch of the recipe makes it fit'}"
            for rung in self.rungs
            if not rung.fits
        ]
        return "\n".join([*head, *(["", *notes] if notes else [])])


def dry_run(
    recipe: Recipe,
    teacher_spec: str | None,
    student_spec: str | None,
    gpu: str,
    data: DataSize | None = None,
    *,
    name: str = "",
) -> DryRun:
    """Reckon a training through, without weights and without the network.

    Args:
        student_spec: None for every student of the recipe's ladder, or its own.
        gpu: a name in `sad_distill.gpus.GPUS`, or `cpu` for this machine.
        data: what is trained on; None for `ASSUMED`.

    Raises:
        HarnessError: the device is not known, or the size of a model.
    """
    device = find_gpu(gpu)
    if recipe.training.precision == "float32":
        device = replace(device, precision=None)
    students = _students(recipe, student_spec)
    teacher = teacher_spec or recipe.teacher.spec
    needed = recipe.divergence.kind != "ce"
    if needed and teacher is None:
        raise HarnessError("the recipe compares with a teacher; name one with --teacher")
    pruned = any(one.startswith("prune:") for one in students)
    known = model_config(teacher, recipe) if teacher and (needed or pruned) else None
    size = data or ASSUMED
    rungs = tuple(
        _rung(recipe, one, teacher if needed else None, known, device, size) for one in students
    )
    return DryRun(name or recipe.method, device, size, recipe.training.epochs, rungs)


def _students(recipe: Recipe, spec: str | None) -> Sequence[str]:
    if spec is not None:
        return [spec]
    found = recipe.ladder or ((recipe.student.spec,) if recipe.student.spec else ())
    if not found:
        raise HarnessError("name a --student, such as nano:S, prune:6 or hf:PATH_OR_ID")
    return found


def _rung(
    recipe: Recipe, spec: str, teacher_spec: str | None, known: Any, gpu: Gpu, data: DataSize
) -> Rung:
    config = model_config(spec, recipe, known)
    student = meta_model(config)
    teacher = meta_model(known) if teacher_spec else None
    training = recipe.training
    plan = Plan(
        tokens=training.rows * (training.pack_length or data.longest),
        checkpointing=training.gradient_checkpointing,
        lora=recipe.student.lora_rank,
    )
    per_step = plan.tokens * training.accumulation
    steps = math.ceil(data.tokens * training.epochs / per_step)
    steps = min(steps, training.max_steps or steps)
    share = data.rows / max(data.tokens, 1)
    tokens = min(data.tokens * training.epochs, steps * per_step)
    rows = round(tokens * share)
    epochs = tokens / max(data.tokens, 1)
    work = useful_work(student, None)
    # Frozen weights get no gradient of their own: two operations fewer each.
    saved = 2.0 * body_parameters(student) if plan.lora else 0.0
    operations = (work.per_token - saved) * tokens + work.per_row * rows
    if teacher is not None:
        both = useful_work(student, teacher)
        read = tokens if recipe.teacher.source == "online" else tokens / max(epochs, 1.0)
        scored = read * share if recipe.teacher.source == "top-k" else rows
        operations += (both.per_token - work.per_token) * read
        operations += (both.per_row - work.per_row) * scored
    recomputed = 2.0 * body_parameters(student) * tokens if plan.checkpointing else 0.0
    stored = stored_bytes(config, gpu.precision)

    def memory(changed: Plan) -> Memory:
        return _memory(student, teacher, config, stored, gpu, changed)

    used = memory(plan)
    room = gpu.memory * (1 - SPARE)
    return Rung(
        student=spec,
        teacher=teacher_spec,
        parameters=count_parameters(student),
        teacher_parameters=count_parameters(teacher) if teacher is not None else 0,
        steps=steps,
        tokens=tokens,
        rows=rows,
        operations=operations,
        recomputed=recomputed,
        seconds=(operations + recomputed) / (gpu.peak * MFU),
        memory=used,
        other=memory(replace(plan, checkpointing=not plan.checkpointing)),
        checkpointing=plan.checkpointing,
        fits=used.total <= room,
        switch=None if used.total <= room else _switch(recipe, plan, memory, room),
    )


def _memory(
    student: Any, teacher: Any | None, config: Any, stored: Stored, gpu: Gpu, plan: Plan
) -> Memory:
    half = gpu.precision is not None
    count, body = count_parameters(student), body_parameters(student)
    layers, hidden = int(config.num_hidden_layers), int(config.hidden_size)
    trained = _lora_parameters(student, plan.lora) if plan.lora else count
    between, layer = stored.between * plan.tokens, stored.layer * plan.tokens
    kept = layers * between + layer if plan.checkpointing else layers * layer + between
    heads = int(config.vocab_size) * hidden
    device = "cuda" if half else "cpu"
    return Memory(
        # Float32, and under autocast a bfloat16 copy of every matrix until the backward pass.
        weights=4 * (count + (trained if plan.lora else 0)) / plan.devices
        + (2 * body if half else 0),
        gradients=4 * trained / plan.devices,
        moments=8 * trained / plan.devices,
        teacher=0.0 if teacher is None else (2 if half else 4) * count_parameters(teacher),
        activations=kept,
        # Logits and log-probabilities of both models, a gradient, and the head's own in float32.
        logits=5 * CHUNK_BYTES[device] + (0 if plan.lora else 4 * heads),
        context=CONTEXT_BYTES if half else 0.0,
    )


def _lora_parameters(model: Any, rank: int) -> int:
    """Weights of adapters of a rank on every matrix of the body."""
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    head = id(model.get_output_embeddings().weight)
    return sum(
        rank * sum(weight.shape)
        for weight in model.parameters()
        if weight.ndim == 2 and id(weight) not in embeddings | {head}
    )


def _switch(recipe: Recipe, plan: Plan, memory: Any, room: float) -> str | None:
    """The fewest switches that make it fit, in the order of what they cost."""
    said: list[str] = []
    if not plan.checkpointing:
        plan = replace(plan, checkpointing=True)
        said.append("--set training.gradient_checkpointing=true")
        if memory(plan).total <= room:
            return f"fits with {said[0]}"
    rows = recipe.training.rows
    if rows > 1:
        plan = replace(plan, tokens=plan.tokens // rows)
        batches = recipe.training.accumulation * rows
        said.append(f"--set training.rows=1 --set training.accumulation={batches}")
        if memory(plan).total <= room:
            return f"fits with {' '.join(said)}"
    batches = recipe.training.accumulation * rows
    for devices in (2, 4, 8):
        if memory(replace(plan, devices=devices)).total <= room:
            sharded = [*said, "--set training.sharded=true"]
            if batches % devices:  # the processes share the micro-batches of a step
                sharded.append(f"--set training.accumulation={-(-batches // devices) * devices}")
            return f"fits on {devices} of them with {' '.join(sharded)} (torchrun)"
    said.append("--set student.lora_rank=16")
    if memory(replace(plan, lora=16)).total <= room:
        return f"fits with {' '.join(said)}"
    return None


def _column(rung: Rung, gpu: Gpu) -> dict[str, str]:
    """The cells of a rung by the name of their row."""
    other = "with" if not rung.checkpointing else "without"
    memory = {name: _gigabytes(value) for name, value in vars(rung.memory).items()}
    return {
        "student": rung.student.removeprefix("hf:"),
        "parameters": f"{rung.parameters:,}",
        "teacher": (rung.teacher or "none").removeprefix("hf:"),
        "teacher's parameters": f"{rung.teacher_parameters:,}",
        "optimiser steps": f"{rung.steps:,}",
        "tokens": f"{rung.tokens:,}",
        "supervised rows": f"{rung.rows:,}",
        "operations": f"{rung.operations:.2e}",
        "recomputed": f"{rung.recomputed:.2e}",
        "time": _time(rung.seconds),
        "memory": _gigabytes(rung.memory.total),
        "  weights": memory["weights"],
        "  gradients": memory["gradients"],
        "  AdamW's moments": memory["moments"],
        "  teacher ": memory["teacher"],
        "  activations": memory["activations"],
        "  logits": memory["logits"],
        "  driver": memory["context"],
        f"memory {other} checkpointing": _gigabytes(rung.other.total),
        "fits": "yes" if rung.fits else "no",
    }


def _gigabytes(size: float) -> str:
    return f"{_amount(size / 1e9)} GB"


def _amount(value: float) -> str:
    """With a digit after the point, and so many that something small is not nothing."""
    return f"{value:,.1f}" if value >= 0.95 or not value else f"{value:.2g}"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else "below 1 s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
