"""A training as one validated object; the files in `recipes/` and `--set` fill it.

A recipe is TOML. `extends` names another recipe whose keys it inherits, so that an ablation states
only what it changes. Unknown keys are refused with a suggestion; what keys there are and what they
mean is in the fields' descriptions, from which `recipe_table` makes the documentation.

Only names and numbers are held here. What they stand for is built by the modules that own it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import HarnessError

FOLDER = Path(__file__).parent / "recipes"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSection(_Section):
    """Which recorded episodes are used."""

    outcomes: tuple[str, ...] = Field(default=("success",), description="Outcomes to train on.")
    min_score: float = Field(default=0.0, ge=0, le=1, description="Lowest score to train on.")
    envs: tuple[str, ...] = Field(default=(), description="Environments to keep; empty for all.")
    agents: tuple[str, ...] = Field(default=(), description="Agents to keep; empty for all.")
    limit: int | None = Field(
        default=None, ge=1, description="First N selected episodes of each run."
    )
    weights: dict[str, float] = Field(
        default={}, description="Factor in the loss, by environment or by name of the run's folder."
    )
    hold_out: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of tasks kept from training, to measure agreement on.",
    )
    eval_splits: tuple[str, ...] = Field(
        default=(), description="Splits that may not be trained on, besides those named as such."
    )


class FormatSection(_Section):
    """How a transcript becomes text; must be what the student is run with."""

    template: Literal["auto", "plain", "chat"] = Field(
        default="auto",
        description="`chat` uses the tokenizer's template; `auto` does if it has one.",
    )
    history: Literal["auto", "full", "last-k-turns"] = Field(
        default="auto", description="`auto` is last-k-turns for students of up to 2,048 positions."
    )
    last_k: int = Field(default=10, ge=1, description="Turns kept by last-k-turns.")
    max_length: int | None = Field(
        default=None, ge=16, description="Positions; by default those of the student."
    )
    reserve: int = Field(
        default=160, ge=1, description="Positions kept free for a turn at inference."
    )


class SpansSection(_Section):
    """Which tokens are supervised, and what each span weighs."""

    scheme: str | dict[str, tuple[str, ...]] = Field(
        default="reason-act",
        description="`reason-act`, `generated`, `all`, `reason`, `act`, `random`, or a table of "
        "span names and the kinds in them (reason, act, observation, template).",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the scheme `random`.")
    weights: dict[str, float] = Field(
        default={}, description="λ of each span, by name; 1 where nothing is said."
    )
    normalise: Literal["span", "none"] = Field(
        default="span", description="`span` divides by the rows of a span, `none` by all rows."
    )


class DivergenceSection(_Section):
    """How the student's distribution is compared with the teacher's."""

    kind: Literal["fkl", "rkl", "jsd", "sfkl", "srkl", "ce"] = Field(
        default="fkl",
        description="Forward or reverse KL, generalised JSD, skewed KLs, cross-entropy.",
    )
    beta: float = Field(
        default=0.5, gt=0, lt=1, description="Weight of the teacher in jsd's mixture."
    )
    alpha: float = Field(default=0.1, gt=0, lt=1, description="Skew of sfkl and srkl.")
    temperature: float = Field(default=1.0, gt=0, description="Divides the logits of both models.")
    candidates: bool = Field(
        default=False,
        description="The action term is the KL between the likelihoods that both models give the "
        "admissible actions, instead of token by token.",
    )
    cross_tokenizer: bool = Field(
        default=False, description="Allow teacher and student with different tokenizers."
    )


class TeacherSection(_Section):
    """Where the teacher's distributions come from."""

    spec: str | None = Field(default=None, description="Model spec of the teacher; --teacher wins.")
    source: Literal["online", "cached", "top-k"] = Field(
        default="online", description="Run it on every batch, or keep its states or top k on disk."
    )
    top_k: int = Field(default=64, ge=1, description="Tokens kept by top-k, besides the tail.")


class StudentSection(_Section):
    """What is trained."""

    spec: str | None = Field(default=None, description="Student spec; --student wins.")
    lora_rank: int = Field(
        default=0, ge=0, description="Rank of LoRA adapters; 0 trains all weights."
    )
    lora_alpha: float = Field(default=16.0, gt=0, description="Scale of LoRA adapters.")
    vocabulary: int = Field(
        default=3000, ge=300, le=65536, description="Tokens of the tokenizer of a nano student."
    )


class CurriculumSection(_Section):
    """In which order trajectories are met."""

    order: Literal["easy-first", "hard-first", "none"] = Field(
        default="none", description="By difficulty, its reverse, or shuffled every epoch."
    )
    alpha: float = Field(default=1.0, description="Weight of reason tokens in the difficulty.")
    beta: float = Field(default=1.0, description="Weight of act tokens.")
    gamma: float = Field(default=0.0, description="Weight of the teacher's mean entropy, in nats.")
    pacing: Literal["sorted", "linear", "root"] = Field(
        default="sorted", description="Sorted every epoch, or a share of the easiest that grows."
    )
    start: float = Field(default=0.2, gt=0, le=1, description="Share at the beginning.")
    until: float = Field(
        default=0.5, gt=0, le=1, description="Share of training until all are there."
    )


class OnPolicySection(_Section):
    """Rollouts of the student that the teacher scores."""

    share: float = Field(
        default=0.0, ge=0, le=1, description="Share of steps on the student's rollouts."
    )
    refresh: int = Field(default=50, ge=1, description="Optimiser steps between collections.")
    episodes: int = Field(default=32, ge=1, description="Episodes per collection.")
    temperature: float = Field(default=1.0, ge=0, description="Of the student's sampling.")
    replay: bool = Field(
        default=True,
        description="Begin with the teacher's turns, and let the student act after them.",
    )
    depth_start: int = Field(
        default=1, ge=1, description="Turns the student writes at the beginning."
    )
    depth_end: int = Field(default=50, ge=1, description="Turns it writes at the end of training.")
    env: str | None = Field(default=None, description="Environment; by default that of the runs.")
    split: str | None = Field(default=None, description="Split; by default that of the runs.")


class TrainingSection(_Section):
    """The optimiser's side."""

    epochs: int = Field(default=3, ge=1, description="Passes over the data.")
    max_steps: int | None = Field(default=None, ge=1, description="Optimiser steps, if fewer.")
    minutes: float | None = Field(default=None, gt=0, description="Wall time, if less.")
    pack_length: int | None = Field(
        default=None,
        ge=16,
        description="Tokens of a packed row; by default the longest sequence's.",
    )
    rows: int = Field(default=1, ge=1, description="Packed rows of a micro-batch.")
    accumulation: int = Field(default=1, ge=1, description="Micro-batches of an optimiser step.")
    pool: int = Field(default=256, ge=1, description="Sequences packed together; keeps an order.")
    learning_rate: float = Field(default=5e-5, gt=0, description="Peak learning rate.")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        default="cosine", description="After the warm-up."
    )
    warmup: float = Field(default=0.05, ge=0, lt=1, description="Share of steps of linear warm-up.")
    final: float = Field(default=0.1, ge=0, le=1, description="Final share of the learning rate.")
    weight_decay: float = Field(
        default=0.01, ge=0, description="Of matrices; not of biases and norms."
    )
    beta1: float = Field(default=0.9, ge=0, lt=1, description="First moment of AdamW.")
    beta2: float = Field(default=0.95, ge=0, lt=1, description="Second moment of AdamW.")
    clip: float = Field(default=1.0, ge=0, description="Largest norm of the gradient; 0 for any.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="Of the forward passes; weights stay float32."
    )
    gradient_checkpointing: bool = Field(default=False, description="Trade time for memory.")
    compile: bool = Field(default=False, description="Compile the student with torch.compile.")
    seed: int = Field(default=0, ge=0, description="Of weights, order and dropout.")
    log_every: int = Field(default=10, ge=1, description="Steps between lines of metrics.")
    save_every: int | None = Field(default=None, ge=1, description="Steps between checkpoints.")
    rollouts_every: int | None = Field(default=None, ge=1, description="Steps between evaluations.")


class Recipe(_Section):
    """One training.

    Attributes:
        method: the name under which its student appears on a board.
        ladder: for a family of students, their specs in order of size.
        architectures: configurations by model spec, so that sizes are known without weights.
    """

    description: str = Field(default="", description="What the recipe is, in a sentence.")
    method: str = Field(description="Name of the method on a board.")
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
        _override(settings, pair)
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
    return _merged(_read(source, (*above, name)), settings)


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


def _override(settings: dict[str, Any], pair: str) -> None:
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
    return f"{path} is {first['input']!r}: {first['msg']}"


def _key_hint(path: str) -> str:
    from sad_envs.base import did_you_mean

    known = [key for key, _, _ in recipe_table()]
    leaves = [key for key in known if key.rpartition(".")[2] == path.rpartition(".")[2]]
    return f"; did you mean {leaves[0]!r}?" if leaves else did_you_mean(path, known)


def _hint(scheme: str) -> str:
    from sad_envs.base import did_you_mean

    return did_you_mean(scheme, SCHEME_SPANS)
