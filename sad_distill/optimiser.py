"""The optimiser and its learning rate.

AdamW in float32, fused where the device has that form. Matrices are decayed; biases, norms and
other vectors are not. The learning rate is a function of the share of the training that is done,
so that a training bounded by time anneals as one bounded by steps does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from sad_distill.recipe_sections import TrainingSection
from sad_distill.recipes import Recipe

SCRATCH_PEAK, LORA_PEAK, PRETRAINED_PEAK = 3e-3, 2e-4, 5e-5
SCRATCH_WIDTH = 192
"""Width up to which weights drawn at random bear `SCRATCH_PEAK`; above it, less in proportion."""


def make_optimiser(module: nn.Module, settings: TrainingSection, peak: float) -> torch.optim.AdamW:
    """AdamW over the parameters of `module` that require a gradient; `peak` learning rate."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=peak,
        betas=(settings.beta1, settings.beta2),
        fused=trained[0].device.type in ("cuda", "cpu"),
    )


def peak_learning_rate(recipe: Recipe, *, scratch_width: int | None) -> float:
    """The peak of a recipe, or what suits the student where it names none.

    Args:
        scratch_width: size of the hidden states of a student from scratch; None for one that is
            pretrained.
    """
    named = recipe.training.learning_rate
    if named is not None:
        return named
    if recipe.student.lora_rank:
        return LORA_PEAK
    if scratch_width is None:
        return PRETRAINED_PEAK
    return SCRATCH_PEAK * min(1.0, SCRATCH_WIDTH / scratch_width)


def learning_rate(settings: TrainingSection, peak: float, done: float) -> float:
    """The learning rate when the share `done` of the training, 0 to 1, lies behind.

    Linear from 0 over the warm-up, then `schedule` down to `final` times the peak.
    """
    if done < settings.warmup:
        return peak * done / settings.warmup
    if settings.schedule == "constant":
        return peak
    left = max(0.0, 1 - (done - settings.warmup) / (1 - settings.warmup))
    shape = left if settings.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * (1 - left)))
    return peak * (settings.final + (1 - settings.final) * shape)


def clip_gradients(parameters: Iterable[nn.Parameter], largest: float) -> torch.Tensor:
    """Scale gradients to a norm of at most `largest` (0 for any); the norm before, a scalar."""
    norm: Any = nn.utils.clip_grad_norm_(parameters, largest if largest > 0 else math.inf)
    whole: torch.Tensor = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return whole
