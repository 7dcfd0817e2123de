"""Recorded episodes in, a smaller student checkpoint out.

Names are looked up when they are used, so that importing the package imports neither torch nor
transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    name: module
    for module, names in {
        "curriculum": ("Curriculum", "difficulty", "training_order"),
        "data": ("Dataset", "Evaluation", "Selection", "is_evaluation_split", "load_dataset"),
        "own_tokenizer": ("train_tokenizer",),
        "pack": ("PackedBatch", "batches", "collate", "pack_lengths"),
        "pruning": ("prune_depth", "prune_width"),
        "recipes": ("Recipe", "load_recipe", "recipe_names"),
        "spans": ("Example", "SpanScheme", "SpanStatistics", "make_examples", "make_scheme"),
        "students": ("Student", "TeacherParts", "make_student"),
    }.items()
    for name in names
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
