"""Language models behind one protocol, named by a spec: `smollm2`, `hf:…`, `scripted:…`.

Importing this package imports no model library; that happens when a model is loaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.models.base import (
        Completion,
        Message,
        Model,
        Request,
        Sampling,
        ScoreRequest,
        Scores,
        ScoringModel,
    )
    from harness.models.registry import load_model

__all__ = [
    "Completion",
    "Message",
    "Model",
    "Request",
    "Sampling",
    "ScoreRequest",
    "Scores",
    "ScoringModel",
    "load_model",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'harness.models' has no attribute {name!r}")
    module = "registry" if name == "load_model" else "base"
    return getattr(import_module(f"harness.models.{module}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
