"""Who is in a table: runs that are the same row, and what the row is called.

A row is a method at a student scale. Runs share it when method, model, size and teacher are the
same; then they differ in seeds (which aggregate), in environments (which are columns), or in
settings such as `action_choice`. Runs that differ in a setting within one column are never
averaged: they become rows of their own, named by the settings that tell them apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import HarnessError
from leaderboards.runs import Run, short_name
from leaderboards.table import RowKind, join

_ORDER: tuple[RowKind, ...] = ("reference", "agent", "student")
_REFERENCES = ("expert", "optimal", "random")

CHOICE = ("action_choice", "reason")
"""Settings of an agent that say how it chooses actions."""

ColumnKey = tuple[str, str]
"""(env_id, split): what a column of results is about."""


@dataclass(frozen=True)
class Player:
    """A row: runs of one method at one scale under one set of settings.

    Attributes:
        variant: the settings that tell it from rows of the same name, empty when there are none.
        seeds: the training seeds it aggregates; 0 for agents that were not trained here.
    """

    method: str
    variant: str
    model_name: str
    parameters: int | None
    teacher: str | None
    kind: RowKind
    runs: tuple[Run, ...]
    seeds: int

    @property
    def name(self) -> str:
        """Method, settings and model, as a sentence names the row."""
        variant = f" ({self.variant})" if self.variant else ""
        return " ".join(filter(None, (f"{self.method}{variant}", self.model_name)))


def column_of(run: Run) -> ColumnKey:
    """The column a run belongs to."""
    return run.env_id, run.split


def replica(run: Run) -> str:
    """What two training runs of one method differ in: the weights, or else the seed's number."""
    if not run.distilled:
        return ""
    return run.weights or f"seed {run.training_seed}"


def players_of(runs: Sequence[Run]) -> list[Player]:
    """The rows, references first, then agents with models as they are, then students.

    Raises:
        HarnessError: versions of an environment differ within a column.
    """
    _refuse_mixed_versions(runs)
    taught_by = {name for run in runs if run.distilled and (name := run.teacher)}
    groups: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
    for run in runs:
        key = (run.method, run.model_name, run.parameters, run.teacher, run.distilled)
        groups[key].append(run)
    players = []
    for group in groups.values():
        telling = _telling_settings(group)
        variants: dict[str, list[Run]] = defaultdict(list)
        for run in group:
            variants[_variant(run, telling)].append(run)
        for variant, members in variants.items():
            first = members[0]
            seeds = len({replica(run) for run in members}) if first.distilled else 0
            players.append(
                Player(
                    method=first.method,
                    variant=variant,
                    model_name=first.model_name,
                    parameters=first.parameters,
                    teacher=first.teacher,
                    kind=_kind(first, taught_by),
                    runs=tuple(members),
                    seeds=seeds,
                )
            )
    return sorted(players, key=_place)


def teaches(candidate: Player, student: Player) -> bool:
    """Whether a row is the teacher of a student's row."""
    return candidate is not student and any(
        run.teacher is not None and is_named(run.teacher, other)
        for run in student.runs
        for other in candidate.runs
    )


def teacher_of(student: Player, players: Sequence[Player]) -> int | None:
    """The place of a student's teacher: of its rows the one whose settings are most alike.

    A teacher that was played in several ways is several rows; a student is held against the one
    that was played as itself, the first of equals.
    """
    places = [i for i, candidate in enumerate(players) if teaches(candidate, student)]
    return max(places, key=lambda i: _alike(players[i], student), default=None)


def choice_of(player: Player) -> str:
    """How a row's actions were chosen, as `action_choice=likelihood`; empty where no run says."""
    played = _played(player)
    return " ".join(f"{k}={played[f'agent.{k}']}" for k in CHOICE if f"agent.{k}" in played)


def _alike(player: Player, other: Player) -> int:
    mine, theirs = _played(player), _played(other)
    return sum(key in theirs and theirs[key] == value for key, value in mine.items())


def _played(player: Player) -> dict[str, Any]:
    """Settings of playing, as far as all runs of the row share them."""
    first, *others = [run.settings for run in player.runs]
    return {
        key: value
        for key, value in first.items()
        if not key.startswith("distilled.") and all(o.get(key) == value for o in others)
    }


def is_named(teacher: str, run: Run) -> bool:
    """Whether a run is by the model, or the agent, that a student names as its teacher."""
    if run.model is None:
        return run.agent == teacher
    return run.model == teacher or (
        run.model.rpartition(":")[2] == teacher.rpartition(":")[2]
        and short_name(run.model) == short_name(teacher)
    )


def _kind(run: Run, taught_by: set[str]) -> RowKind:
    if run.model is None or any(is_named(teacher, run) for teacher in taught_by):
        return "reference"
    return "student" if run.distilled else "agent"


def _place(player: Player) -> tuple[Any, ...]:
    known = player.method in _REFERENCES
    rank = _REFERENCES.index(player.method) if known else len(_REFERENCES)
    size = -(player.parameters or 0)
    return _ORDER.index(player.kind), rank, player.method, player.variant, size, player.model_name


def _refuse_mixed_versions(runs: Iterable[Run]) -> None:
    columns: dict[ColumnKey, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        columns[column_of(run)][run.env_version].append(run)
    for (env_id, split), versions in columns.items():
        if len(versions) < 2:
            continue
        described = [
            f"{version or 'unknown'} ({', '.join(run.name for run in members)})"
            for version, members in versions.items()
        ]
        firsts = [members[0].env_arguments for members in versions.values()]
        keys = sorted({key for arguments in firsts for key in arguments})
        differing = [
            f"{key} is {join((repr(a.get(key)) for a in firsts), 'or')}"
            for key in keys
            if len({repr(a.get(key)) for a in firsts}) > 1
        ]
        reason = "; ".join(differing) or "the data or the dynamics are not the same"
        raise HarnessError(
            f"{env_id} {split} is there in {len(versions)} versions, which cannot share a column: "
            f"{join(described)}; {reason}: report the runs of one version at a time"
        )


def _telling_settings(group: Sequence[Run]) -> list[str]:
    """The fewest settings that tell apart what must not be averaged."""
    columns: dict[ColumnKey, list[Run]] = defaultdict(list)
    for run in group:
        columns[column_of(run)].append(run)
    keys = sorted({key for run in group for key in run.settings})
    # Digests say the least to a reader: they come last, and only where nothing else differs.
    keys.sort(key=lambda key: ("digest" in key, key == "prompts", key.startswith("distilled.")))
    telling: list[str] = []
    for members in columns.values():
        whole = {repr([run.settings.get(key) for key in keys]) for run in members}
        for key in keys:
            if len(_kinds(members, telling)) == len(whole):
                break
            if len(_kinds(members, [*telling, key])) > len(_kinds(members, telling)):
                telling.append(key)
    return telling


def _kinds(runs: Sequence[Run], keys: Sequence[str]) -> set[str]:
    return {repr([run.settings.get(key) for key in keys]) for run in runs}


def _variant(run: Run, telling: Sequence[str]) -> str:
    parts = []
    for key in telling:
        value = run.settings.get(key)
        name = key.rpartition(".")[2] if "digest" not in key else "data"
        parts.append(f"{name}={str(value)[:12] if isinstance(value, str) else value}")
    return ", ".join(parts)
