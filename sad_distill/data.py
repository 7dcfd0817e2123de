"""From run directories to the episodes a student is trained on.

It refuses to train on what a student will be judged on. An episode belongs to an evaluation split
when its run's `config.json` names one (see `is_evaluation_split`), when the split was declared one,
or when its task occurs in one of the evaluation runs: by its id, or by the text of the task, so
that a task under another name is found too. Such an episode is an error, not silently left out.

Only scored episodes are read; which of them are used is said by `Selection`, in the order of the
runs and of their rows.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.store import CONFIG, EPISODES, read_episodes
from harness.trajectory import Episode, Outcome

EVALUATION_WORDS = ("dev", "test", "eval", "valid", "validation")
"""A split is for evaluation when a part of its name, between colons, is or begins with these and
an underscore, as `valid_unseen` does."""

EVALUATION_SPLITS = ("react500", "sample300")
"""Splits that consist of, or contain, evaluation questions without saying so in their name."""


@dataclass(frozen=True)
class Selection:
    """Which episodes are used.

    Attributes:
        outcomes: outcomes to keep.
        min_score: lowest score to keep.
        envs: environments to keep, by id or short name; empty for all.
        agents: agents to keep, by name; empty for all.
        limit: episodes to keep of each run, the first ones; None for all.
        weights: factor of an episode in the loss, by environment or by run folder's name; 1 where
            nothing is said, the product where both are.
    """

    outcomes: tuple[str, ...] = ("success",)
    min_score: float = 0.0
    envs: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    limit: int | None = None
    weights: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        scored = [str(one) for one in Outcome if one.scored]
        for outcome in self.outcomes:
            if outcome not in scored:
                raise HarnessError(f"outcome is {outcome!r}; expected {', '.join(scored)}")
        for name, weight in (self.weights or {}).items():
            if not weight > 0:
                raise HarnessError(f"the weight of {name!r} is {weight}; expected more than 0")


@dataclass(frozen=True)
class Evaluation:
    """What must not be trained on.

    Attributes:
        runs: run directories whose tasks are for evaluation.
        splits: names of splits declared to be for evaluation; `generated:1` covers
            `generated:1:50`.
    """

    runs: tuple[Path, ...] = ()
    splits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chosen:
    """One selected episode, its weight, and the name of the run it is from."""

    episode: Episode
    weight: float
    run: str


@dataclass(frozen=True)
class Dataset:
    """The selected episodes and where they are from.

    Attributes:
        episodes: in the order of the runs and their rows.
        digest: first 16 hex digits of the SHA-256 of what is trained on.
        runs: for each run its name, digest, split, episodes read and selected, and how many were
            left out for which reason.
    """

    episodes: tuple[Chosen, ...]
    digest: str
    runs: tuple[dict[str, Any], ...]

    def hold_out(self, share: float) -> tuple[tuple[Chosen, ...], tuple[Chosen, ...]]:
        """The episodes to train on and those held out, by task: no task is on both sides.

        The choice depends on the tasks' names alone, so that it is the same for every recipe.
        """
        kept: list[Chosen] = []
        held: list[Chosen] = []
        for one in self.episodes:
            name = f"{one.episode.env_id}\n{one.episode.task_id}"
            place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
            (held if place < share else kept).append(one)
        return tuple(kept), tuple(held)


def load_dataset(
    runs: Sequence[Path],
    selection: Selection,
    evaluation: Evaluation | None = None,
    *,
    guard: bool = True,
) -> Dataset:
    """Read runs and select episodes.

    Args:
        runs: run directories.
        selection: which of their episodes.
        evaluation: what must not be trained on, besides splits named as such.
        guard: refuse evaluation tasks; only what does not train may do without.

    Raises:
        HarnessError: a folder is no run, an episode belongs to an evaluation split, a weight is
            of something else, or nothing is left.
    """
    if not runs:
        raise HarnessError("there are no runs to train on; name at least one with --runs")
    gate = _Guard(evaluation or Evaluation()) if guard else None
    chosen: list[Chosen] = []
    reports = []
    envs: set[str] = set()
    for folder in runs:
        config = read_run_config(folder)
        split = _split_of(config)
        if gate is not None:
            gate.check_split(folder, split)
        left_out: Counter[str] = Counter()
        read = kept = 0
        for episode in read_episodes(folder):
            read += 1
            envs.add(episode.env_id)
            reason = _reason(episode, selection)
            if reason is None and selection.limit is not None and kept >= selection.limit:
                reason = "limit"
            if reason is not None:
                left_out[reason] += 1
                continue
            if gate is not None:
                gate.check_task(folder, episode)
            kept += 1
            chosen.append(Chosen(episode, _weight(episode, folder, selection), folder.name))
        reports.append(
            {
                "run": folder.name,
                "digest": config.get("digest"),
                "split": split,
                "episodes": read,
                "selected": kept,
                "left_out": dict(left_out),
            }
        )
    _check_names(selection, runs, envs)
    if not chosen:
        said = "; ".join(f"{r['run']}: {r['episodes']} episodes, {r['left_out']}" for r in reports)
        raise HarnessError(f"no episode is left to train on ({said}); loosen the selection")
    return Dataset(tuple(chosen), _digest(chosen), tuple(reports))


def read_run_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a run.

    Raises:
        HarnessError: the folder is not a run directory.
    """
    if not (folder / EPISODES).is_file():
        raise HarnessError(f"{folder} holds no {EPISODES}; expected a run directory")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HarnessError(
            f"cannot read {folder / CONFIG}, which says what split the run is of: {error}"
        ) from error
    if not isinstance(config, dict):
        raise HarnessError(f"{folder / CONFIG} is not an object; expected the config of a run")
    return config


def is_evaluation_split(split: str) -> bool:
    """Whether the name of a split says that it is for evaluation.

    True for `dev`, `test`, `valid_seen`, `valid_unseen`, `sample300:dev`, `react500` and
    whatever is named like them; false for `train`, `sample300:train` and generated splits.
    """
    if split in EVALUATION_SPLITS:
        return True
    return any(
        part == word or part.startswith((f"{word}_", f"{word}-"))
        for part in split.lower().split(":")
        for word in EVALUATION_WORDS
    )


def task_digest(episode: Episode) -> str:
    """SHA-256 of what a task is known by besides its id: environment, goal and first text."""
    told = [episode.env_id, episode.goal.strip(), episode.prompt.task.strip()]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


class _Guard:
    """Knows what must not be trained on."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._splits = [_parts(split) for split in evaluation.splits]
        self._known: dict[tuple[str, str], Path] = {}
        for folder in evaluation.runs:
            read_run_config(folder)
            for name in (EPISODES, "errors.jsonl"):
                for episode in read_episodes(folder, name):
                    self._known[episode.env_id, episode.task_id] = folder
                    if episode.prompt.task.strip():
                        self._known["", task_digest(episode)] = folder

    def check_split(self, folder: Path, split: str | None) -> None:
        if split is None:
            return
        declared = [one for one in self._splits if _parts(split)[: len(one)] == one]
        if declared or is_evaluation_split(split):
            why = "was declared one" if declared else "is one by its name"
            raise HarnessError(
                f"{folder} was recorded on split {split!r}, an evaluation split (it {why}); train "
                "on runs of other splits"
            )

    def check_task(self, folder: Path, episode: Episode) -> None:
        for key in ((episode.env_id, episode.task_id), ("", task_digest(episode))):
            if key in self._known:
                raise HarnessError(
                    f"{folder} has the task {episode.task_id!r}, which is in the evaluation run "
                    f"{self._known[key]}; train on other tasks"
                )


def _parts(split: str) -> list[str]:
    """A split's name in its parts; `generated` alone stands for `generated:0`."""
    parts = split.split(":")
    return ["generated", "0"] if parts == ["generated"] else parts


def _split_of(config: Mapping[str, Any]) -> str | None:
    decides = config.get("decides") or {}
    for holder in (decides.get("env") or {}, config.get("request") or {}):
        if isinstance(holder, dict) and isinstance(holder.get("split"), str):
            return str(holder["split"])
    return None


def _reason(episode: Episode, selection: Selection) -> str | None:
    if str(episode.outcome) not in selection.outcomes:
        return f"outcome {episode.outcome}"
    if (episode.score or 0.0) < selection.min_score:
        return "score"
    if selection.envs and not any(_is_env(episode.env_id, name) for name in selection.envs):
        return "environment"
    if selection.agents and episode.agent not in selection.agents:
        return "agent"
    return None if episode.turns else "no turns"


def _is_env(env_id: str, name: str) -> bool:
    """Whether `name` stands for an environment: its id, or its name within the id in any case."""
    short = env_id.split("/")[-1].rsplit("-v", 1)[0]
    return name.casefold() in (env_id.casefold(), short.casefold())


def _check_names(selection: Selection, runs: Sequence[Path], envs: Iterable[str]) -> None:
    """Refuse a weight that no episode can get."""
    known = [folder.name for folder in runs]
    for name in selection.weights or {}:
        if name not in known and not any(_is_env(env, name) for env in envs):
            raise HarnessError(
                f"data.weights has {name!r}, which is no run and no environment of one; expected "
                f"one of {', '.join([*known, *sorted(envs)])}"
            )


def _weight(episode: Episode, folder: Path, selection: Selection) -> float:
    weight = 1.0
    for name, factor in (selection.weights or {}).items():
        if name == folder.name or _is_env(episode.env_id, name):
            weight *= factor
    return weight


_TRAINED_ON = {"env_id", "task_id", "prompt", "actions", "turns"}


def _digest(chosen: Iterable[Chosen]) -> str:
    total = hashlib.sha256()
    for one in chosen:
        shown = one.episode.model_dump_json(include=_TRAINED_ON)
        total.update(f"{one.weight}\n{shown}\n".encode())
    return total.hexdigest()[:16]
