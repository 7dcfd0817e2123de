"""The cells of the board: every command that is run for it, in order of information.

A cell is one command of the product and the file that shows it is complete. Nothing is run here.
The scale comes from the environment, as `run.sh` sets it. `{rate:METHOD}` and `{act:METHOD}` in a
command stand for what the tuning chose for a method, `{steps}` and `{tuning_steps}` for optimiser
steps that are counted once the trajectories are there.
"""

from __future__ import annotations

import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

METHODS = ("sad", "token-kd-masked", "imitation", "token-kd")
"""In order of information: the primary comparison is between the first two."""

ABLATIONS = (
    *("sad-act-1", "sad-act-2", "sad-act-4", "sad-unnormalised", "sad-no-curriculum"),
    *("sad-reversed-curriculum", "sad-random-spans", "sad-reason-only", "sad-act-only"),
)
WEIGHED = {
    **dict.fromkeys(
        ("sad", "sad-unnormalised", "sad-no-curriculum", "sad-reversed-curriculum"), "act"
    ),
    "sad-random-spans": "random-act",
}
"""The span of a method that has the weight which the tuning chose."""
PRIMARY = ("sad", "token-kd-masked")
CHOICES = ("likelihood", "generate")
"""How a student's actions are chosen; the primary metric is of the first."""

TUNING_SEED = 100
WITHOUT_LIST = ("hotpotqa",)
"""Environments without a list of actions to choose from by likelihood."""


@dataclass(frozen=True)
class Splits:
    """Splits of an environment to learn from, to choose on (empty for none) and to report on."""

    learn: str
    choose: str
    report: str


@dataclass(frozen=True)
class Scale:
    """What `run.sh` sets; `steps` and `tuning_steps` are None where they are to be counted."""

    out: Path
    teacher: str
    students: Mapping[str, str]
    middle: str
    seeds: tuple[int, ...]
    steps: int | None
    tuning_steps: int | None
    epochs: int
    teacher_epochs: int
    pack: int
    rows: int
    rates: tuple[float, ...]
    concurrency: int
    splits: Mapping[str, Splits]
    max_steps: int | None = None

    @classmethod
    def from_environment(cls, values: Mapping[str, str] = os.environ) -> Scale:
        """Raises `KeyError` where a variable is missing: call `run.sh`."""
        splits = {
            name: Splits(*parts.split(","))
            for name, _, parts in (one.partition("=") for one in values["BOARD_SPLITS"].split())
        }
        pairs = (one.partition("=") for one in values["BOARD_SCALES"].split())
        return cls(
            out=Path(values["BOARD_OUT"]),
            teacher=values["BOARD_TEACHER"],
            students={name: spec for name, _, spec in pairs},
            middle=values["BOARD_MIDDLE"],
            seeds=tuple(map(int, values["BOARD_SEEDS"].split())),
            steps=_number(values, "BOARD_STEPS"),
            tuning_steps=_number(values, "BOARD_TUNING_STEPS"),
            epochs=int(values["BOARD_EPOCHS"]),
            teacher_epochs=int(values["BOARD_TEACHER_EPOCHS"]),
            pack=int(values["BOARD_PACK"]),
            rows=int(values["BOARD_ROWS"]),
            rates=tuple(map(float, values["BOARD_RATES"].split())),
            concurrency=int(values["BOARD_CONCURRENCY"]),
            splits=splits,
            max_steps=_number(values, "BOARD_MAX_STEPS"),
        )

    @property
    def larger(self) -> str:
        """The scale after that of the tuning; the same where there is none."""
        names = list(self.students)
        return names[min(names.index(self.middle) + 1, len(names) - 1)]


def _number(values: Mapping[str, str], name: str) -> int | None:
    return int(values[name]) if values.get(name) else None


@dataclass(frozen=True)
class Cell:
    """One command.

    Attributes:
        command: words after `harness`.
        out: folder that the command makes.
        product: file in it whose digest is recorded.
        needs: names of cells that must be done before.
        stage: heading in the list.
        about: what a table needs to know of it.
    """

    name: str
    stage: str
    command: tuple[str, ...]
    out: Path
    product: str
    needs: tuple[str, ...]
    about: Mapping[str, str]

    @property
    def trains(self) -> bool:
        return self.command[0] == "distill"


def trials(method: str, rates: tuple[float, ...]) -> list[tuple[float, float]]:
    """(learning rate, weight of the act span) of a method's trials: as many for every method."""
    if method == "sad":
        middle, high = rates[len(rates) // 2], rates[-1]
        return [(middle, 1.0), (middle, 2.0), (high, 1.0)]
    return [(rate, 1.0) for rate in rates]


def cells(scale: Scale, primary: str | None = None) -> list[Cell]:
    """All cells, the most informative first, every cell after those it needs.

    Args:
        primary: scale of the primary comparison, where it is not that of the tuning.
    """
    plan = _Plan(scale)
    plan.teacher("alfworld")
    for method in METHODS:
        for number, (rate, act) in enumerate(trials(method, scale.rates)):
            plan.trial(method, number, rate, act)
    first = primary or scale.middle
    others = [name for name in scale.students if name not in (first, scale.middle)]
    for size in dict.fromkeys((first, scale.middle, *reversed(others))):
        for methods in (PRIMARY, [method for method in METHODS if method not in PRIMARY]):
            for seed in scale.seeds:
                for method in methods:
                    plan.student("main", "alfworld", method, size, seed)
    for ablation in ABLATIONS:
        plan.student("ablation", "alfworld", ablation, scale.middle, scale.seeds[0])
    for env in (name for name in scale.splits if name != "alfworld"):
        plan.teacher(env)
        for method in METHODS:
            plan.student(env, env, method, scale.middle, scale.seeds[0])
    return plan.made


def excused(cell: Cell, lost: Container[str]) -> set[str]:
    """Trials that a student does not wait for: those that are lost, unless its method has no other.

    Args:
        lost: names of cells that will not be done.
    """
    if cell.stage == "tuning":
        return set()
    tried = [name for name in cell.needs if name.startswith("tune-")]
    gone = {name for name in tried if name in lost}
    return gone if len(gone) < len(tried) else set()


def without_hope(plan: Sequence[Cell], failed: Container[str]) -> set[str]:
    """Names of the cells that failed, and of those that cannot be begun without them."""
    lost: set[str] = set()
    for cell in plan:
        if cell.name in failed or set(cell.needs) & lost - excused(cell, lost):
            lost.add(cell.name)
    return lost


class _Plan:
    """Cells in the making."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self.made: list[Cell] = []

    def teacher(self, env: str) -> None:
        """The expert's episodes, a model that imitates them, and how it does."""
        scale, splits = self.scale, self.scale.splits[env]
        episodes, stage = f"expert-{env}", f"teacher, {env}"
        self._add(
            episodes, stage, ("run", "--agent", "expert", "--env", env, "--split", splits.learn,
            "--concurrency", "2"), "runs", "episodes.jsonl", (), {"env": env},
        )  # fmt: skip
        self._add(
            f"teacher-{env}", stage, ("distill", "--recipe", "imitation", "--student",
            scale.teacher, "--runs", str(self._at("runs", episodes)), *self._packing(),
            "--set", f"training.epochs={scale.teacher_epochs}", "--set", "spans.scheme=all",
            "--set", "training.learning_rate=0.003", "--set", "training.weight_decay=0.1"),
            "students", "model.safetensors", (episodes,), {"env": env, "method": "teacher"},
        )  # fmt: skip
        choice = "generate" if env in WITHOUT_LIST else "likelihood"
        self._play(stage, env, f"teacher-{env}", splits.report, choice, {"method": "teacher"})

    def trial(self, method: str, number: int, rate: float, act: float) -> None:
        """One training of the tuning, and its score on the split to choose on."""
        scale = self.scale
        name = f"tune-{method}-{number}"
        about = {"method": method, "rate": f"{rate:g}", "act": f"{act:g}"}
        settings = self._settings(method, f"{rate:g}", f"{act:g}", TUNING_SEED)
        less = ("--set", "data.hold_out=0.67", "--set", "training.max_steps={tuning_steps}")
        command = self._distill("alfworld", method, scale.students[scale.middle])
        self._add(
            name, "tuning", (*command, *settings, *less), "students", "model.safetensors",
            ("teacher-alfworld",), about,
        )  # fmt: skip
        split = scale.splits["alfworld"].choose
        self._play("tuning", "alfworld", name, split, "likelihood", about)

    def student(self, stage: str, env: str, method: str, size: str, seed: int) -> None:
        """One training of the board, and both ways of playing."""
        scale = self.scale
        name = "-".join((stage, size, method, f"s{seed}"))
        tuned = method if method in METHODS else "sad"
        about = {"env": env, "method": method, "size": size, "seed": str(seed)}
        settings = self._settings(method, f"{{rate:{tuned}}}", f"{{act:{tuned}}}", seed)
        steps = ("--set", "training.max_steps={steps}") if env == "alfworld" else ()
        trained = tuple(
            f"tune-{tuned}-{n}-{scale.splits['alfworld'].choose}-likelihood".replace(":", "-")
            for n in range(len(trials(tuned, scale.rates)))
        )
        self._add(
            name, stage, (*self._distill(env, method, scale.students[size]), *settings, *steps),
            "students", "model.safetensors", (f"teacher-{env}", *trained), about,
        )  # fmt: skip
        for choice in CHOICES:
            self._play(stage, env, name, scale.splits[env].report, choice, about)

    def _distill(self, env: str, method: str, student: str) -> tuple[str, ...]:
        taught: tuple[str, ...] = (
            () if method == "imitation" else ("--set", "teacher.source=cached",
            "--teacher-cache", str(self._at("teacher-rows", env)))
        )  # fmt: skip
        # Imitation has the teacher's tokenizer too: the students of a size are one architecture.
        recipe: tuple[str, ...] = (method,)
        if method == "sad-act-1":
            recipe = ("sad", "--set", f"method={method}", "--set", "spans.weights.act=1.0")
        return (
            "distill", "--recipe", *recipe, "--student", student,
            "--teacher", f"hf:{self._at('students', f'teacher-{env}')}", *taught,
            "--runs", str(self._at("runs", f"expert-{env}")), *self._packing(),
            "--set", f"training.epochs={self.scale.epochs}",
        )  # fmt: skip

    def _settings(self, method: str, rate: str, act: str, seed: int) -> tuple[str, ...]:
        words: tuple[str, ...] = (
            "--set",
            f"training.learning_rate={rate}",
            "--set",
            f"training.seed={seed}",
        )
        if method in WEIGHED:
            words += ("--set", f"spans.weights.{WEIGHED[method]}={act}")
        return words

    def _packing(self) -> tuple[str, ...]:
        scale = self.scale
        settings = (f"training.pack_length={scale.pack}", f"training.rows={scale.rows}")
        return tuple(word for one in settings for word in ("--set", one))

    def _play(
        self, stage: str, env: str, student: str, split: str, choice: str, about: Mapping[str, str]
    ) -> None:
        scale = self.scale
        limit = () if scale.max_steps is None else ("--max-steps", str(scale.max_steps))
        if choice == "likelihood" and env in WITHOUT_LIST:
            return
        self._add(
            f"{student}-{split}-{choice}".replace(":", "-"), stage,
            ("run", "--agent", "react", "--model", f"hf:{self._at('students', student)}",
            "--env", env, "--split", split, "--action-choice", choice,
            "--concurrency", str(scale.concurrency), *limit),
            "runs", "episodes.jsonl", (student,),
            {**about, "env": env, "split": split, "choice": choice},
        )  # fmt: skip

    def _at(self, kind: str, name: str) -> Path:
        return self.scale.out / kind / name

    def _add(
        self, name: str, stage: str, command: tuple[str, ...], kind: str, product: str,
        needs: tuple[str, ...], about: Mapping[str, str],
    ) -> None:  # fmt: skip
        out = self._at(kind, name)
        self.made.append(Cell(name, stage, command, out, product, needs, about))
