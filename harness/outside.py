"""The boundary to code from outside: what it raises becomes one line that names it.

What such code says to the user on purpose (`HarnessError`, `EnvError`) keeps its words. How things
from outside are found and loaded is in `sad_envs.plugins`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.errors import HarnessError
from sad_envs.base import EnvError
from sad_envs.plugins import Kind, find_plugin, is_target, list_plugins, load_target, reason


@contextmanager
def foreign(what: str) -> Iterator[None]:
    """Run a block of code from outside; whatever it raises is a `HarnessError` of one line."""
    try:
        yield
    except HarnessError:
        raise
    except EnvError as error:
        raise HarnessError(str(error)) from error
    except (Exception, SystemExit) as error:
        raise HarnessError(f"{what} failed: {reason(error)}") from error


def find_outside(kind: Kind, name: str) -> Any | None:
    """The object behind an entry point's name or a target; None when `name` is neither.

    Raises:
        HarnessError: when it is one, but cannot be loaded.
    """
    with foreign(f"{kind} {name!r}"):
        plugin = find_plugin(kind, name)
        if plugin is not None:
            return plugin.load()
        return load_target(name) if is_target(name) else None


def names_outside(kind: Kind) -> list[str]:
    """The names that installed packages give to things of this kind."""
    return [plugin.name for plugin in list_plugins(kind)]


def make_outside(what: str, factory: Any, *arguments: Any, **options: Any) -> Any:
    """Call a class or function from outside, after a look at what it takes.

    Raises:
        HarnessError: when it cannot be called with these, or raises.
    """
    if not callable(factory):
        raise HarnessError(f"{what} is {type(factory).__name__}; expected a class or a function")
    try:
        inspect.signature(factory).bind(*arguments, **options)
    except TypeError as error:
        given = ", ".join([*map(repr, arguments), *sorted(options)]) or "no options"
        raise HarnessError(f"{what} cannot be made with {given}: {error}") from error
    except ValueError:
        pass  # written in C, it does not say
    with foreign(what):
        return factory(*arguments, **options)
