"""Devices and how fast they are: dense bfloat16 peak and memory, from their data sheets.

A dry run asks by name (`--gpu`), a training by what the driver calls the device it runs on.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import torch

from harness.errors import HarnessError


@dataclass(frozen=True)
class Gpu:
    """A device.

    Attributes:
        name: for people.
        peak: dense floating-point operations per second, bfloat16 with float32 accumulation; on a
            CPU those of a large float32 product.
        memory: bytes.
        reported: what the driver's name of the device has in it.
        precision: of the forward passes; None for float32.
    """

    name: str
    peak: float
    memory: float
    reported: str
    precision: torch.dtype | None = torch.bfloat16


GPUS = {
    # NVIDIA H100 Tensor Core GPU data sheet, SXM: 1,979 with sparsity.
    "h100": Gpu("H100 SXM 80 GB", 989.4e12, 80e9, "H100"),
    # NVIDIA H200 Tensor Core GPU data sheet, SXM: 1,979 with sparsity.
    "h200": Gpu("H200 SXM 141 GB", 989.4e12, 141e9, "H200"),
    # NVIDIA H100 Tensor Core GPU data sheet, PCIe: 1,513 with sparsity.
    "h100-pcie": Gpu("H100 PCIe 80 GB", 756e12, 80e9, "H100 PCIe"),
    # NVIDIA A100 Tensor Core GPU data sheet.
    "a100-80gb": Gpu("A100 80 GB", 312e12, 80e9, "A100"),
    "a100-40gb": Gpu("A100 40 GB", 312e12, 40e9, "A100"),
    # NVIDIA L40S data sheet: 733 with sparsity.
    "l40s": Gpu("L40S 48 GB", 362.05e12, 48e9, "L40S"),
    # NVIDIA L4 data sheet: 242 with sparsity. NVIDIA A10 data sheet.
    "l4": Gpu("L4 24 GB", 121e12, 24e9, "L4"),
    "a10": Gpu("A10 24 GB", 125e12, 24e9, "A10"),
    # NVIDIA Ada GPU architecture whitepaper, appendix A: bfloat16 with float32 accumulation.
    "rtx4090": Gpu("RTX 4090 24 GB", 165.2e12, 24e9, "RTX 4090"),
    # NVIDIA DGX B200 data sheet, an eighth of it: 1,440 GB, and 36 PFLOPS with sparsity.
    "b200": Gpu("B200 180 GB", 2250e12, 180e9, "B200"),
    # AMD Instinct MI300X data sheet.
    "mi300x": Gpu("MI300X 192 GB", 1307.4e12, 192e9, "MI300X"),
}
"""By name; of several whose `reported` is in a driver's name, the longest counts."""


def find_gpu(name: str) -> Gpu:
    """The device of a name; `cpu` is this machine, its peak measured now.

    Raises:
        HarnessError: it is not known.
    """
    if name == "cpu":
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        peak = peak_rate(torch.device("cpu"), None) or 0.0
        return Gpu(f"this CPU, {torch.get_num_threads()} threads", peak, memory, "", None)
    if name.lower() not in GPUS:
        from sad_envs.base import did_you_mean

        known = ", ".join([*GPUS, "cpu"])
        raise HarnessError(f"--gpu is {name!r}; expected {known}{did_you_mean(name, GPUS)}")
    return GPUS[name.lower()]


def peak_rate(
    device: torch.device, precision: torch.dtype | None, processes: int = 1
) -> float | None:
    """Floating-point operations per second of all processes; None where unknown.

    Args:
        precision: that of autocast, None for float32.
        processes: how many train together; on CPUs they share one, whose rate is not measured.
    """
    if device.type == "cuda":
        if precision is None:
            return None
        name = torch.cuda.get_device_name(device)
        fitting = [gpu for gpu in GPUS.values() if gpu.reported in name]
        found = max(fitting, key=lambda gpu: len(gpu.reported), default=None)
        return found.peak * processes if found else None
    alone = device.type == "cpu" and precision is None and processes == 1
    return _product_rate() if alone else None


def _product_rate(size: int = 1024, tries: int = 5) -> float:
    left, right = torch.ones(2, size, size)
    best = float("inf")
    for _ in range(tries):
        began = time.perf_counter()
        torch.mm(left, right)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best
