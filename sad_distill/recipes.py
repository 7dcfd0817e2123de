"""A training as one validated object; the files in `recipes/` and `--set` fill it.

A recipe is TOML. `extends` names another recipe whose keys it inherits, so that an ablation states
only what it changes. Unknown keys are refused with a suggestion; what keys there are and what they
mean is in the fields' descriptions, from which `recipe_table` makes the documentation.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from harness.errors import HarnessError
from sad_distill.recipe_sections import (
    CurriculumSection,
    DataSection,
    DivergenceSection,
    FormatSection,
    OnPolicySection,
    Section,
    SpansSection,
    StudentSection,
    TeacherSection,
    TrainingSection,
)

FOLDER = Path(__file__).parent / "recipes"


class Recipe(Section):
    """One training.

    Attributes:
        method: the name under which its student appears on a board.
        ladder: for a family of students, their specs in order of size.
        architectures: configurations by model spec, so that sizes are known without weights.
    """

    description: str = Field(default="", description="What the recipe is, in a sentence.")
    method: str = Field(min_length=1, description="Name of the method on a board.")
    extends: str | None = Field(default=None, description="Recipe whose keys are inherited.")
    ladder: tuple[str, ...] = Field(default=(), description="Specs of the students of a family.")
    architectures: dict[str, dict[str, Any]] = Field(
        default={},
        description="Configurations by model spec, to size models without their weights.",
    )
    data: DataSection = DataSection()
    format: FormatSection = FormatSection()
    spans: SpansSection = SpansSection()
    divergence: DivergenceSection = DivergenceSection()
    teacher: TeacherSection = TeacherSection()
    student: StudentSection = StudentSection()
    curriculum: CurriculumSection = CurriculumSection()
    on_policy: OnPolicySection = OnPolicySection()
    training: TrainingSection = TrainingSection()

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if isinstance(self.spans.scheme, str):
            names = SCHEME_SPANS.get(self.spans.scheme)
            if names is None:
                raise ValueError(f"spans.scheme is {self.spans.scheme!r}{_hint(self.spans.scheme)}")
        else:
            names = tuple(self.spans.scheme)
        for name, weight in self.spans.weights.items():
            if name not in names:
                raise ValueError(f"spans.weights has {name!r}; the spans are {', '.join(names)}")
            if weight < 0:
                raise ValueError(f"spans.weights.{name} is {weight}; expected 0 or more")
        if self.divergence.candidates and "act" not in names:
            raise ValueError("divergence.candidates needs a span named 'act'")
        if self.divergence.kind == "ce" and self.on_policy.share:
            raise ValueError("divergence.kind 'ce' cannot score the student's own rollouts")
        return self

    @property
    def span_weights(self) -> dict[str, float]:
        """λ of every span, in the order of the spans' numbers."""
        scheme = self.spans.scheme
        names = SCHEME_SPANS[scheme] if isinstance(scheme, str) else tuple(scheme)
        return {name: self.spans.weights.get(name, 1.0) for name in names}

    def dump(self) -> dict[str, Any]:
        """Every setting, as plain data for a checkpoint's record."""
        return self.model_dump(mode="json")


SCHEME_SPANS = {
    "reason-act": ("reason", "act"),
    "generated": ("generated",),
    "all": ("all",),
    "reason": ("reason",),
    "act": ("act",),
    "random": ("random-reason", "random-act"),
}
"""Names of the spans of each preset of `sad_distill.spans`."""


def recipe_names() -> list[str]:
    """Names of the recipes that come along."""
    return sorted(
        path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.toml")
    )


def load_recipe(name: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a name or of a TOML file, with `key=value` pairs over it.

    Args:
        name: one of `recipe_names()`, or the path of a file.
        overrides: pairs such as `spans.weights.act=2` or `training.epochs=1`; values are read as
            JSON where they are JSON, and as text otherwise.

    Raises:
        HarnessError: there is no such recipe, or a key or value is wrong.
    """
    settings = _read(str(name), ())
    for pair in overrides:
        override(settings, pair)
    return make_recipe(settings, str(name))


def make_recipe(settings: Mapping[str, Any], name: str = "the recipe") -> Recipe:
    """Validate settings; the first problem becomes one line."""
    try:
        return Recipe.model_validate(dict(settings))
    except ValidationError as error:
        raise HarnessError(f"{name}: {_problem(error)}") from error


def recipe_table() -> list[tuple[str, str, str]]:
    """For every key: its name, its default, what it means."""
    return list(_rows(Recipe, ""))


def _rows(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _rows(kind, f"{prefix}{name}.")
            continue
        default = "required" if field.is_required() else json.dumps(field.default)
        yield f"{prefix}{name}", default, field.description or ""


def _read(name: str, above: tuple[str, ...]) -> dict[str, Any]:
    """The settings of a recipe with what it inherits."""
    if name in above:
        raise HarnessError(f"recipes extend each other in a circle: {' -> '.join((*above, name))}")
    known = FOLDER / f"{name}.toml"
    path = known if name in recipe_names() else Path(name).expanduser()
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        from sad_envs.base import did_you_mean

        raise HarnessError(
            f"there is no recipe {name!r}{did_you_mean(name, recipe_names())}"
        ) from error
    except (OSError, ValueError) as error:
        raise HarnessError(f"cannot read the recipe {path}: {error}") from error
    base = settings.get("extends")
    if base is None:
        return settings
    beside = path.parent / f"{base}.toml"
    source = str(base) if base in recipe_names() or not beside.is_file() else str(beside)
    inherited = _read(source, (*above, name))
    # A recipe that forgets to name its method must not pass for the one it changes.
    for key in ("description", "method", "extends"):
        inherited.pop(key, None)
    return _merged(inherited, settings)


REPLACED = ("scheme", "weights", "architectures")
"""Tables that a recipe states whole: they are replaced, not merged, when it extends another."""


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(value, dict) and isinstance(below, dict) and key not in REPLACED:
            result[key] = _merged(below, value)
        else:
            result[key] = value
    return result


def override(settings: dict[str, Any], pair: str) -> None:
    """Set one `key=value` pair, in place.

    Raises:
        HarnessError: it is no such pair.
    """
    key, equals, text = pair.partition("=")
    names = key.split(".")
    if not equals or not all(names):
        raise HarnessError(f"--set is {pair!r}; expected KEY=VALUE, such as training.epochs=1")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    place = settings
    for name in names[:-1]:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise HarnessError(f"--set is {pair!r}, but {name!r} is no table of settings")
    place[names[-1]] = value


def _problem(error: ValidationError) -> str:
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {path!r}{_key_hint(path)}"
    if first["type"] == "missing":
        return f"the key {path!r} is missing"
    if first["type"] == "value_error":
        return str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "tuple_type":
        example = json.dumps([str(first["input"])])
        return f"{path} is {first['input']!r}; expected a list, such as {example}"
    if first["type"] in ("model_type", "dict_type"):
        return f"{path} is {first['input']!r}; expected a table of settings, such as {path}.KEY"
    return f"{path} is {first['input']!r}: {first['msg']}"


def _key_hint(path: str) -> str:
    from sad_envs.base import did_you_mean

    known = [key for key, _, _ in recipe_table()]
    leaves = [key for key in known if key.rpartition(".")[2] == path.rpartition(".")[2]]
    if leaves:
        return f"; did you mean {leaves[0]!r}?"
    sections = {key.partition(".")[0] for key in known if "." in key}
    return did_you_mean(path, known if "." in path else [*sections, *known], most=1)


def _hint(scheme: str) -> str:
    from sad_envs.base import did_you_mean

    return did_you_mean(scheme, SCHEME_SPANS)
