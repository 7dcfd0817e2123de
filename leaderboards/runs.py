"""What a run directory says about the run as a whole.

`read_run` reads `config.json`, `env.json`, `summary.json` and, for a distilled student, what
`harness distill` wrote about it; never the model itself. What a file does not say is None, shown
as unknown: nothing is guessed. A folder that is no run is refused with one line.

Who played is three words. `method` is the distillation method of a student, else the agent's name;
`model_name` is the student's specification (`nano:S`), else the model's name; `parameters` is its
size. Training runs that differ in their seed alone share all three.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.store import CONFIG, ENV, SUMMARY, read_episodes
from leaderboards.files import read_object

DISTILLATION = "distillation.json"
"""What a distilled checkpoint says about its making; a run keeps a copy in `env.json`."""

NO_SETTINGS = ("env", "env_id", "env_version", "model", "seed")
"""Keys of a config's `decides` that are columns of their own rather than settings of the agent."""


@dataclass(frozen=True)
class Run:
    """One run directory.

    Attributes:
        name: the folder's name, or its path where two of the runs share a name.
        digest: the config digest, which the rows' meaning depends on.
        env_arguments: what changes the environment's behaviour, the split included.
        settings: what changes the agent's behaviour, and how its student was made, flattened to
            dotted names; seeds excluded.
        weights: digest of the model's weights; None without a model, or at a server.
        teacher: spec of the model a student was taught by, else the agents whose episodes it
            imitates.
        training_seed: seed of the distillation that made the student.
        planned: episodes owed per task type, the type empty where only their sum is known; None
            where no file says.
    """

    path: Path
    name: str
    digest: str
    env_id: str
    env_version: str
    split: str
    env_arguments: dict[str, Any]
    settings: dict[str, Any]
    run_seed: int
    agent: str
    model: str | None
    method: str
    model_name: str
    parameters: int | None
    weights: str | None
    distilled: bool = False
    teacher: str | None = None
    training_seed: int | None = None
    planned: dict[str, int] | None = None
    distillation: dict[str, Any] = field(default_factory=dict)


def read_runs(folders: Iterable[str | Path]) -> list[Run]:
    """The runs in the order given; the same folder given twice counts once.

    Raises:
        HarnessError: none were given, or one is no run directory.
    """
    unique = list(dict.fromkeys(Path(folder).resolve() for folder in folders))
    if not unique:
        raise HarnessError("no run was given; expected the folders that 'harness run' wrote")
    runs = [read_run(folder) for folder in unique]
    names = [run.name for run in runs]
    return [
        run if names.count(run.name) == 1 else _renamed(run, depth=2, among=runs) for run in runs
    ]


def read_run(folder: Path) -> Run:
    """One run. Raises `HarnessError` when the folder is no run directory."""
    config = read_object(folder / CONFIG)
    decides, request = config.get("decides"), config.get("request") or {}
    if not isinstance(decides, dict):
        raise HarnessError(
            f"{folder / CONFIG} does not say what was run; expected what 'harness run' writes"
        )
    described = read_object(folder / ENV) if (folder / ENV).exists() else {}
    agent = decides.get("agent") or {}
    agent_name = agent.get("agent") if isinstance(agent, dict) else agent
    agent_name = agent_name or request.get("agent") or "unknown"
    weights = decides.get("model") or {}
    spec = request.get("model") or described.get("model_spec") or weights.get("spec")
    made = described.get("distillation") or read_distillation(spec)
    env_arguments = decides.get("env") or {}
    env_id, env_version = decides.get("env_id"), decides.get("env_version")
    if not env_id:  # imported episodes
        first = next(read_episodes(folder), None)
        env_id, env_version = (first.env_id, first.env_version) if first else ("", "")
    return Run(
        path=folder,
        name=folder.name,
        digest=str(config.get("digest", "")),
        env_id=str(env_id),
        env_version=str(env_version or ""),
        split=str(env_arguments.get("split") or request.get("split") or "default"),
        env_arguments=dict(env_arguments),
        settings=_settings(decides, made),
        run_seed=int(decides.get("seed") or 0),
        agent=str(agent_name),
        model=spec,
        method=str(made.get("method") or agent_name),
        model_name=short_name(made.get("student") or spec),
        parameters=_integer(weights.get("parameters")) or _integer(made.get("parameters")),
        weights=weights.get("weights"),
        distilled=bool(made),
        teacher=_teacher(made),
        training_seed=_integer(made.get("seed")),
        planned=_planned(config, folder),
        distillation=made,
    )


def read_distillation(spec: str | None) -> dict[str, Any]:
    """What the checkpoint that a model spec names says about its making; empty without any."""
    if spec is None or ":" not in spec:
        return {}
    path = Path(spec.partition(":")[2]).expanduser() / DISTILLATION
    if not path.is_file():
        return {}
    return read_object(path)


def _planned(config: dict[str, Any], folder: Path) -> dict[str, int] | None:
    planned = config.get("planned")
    if isinstance(planned, dict):
        return {str(kind): int(number) for kind, number in planned.items()}
    if not (folder / SUMMARY).exists():
        return None
    rows = read_object(folder / SUMMARY).get("rows") or []
    by_type = {row["task_type"]: int(row["planned"]) for row in rows}
    total = by_type.pop("all", None)
    if total is None:
        return None
    return by_type if sum(by_type.values()) == total else {"": total}


def _renamed(run: Run, depth: int, among: list[Run]) -> Run:
    from dataclasses import replace

    def tail(other: Run) -> str:
        return "/".join(other.path.parts[-depth:])

    clash = sum(tail(other) == tail(run) for other in among) > 1
    if clash and depth < len(run.path.parts):
        return _renamed(run, depth + 1, among)
    return replace(run, name=tail(run))


def _teacher(made: dict[str, Any]) -> str | None:
    if made.get("teacher"):
        return str(made["teacher"])
    agents = (made.get("data") or {}).get("agents") or []
    return ", ".join(map(str, agents)) or None


def _settings(decides: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    settings = _flat({k: v for k, v in decides.items() if k not in NO_SETTINGS})
    data = made.get("data") or {}
    making = {
        **(made.get("settings") or {}),
        "data": {"episodes": data.get("episodes"), "digest": data.get("digest")},
        # A training that came to its end says nothing by the number of its steps: an order of the
        # data may pack into a row more or less.
        "steps": None if made.get("ended") == "done" else made.get("steps"),
    }
    if made:
        settings |= _flat(making, "distilled.")
    return {key: value for key, value in settings.items() if key.rpartition(".")[2] != "seed"}


def short_name(spec: str | None) -> str:
    """A model's name without the folders that lead to it: `hf:checkpoints/a` is `a`."""
    if not spec:
        return ""
    kind, colon, rest = spec.partition(":")
    if colon and kind in ("hf", "vllm", "openai", "scripted", "config"):
        return rest.rstrip("/").rpartition("/")[2] or rest
    return spec.rstrip("/").rpartition("/")[2] if "/" in spec and not colon else spec


def _integer(found: Any) -> int | None:
    return int(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def _flat(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat.update(_flat(value, f"{name}."))
        else:
            flat[name] = value
    return flat
