"""Low-rank adapters on a student's body, through `peft`.

Every linear layer but the head gets one. The finished student has them merged into its weights, so
that it loads as any other; the adapter alone is kept beside it in `adapter/`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from harness.errors import HarnessError
from harness.models.loading import quiet
from sad_distill.students import Student

ADAPTER = "adapter"


def add_lora(student: Student, rank: int, alpha: float, seed: int) -> Student:
    """The student with adapters, its own weights frozen.

    Raises:
        HarnessError: peft is not installed.
    """
    if find_spec("peft") is None:
        raise HarnessError(
            f"student.lora_rank is {rank}, which needs peft: "
            "pip install 'structured-agent-distillation[distill]'"
        )
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="fan_in_fan_out")
        before = torch.random.get_rng_state()
        torch.manual_seed(seed)
        model = get_peft_model(student.model, config)
        torch.random.set_rng_state(before)
    return replace(student, model=model)


def is_adapted(model: Any) -> bool:
    """Whether a model carries adapters."""
    return hasattr(model, "get_base_model")


def merge(model: Any, out: Path, weights: Mapping[str, Any] | None = None) -> Any:
    """The model with its adapters merged in; they are written to `out` first.

    Args:
        weights: its state, where the model itself has only a part of it.
    """
    if weights is not None:
        model = _gathered(model, weights)
    model.save_pretrained(out / ADAPTER)
    return model.merge_and_unload()


def _gathered(model: Any, weights: Mapping[str, Any]) -> Any:
    """A model of the same shape and adapters with its whole state, on the CPU."""
    from peft import get_peft_model

    inner = model.get_base_model()
    # Only the weights' places are needed: no memory until they are assigned.
    with torch.device("meta"), quiet():
        whole = get_peft_model(type(inner)(inner.config), model.peft_config["default"])
    whole.load_state_dict(dict(weights), strict=False, assign=True)
    whole.get_base_model().tie_weights()
    return whole
