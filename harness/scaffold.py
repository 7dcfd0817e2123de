"""A new environment as a package that works: what `harness env new` writes.

The package is an example that passes every check, to be changed file by file. It promises to write
nothing when the name or the place will not do.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

from harness.errors import HarnessError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SUFFIX = ".jinja"


def write_environment(name: str, parent: Path) -> Path:
    """Write the package `name` into a new folder of that name in `parent`; the folder.

    Raises:
        HarnessError: when `name` will not do, or the folder is there or cannot be written.
    """
    folder = parent / name
    if folder.exists():
        raise HarnessError(f"{folder} exists; choose another name, or --dir for another place")
    check_name(name)
    files = dict(_render(name))
    try:
        for path, text in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"cannot write {folder}: {error.strerror}") from error
    return folder


def check_name(name: str) -> None:
    """Raise unless `name` can be both a new Python package and an environment's short name."""
    from harness.environments import ALIASES
    from harness.outside import names_outside

    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        near = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40]
        hint = f"; for example {near}" if _NAME.fullmatch(near) and near != name else ""
        raise HarnessError(
            f"{name!r} cannot be the name of a package; expected at most 40 lower-case letters, "
            f"digits and _, a letter first{hint}"
        )
    if name in ALIASES or name in names_outside("environment"):
        raise HarnessError(f"there is an environment {name!r} already; choose another name")
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        raise HarnessError(f"there is a Python module {name!r} already; choose another name")


def _render(name: str) -> Iterator[tuple[PurePosixPath, str]]:
    from jinja2 import Environment, StrictUndefined

    renderer = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    words = "".join(part.capitalize() for part in name.split("_"))
    for path, source in _templates(resources.files("harness") / "templates" / "environment"):
        text = renderer.from_string(source).render(name=name, class_name=f"{words}Env")
        parts = [{"package": name, "test_package.py": f"test_{name}.py"}.get(p, p) for p in path]
        yield PurePosixPath(*parts), text


def _templates(folder: Traversable, *above: str) -> Iterator[tuple[tuple[str, ...], str]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _templates(entry, *above, entry.name)
        elif entry.name.endswith(_SUFFIX):
            name = entry.name.removesuffix(_SUFFIX)
            yield (*above, name), entry.read_text(encoding="utf-8")
