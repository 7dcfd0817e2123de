"""Recorded episodes in, a smaller student checkpoint out.

Names are looked up when they are used, so that importing the package imports neither torch nor
transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Example": "spans",
    "SpanScheme": "spans",
    "SpanStatistics": "spans",
    "make_examples": "spans",
    "make_scheme": "spans",
    "PackedBatch": "pack",
    "batches": "pack",
    "collate": "pack",
    "pack_lengths": "pack",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
