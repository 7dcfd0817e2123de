"""Checkpoints: a student that loads anywhere, and what an exact resume needs besides.

A checkpoint is a folder `checkpoints/step-000200` with the student as `transformers` writes it
(float32, with its tokenizer, so `hf:FOLDER` runs it) and `training.pt`: the optimiser, the place in
the data, the time spent. With LoRA it has the adapter's weights in `training.pt` instead of the
student.

A checkpoint appears under its name only when it is complete and on the disk; whatever kills a
training leaves the one before. The latest few are kept.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

from harness.errors import HarnessError
from harness.models.loading import load_causal_lm, quiet
from sad_distill.heads import causal_model
from sad_distill.lora import is_adapted
from sad_distill.sources import BatchSource

CHECKPOINTS = "checkpoints"
STATE = "training.pt"
WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def student_state(module: nn.Module) -> dict[str, Any]:
    """The student's weights on the CPU, gathered, tied ones once; empty on other processes.

    Args:
        module: a `SpanDistillation`, possibly in DDP or FSDP. All processes must call.
    """
    state = get_model_state_dict(module, options=WHOLE)
    named = {name for name, _ in module.named_parameters()}
    tied = {name for name, _ in module.named_parameters(remove_duplicate=False)} - named
    inner = {name.removeprefix("module.") for name in tied}
    return {name.removeprefix("student."): v for name, v in state.items() if name not in inner}


def save_checkpoint(
    out: Path,
    step: int,
    *,
    module: nn.Module,
    student: Any,
    tokenizer: Any,
    optimiser: torch.optim.Optimizer,
    source: BatchSource,
    notes: Mapping[str, Any],
    keep: int = 2,
    main: bool = True,
) -> Path:
    """Write the checkpoint of a step; all processes call, the first (`main`) writes.

    Args:
        out: folder of the training.
        module: what is trained, in its wrappers; `student` is the model inside.
        notes: plain data to find again under `notes`.
        keep: latest checkpoints to leave.
    """
    folder = out / CHECKPOINTS / f"step-{step:06d}"
    weights = student_state(module)
    moments = get_optimizer_state_dict(module, optimiser, options=WHOLE)
    if not main or folder.exists():
        return folder
    state = {
        "step": step,
        "optimiser": moments,
        "source": source.state_dict(),
        "notes": dict(notes),
    }
    with complete_folder(folder) as draft:
        if is_adapted(student):
            names = {name for name, p in student.named_parameters() if p.requires_grad}
            state["adapter"] = {name: weights[name] for name in names}
        else:
            write_student(draft, causal_model(student), tokenizer, weights)
        torch.save(state, draft / STATE)
    for old in checkpoints(out)[:-keep]:
        shutil.rmtree(old)
    return folder


def checkpoints(out: Path) -> list[Path]:
    """The complete checkpoints of a training, the latest last."""
    return sorted((out / CHECKPOINTS).glob("step-*"))


def load_state(folder: Path) -> dict[str, Any]:
    """What `save_checkpoint` kept besides the student; its tensors are read when they are used.

    Raises:
        HarnessError: it cannot be read.
    """
    try:
        state: dict[str, Any] = torch.load(
            folder / STATE, map_location="cpu", weights_only=True, mmap=True
        )
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise HarnessError(
            f"cannot go on from {folder}: {reason}; delete it to go on from the one before"
        ) from error
    return state


def restore_weights(folder: Path, state: Mapping[str, Any], student: Any) -> None:
    """Give a student, not yet wrapped, the weights of a checkpoint."""
    if "adapter" in state:
        missing = student.load_state_dict(state["adapter"], strict=False)
        if missing.unexpected_keys:
            raise HarnessError(f"{folder} has weights of other adapters; expected the same recipe")
        return
    saved = load_causal_lm(folder, device="cpu", dtype="float32").model
    causal_model(student).load_state_dict(saved.state_dict())


def restore_optimiser(
    state: Mapping[str, Any], module: nn.Module, optimiser: torch.optim.Optimizer
) -> None:
    """Give the optimiser of a wrapped module the moments of a checkpoint."""
    options = StateDictOptions(full_state_dict=True)
    set_optimizer_state_dict(module, optimiser, state["optimiser"], options=options)


def write_student(
    folder: Path, model: Any, tokenizer: Any, weights: Mapping[str, Any] | None = None
) -> None:
    """Write model and tokenizer as `transformers` does."""
    with quiet():
        model.save_pretrained(folder, state_dict=None if weights is None else dict(weights))
        tokenizer.save_pretrained(folder)


@contextmanager
def complete_folder(folder: Path) -> Iterator[Path]:
    """A draft folder that becomes `folder` when its content is on the disk."""
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    yield draft
    sync_folder(draft)
    os.replace(draft, folder)
    sync(folder.parent)


def sync_folder(folder: Path) -> None:
    """Wait until every file in a folder is on the disk."""
    for path in folder.iterdir():
        sync(path)
    sync(folder)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's entries, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
