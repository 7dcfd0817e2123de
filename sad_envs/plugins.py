"""Environments, agents and models from outside this project: where they are, and how they load.

There are two ways to name something from outside. A package declares an entry point, and its name
is then as good as a built-in one; or a target says where the object is: `module:attr`, or a file as
`path/to/file.py:attr`.

It promises that listing entry points imports none of them; that whatever a foreign module does when
it is imported, even ending the process, becomes a `PluginError` of one line that says whose it is
and why; and that a module which failed is not run a second time, its reason is repeated. It refuses
to choose between two packages that declare the same name.

A file is imported once per content under a name of its own, so two files of one name do not meet.
The folder of a target's file is appended to `sys.path`, for the modules beside it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

from sad_envs.base import EnvError, did_you_mean

Kind = Literal["environment", "agent", "model"]

GROUPS: dict[Kind, str] = {
    "environment": "sad_envs",
    "agent": "harness.agents",
    "model": "harness.models",
}
"""What a plugin is to the entry-point group it is declared in."""

KINDS: tuple[Kind, ...] = get_args(Kind)

_failed: dict[str, str] = {}
"""Module or file to why importing it failed: a half-run module is not run again."""


class PluginError(EnvError):
    """Something from outside cannot be found or loaded; the message is one line."""


@dataclass(frozen=True)
class Plugin:
    """One declared entry point. Nothing of it is imported yet.

    Attributes:
        name: what it is called on the command line.
        target: where it is, as `module:attr`.
        distribution, version: the installed package that declares it.
    """

    kind: Kind
    name: str
    target: str
    distribution: str
    version: str

    @property
    def source(self) -> str:
        """The package and its version, for messages."""
        return f"{self.distribution} {self.version}".strip()

    def load(self) -> Any:
        """Import what the entry point names.

        Raises:
            PluginError: when that fails; a second call repeats the reason.
        """
        try:
            return load_target(self.target)
        except PluginError as error:
            raise PluginError(
                f"{self.kind} {self.name!r} from {self.source} cannot be used: {error}"
            ) from error


def list_plugins(kind: Kind) -> tuple[Plugin, ...]:
    """The entry points of `kind` that installed packages declare, by name."""
    found = (_plugin(kind, entry) for entry in entry_points(group=GROUPS[kind]))
    return tuple(sorted(found, key=lambda plugin: (plugin.name, plugin.source)))


def find_plugin(kind: Kind, name: str) -> Plugin | None:
    """The entry point called `name`; None when no package declares it.

    Raises:
        PluginError: when several packages do.
    """
    found = [plugin for plugin in list_plugins(kind) if plugin.name == name]
    if len(found) > 1:
        raise PluginError(
            f"{kind} {name!r} is declared by {' and by '.join(p.source for p in found)}; "
            f"say which one: {' or '.join(p.target for p in found)}"
        )
    return found[0] if found else None


def is_target(text: str) -> bool:
    """Whether `text` can only be meant as `module:attr` or as a file."""
    return ":" in text or text.endswith(".py")


def absolute_target(target: str) -> str:
    """`target` as it can be loaded from any folder: the path of a file made absolute."""
    where, attribute = _parse(target)
    if where.endswith(".py"):
        where = str(Path(where).expanduser().resolve())
    return f"{where}:{attribute}"


def load_target(target: str) -> Any:
    """The object that `module:attr` or `path/to/file.py:attr` names; `attr` may have dots.

    Raises:
        PluginError: when there is none, or importing it fails.
    """
    where, attribute = _parse(target)
    if where.endswith(".py"):
        folder = str(Path(where).expanduser().resolve().parent)
        if folder not in sys.path:
            sys.path.append(folder)
        module = load_file(Path(where))
    else:
        module = _load_module(where)
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            names = [name for name in dir(found) if not name.startswith("_")]
            raise PluginError(f"{where} has no {attribute!r}{did_you_mean(part, names)}") from error
        except Exception as error:  # a lazy module imports only now
            raise PluginError(f"{target} failed to load: {reason(error)}") from error
    return found


def load_file(path: Path) -> ModuleType:
    """The module that a Python file is, imported once per content.

    Raises:
        PluginError: when it cannot be read or fails to load.
    """
    shown, path = path, path.expanduser().resolve()
    try:
        code = path.read_bytes()
    except OSError as error:
        raise PluginError(f"cannot read {shown}: {error.strerror}") from error
    digest = hashlib.sha256(str(path).encode() + b"\0" + code).hexdigest()[:12]
    name = f"sad_file_{digest}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    loader, module = spec.loader, importlib.util.module_from_spec(spec)

    def run() -> ModuleType:
        # Known before it runs: dataclasses and pickle look their module up.
        sys.modules[name] = module
        try:
            loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    return _import(name, str(shown), run)


def _plugin(kind: Kind, entry: EntryPoint) -> Plugin:
    where = entry.dist
    return Plugin(
        kind=kind,
        name=entry.name,
        # Spaces and extras are allowed there, and say nothing about where the object is.
        target="".join(entry.value.partition("[")[0].split()),
        distribution=where.name if where is not None else "an unknown package",
        version=where.version if where is not None else "",
    )


def _parse(target: str) -> tuple[str, str]:
    where, colon, attribute = target.rpartition(":")
    named = all(part.isidentifier() for part in attribute.split("."))
    if colon and named and where.endswith(".py"):
        return where, attribute
    if colon and named and all(part.isidentifier() for part in where.split(".")):
        return where, attribute
    raise PluginError(f"{target!r} names nothing; expected module:attr or path/to/file.py:attr")


def _load_module(name: str) -> ModuleType:
    try:
        return _import(name, f"module {name}", lambda: importlib.import_module(name))
    except PluginError as error:
        cause = error.__cause__
        if not isinstance(cause, ModuleNotFoundError) or not _is_or_holds(cause.name, name):
            raise
        # It may be installed or come into being later, so this is not kept.
        _failed.pop(name, None)
        file = Path(*name.split(".")).with_suffix(".py")
        hint = f"; for the file here, write {file}:…" if file.is_file() else ""
        raise PluginError(f"there is no module {cause.name!r} to import{hint}") from cause


def _is_or_holds(missing: str | None, name: str) -> bool:
    return missing is not None and f"{name}.".startswith(f"{missing}.")


def _import(key: str, what: str, run: Callable[[], ModuleType]) -> ModuleType:
    """Run someone else's module; whatever it raises becomes one line, kept under `key`."""
    if key in _failed:
        raise PluginError(_failed[key])
    try:
        return run()
    except (Exception, SystemExit) as error:
        _failed[key] = f"{what} failed to load: {reason(error)}"
        raise PluginError(_failed[key]) from error


def reason(error: BaseException) -> str:
    """What foreign code raised, in one line: type, first line, and where."""
    line = next(iter(str(error).splitlines()), "")
    said = f"{type(error).__name__}: {line}" if line else type(error).__name__
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen") and frame.filename != __file__
    ]
    if isinstance(error, SyntaxError) or not frames:
        return said
    return f"{said} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
