"""What a device can do, detected once; the one place where a device-only branch is chosen.

Two operations have a fast form that only CUDA has. Everything else in the package calls the names
here and never asks about the device:

- `matmul`: a matrix product of half-precision inputs whose result is float32, in one GEMM
  (`torch.mm(..., out_dtype=torch.float32)`), where the device has it; elsewhere the inputs are
  raised to float32 first. Both are the product of the rounded inputs, summed in float32.
- `varlen`: attention over sequences that lie end to end in one row, without a mask. Elsewhere
  `sad_distill.attention` calls scaled-dot-product attention once per sequence.

A capability counts as present when a tiny call of it succeeds, so a build of torch without the
kernel, or a card too old for it, takes the plain path instead of failing in the middle of a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

CHUNK_BYTES = {"cuda": 256 * 2**20, "cpu": 24 * 2**20}
"""Size of one [rows, vocabulary] float32 buffer of the divergence. Larger products are faster
up to here; beyond, only the memory grows."""


@dataclass(frozen=True)
class Capabilities:
    """What was found on a device.

    Attributes:
        device: `cpu`, `cuda`, ...
        wide_matmul: half-precision inputs, float32 result, in one GEMM.
        varlen: attention over packed sequences without a mask.
        bfloat16: bfloat16 is the precision to train in.
    """

    device: str
    wide_matmul: bool
    varlen: bool
    bfloat16: bool


@lru_cache
def capabilities(device: str) -> Capabilities:
    """Probe a device, given as `cpu`, `cuda` or `cuda:1`."""
    kind = torch.device(device).type
    return Capabilities(
        device=kind,
        wide_matmul=kind == "cuda" and _has_wide_matmul(device),
        varlen=kind == "cuda" and _has_varlen(device),
        bfloat16=kind == "cuda" and torch.cuda.is_bf16_supported(),
    )


def matmul(left: Tensor, right: Tensor) -> Tensor:
    """`left @ right` in float32, or in float64 when the inputs are.

    Args:
        left: [rows, inner].
        right: [inner, columns], of the same dtype.
    """
    if left.dtype in (torch.float32, torch.float64):
        return torch.mm(left, right)
    if capabilities(str(left.device)).wide_matmul:
        return torch.mm(left, right, out_dtype=torch.float32)
    return torch.mm(left.float(), right.float())


def product_dtype(hidden: Tensor, weight: Tensor) -> torch.dtype:
    """The dtype the inputs of the head's products are brought to.

    Half precision where the model runs in it, by its own dtype or by autocast, and the device has
    the one-GEMM form: float32 master weights are then rounded once. Else float32, or float64.
    """
    if torch.float64 in (hidden.dtype, weight.dtype):
        return torch.float64
    kind = hidden.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
    return dtype if capabilities(str(hidden.device)).wide_matmul else torch.float32


def chunk_rows(vocabulary: int, device: torch.device) -> int:
    """Rows of logits to hold at a time: as many as fit in the device's chunk, in steps of 16."""
    budget = CHUNK_BYTES.get(device.type, CHUNK_BYTES["cpu"])
    return max(16, budget // (4 * vocabulary) // 16 * 16)


def _has_wide_matmul(device: str) -> bool:
    ones = torch.ones(16, 16, device=device, dtype=torch.bfloat16)
    try:
        return torch.mm(ones, ones, out_dtype=torch.float32).dtype == torch.float32
    except (RuntimeError, TypeError, NotImplementedError):
        return False


def _has_varlen(device: str) -> bool:
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return False
    ones = torch.ones(16, 1, 64, device=device, dtype=torch.bfloat16)
    ends = torch.tensor([0, 8, 16], device=device, dtype=torch.int32)
    try:
        out = varlen_attn(ones, ones, ones, ends, ends, 8, 8, window_size=(-1, 0))
    except (RuntimeError, NotImplementedError):
        return False
    return isinstance(out, torch.Tensor) and bool(torch.isfinite(out).all())
