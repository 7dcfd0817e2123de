"""One training on several processes.

`torchrun` and `accelerate launch` start the processes and say so in the environment; `joined` meets
the others. Gradients are exchanged by DDP, every process holding the whole student; with
`accelerate launch --use_fsdp`, or `training.sharded`, by FSDP: weights, gradients and moments are
spread over the processes, layer by layer.

A recipe is the same training on any number of processes, see `sad_distill.sources`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import nn

from harness.errors import HarnessError
from harness.models.loading import resolve_device
from sad_distill.heads import causal_model
from sad_distill.pruning import layers_of

PATIENCE = timedelta(hours=4)
"""How long processes wait for each other: the first may be writing, or playing episodes."""


@dataclass(frozen=True)
class Place:
    """Where a process is in a training.

    Attributes:
        device: of its student.
        rank, world: number of the process, and how many there are.
        sharded: whether the student is spread over them.
    """

    device: torch.device
    rank: int = 0
    world: int = 1
    sharded: bool = False

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0


@contextmanager
def joined(device: str = "auto", *, sharded: bool = False) -> Iterator[Place]:
    """Meet the other processes of a training, and part from them at the end.

    Args:
        device: of every process; a GPU gets the process's own number.
        sharded: spread the student, whatever the environment says.

    Raises:
        HarnessError: the device is not there.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    sharded = sharded or os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"
    place = resolve_device(device)
    if world == 1:
        if sharded:
            raise HarnessError(
                "a sharded training needs several processes; start it with accelerate launch or "
                "torchrun --nproc-per-node N"
            )
        yield Place(place)
        return
    if place.type == "cuda":
        place = resolve_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
        torch.cuda.set_device(place)
    backend = "cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Place(place, torch.distributed.get_rank(), world, sharded)
        # None leaves while the first still writes.
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()


def leave(code: int) -> None:
    """End a process that was one of several, with an exit code; does nothing in a lone one.

    At once, after all is written: an interpreter that takes itself down may meet threads of gloo
    that still run and abort, and the launcher would take a finished training for a failed one.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def spread(module: nn.Module, place: Place, autocast: torch.dtype | None) -> nn.Module:
    """A `SpanDistillation` whose gradients are exchanged; itself where there is one process."""
    if place.world == 1:
        return module
    if not place.sharded:
        return nn.parallel.DistributedDataParallel(
            module,
            device_ids=[place.device] if place.device.type == "cuda" else None,
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
        )
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    policy = MixedPrecisionPolicy(param_dtype=autocast, reduce_dtype=torch.float32)
    student: Any = module.student
    for layer in layers_of(causal_model(student))[1]:
        fully_shard(layer, mp_policy=policy)
    fully_shard(module, mp_policy=policy)
    return module


def agreed(stop: bool, seconds: float, place: Place) -> tuple[bool, float]:
    """Whether any process is to stop, and the longest time that one has spent."""
    if place.world == 1:
        return stop, seconds
    values = torch.tensor([float(stop), seconds], dtype=torch.float64)
    torch.distributed.all_reduce(values, torch.distributed.ReduceOp.MAX)
    return bool(values[0]), float(values[1])
