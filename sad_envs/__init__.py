"""Text tasks as Gymnasium environments: ALFWorld, and how to add another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sad_envs.base import (
        AnyText,
        Beginning,
        Consequence,
        EnvError,
        Example,
        Info,
        Policy,
        PromptParts,
        TextTaskEnv,
    )
    from sad_envs.registration import register_envs

__all__ = [
    "AnyText",
    "Beginning",
    "Consequence",
    "EnvError",
    "Example",
    "Info",
    "Policy",
    "PromptParts",
    "TextTaskEnv",
    "register_envs",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'sad_envs' has no attribute {name!r}")
    from importlib import import_module

    module = "sad_envs.registration" if name == "register_envs" else "sad_envs.base"
    return getattr(import_module(module), name)
