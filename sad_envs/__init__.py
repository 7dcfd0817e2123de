"""Text tasks as Gymnasium environments: ALFWorld, and how to add another.

Importing this package registers the ids with Gymnasium, so `import sad_envs` and
`gymnasium.make("sad/ALFWorld-v1")` is all it takes; environments themselves load when made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sad_envs.registration import register_envs

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
    from sad_envs.wrap import WrappedEnv

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
    "WrappedEnv",
    "register_envs",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'sad_envs' has no attribute {name!r}")
    from importlib import import_module

    module = "sad_envs.wrap" if name == "WrappedEnv" else "sad_envs.base"
    return getattr(import_module(module), name)


register_envs()
