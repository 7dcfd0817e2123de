"""Runs handed in for publication, and the board that is made of them.

An entry is a folder of `leaderboards/results`: the run's `config.json`, `env.json` and summary, its
episodes whole and compressed (`episodes.jsonl.gz`), and `entry.json` with the SHA-256 of each, the
digests that a score depends on and the command that made the run. So a board can be made again by
anybody, from its entries alone, and every number followed to the trajectory behind it.

A run is refused when anything is missing that a sceptical reader would ask for: a task of the
split, one of the repeats, a trajectory, the digest of the configuration, the environment or the
weights.
Folders of the machine that made the run are not published.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.store import CONFIG, ENV, EPISODES, SUMMARY, config_digest, read_episodes
from leaderboards.files import read_object
from leaderboards.render import render
from leaderboards.report import make_report
from leaderboards.runs import read_run, short_name

RESULTS = Path("leaderboards") / "results"
ENTRY = "entry.json"
PACKED = f"{EPISODES}.gz"
AGREEMENT = "agreement.json"
SCHEMA = 1
BOARD = {"md": "README.md", "html": "board.html", "csv": "board.csv", "json": "board.json"}
"""The files of a board by format."""

PATHS = ("out", "config", "prices", "base_url", "tokenizer")
"""Settings of a run that say where something was, not what was done."""


@dataclass(frozen=True)
class Split:
    """What a run is held against: the split as it is now.

    Attributes:
        task_ids: every task of it.
        env_version: the environment's version with the run's arguments.
    """

    task_ids: tuple[str, ...]
    env_version: str


def check_run(run: Path, split: Split) -> dict[str, Any]:
    """What an entry says of a run; every problem found is in the message of the refusal.

    Raises:
        HarnessError: the run is incomplete, or something a score depends on is unknown.
    """
    config = read_object(run / CONFIG)
    described = read_run(run)
    repeats = int((config.get("request") or {}).get("repeats") or 1)
    owed = {(task, repeat) for task in split.task_ids for repeat in range(repeats)}
    found: Counter[tuple[str, int]] = Counter()
    without_turns: list[str] = []
    versions: set[str] = set()
    for episode in read_episodes(run):
        found[episode.task_id, episode.repeat] += 1
        versions.add(episode.env_version)
        if len(episode.turns) < episode.n_steps:
            without_turns.append(episode.task_id)
    problems = [
        *_some("not scored", sorted(owed - set(found))),
        *_some("not of the split, or one repeat too many", sorted(set(found) - owed)),
        *_some("there twice", sorted(key for key, n in found.items() if n > 1)),
        *_some("without its trajectory", [(task, 0) for task in without_turns]),
    ]
    if versions - {split.env_version}:
        problems.append(
            f"played on environment version {', '.join(sorted(versions - {split.env_version}))}, "
            f"which is {split.env_version} now"
        )
    if config.get("digest") != config_digest(config.get("decides") or {}):
        problems.append("the digest of its configuration is not that of what config.json says")
    if described.model is not None and not described.weights:
        problems.append("the digest of the model's weights is unknown, as with models at a server")
    if problems:
        raise HarnessError(f"{run} cannot be handed in: {'; '.join(problems)}")
    return {
        "schema": SCHEMA,
        "run": described.name,
        "digest": described.digest,
        "env_id": described.env_id,
        "env_version": described.env_version,
        "split": described.split,
        "tasks": len(split.task_ids),
        "repeats": repeats,
        "weights": described.weights,
        "method": described.method,
        "model": described.model_name,
    }


def submit(run: Path, split: Split, results: Path, *, command: str, replace: bool = False) -> Path:
    """Check a run and write its entry; the entry's folder.

    The whole board is made once with the new entry; what it refuses (another version of an
    environment in one column, a run handed in twice) is refused here, and nothing is written.

    Args:
        command: the command line that made the run.
        replace: overwrite an entry of the same name.

    Raises:
        HarnessError: the run is not complete, is there already, or does not fit the others.
    """
    facts = check_run(run, split)
    target = results / _entry_name(facts)
    if target.exists() and not replace:
        raise HarnessError(f"{target} is there already; --replace writes it again")
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / target.name
        _write_entry(run, made, {**facts, "command": command})
        others = [entry for entry in entries(results) if entry.name != target.name]
        _report([*others, made])
        try:
            if target.exists():
                shutil.rmtree(target)
            results.mkdir(parents=True, exist_ok=True)
            shutil.copytree(made, target)
        except OSError as error:
            raise HarnessError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def entries(results: Path) -> list[Path]:
    """The entries of a board, sorted by name."""
    return sorted(path.parent for path in results.glob(f"*/{ENTRY}"))


def build(results: Path, out: Path | None = None) -> list[Path]:
    """Make the whole board of its entries; the files written, beside the entries or in `out`.

    Raises:
        HarnessError: there are no entries, or one is not what its `entry.json` says.
    """
    found = entries(results)
    if not found:
        raise HarnessError(f"{results} has no entries; hand in a run with 'harness board submit'")
    made = _report(found)
    folder = out or results
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for form, name in BOARD.items():
            (folder / name).write_text(render(made, form), encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"cannot write {folder}: {error.strerror or error}") from error
    return [folder / name for name in BOARD.values()]


def _report(found: Sequence[Path]) -> Any:
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runs = [_unpacked(entry, scratch / entry.name) for entry in found]
        return make_report(runs, by_type=True, figures=True, title="Board")


def _write_entry(run: Path, folder: Path, facts: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    for name in (CONFIG, ENV, SUMMARY):
        if name == SUMMARY and not (run / name).exists():
            continue
        data = _without_places(read_object(run / name))
        (folder / name).write_text(json.dumps(data, indent=2, sort_keys=True) + "\n")
    if (run / AGREEMENT).exists():
        shutil.copyfile(run / AGREEMENT, folder / AGREEMENT)
    # No name and no time in the header: the same episodes give the same bytes.
    with (folder / PACKED).open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        packed.write((run / EPISODES).read_bytes())
    files = {path.name: _sha256(path.read_bytes()) for path in sorted(folder.iterdir())}
    text = json.dumps({**facts, "files": files}, indent=2, sort_keys=True)
    (folder / ENTRY).write_text(text + "\n", encoding="utf-8")


def _without_places(data: dict[str, Any]) -> dict[str, Any]:
    """The same without folders and addresses: a model is called by its name."""
    kept = {name: value for name, value in data.items() if name not in PATHS}
    for name in ("model", "model_spec", "teacher"):
        if isinstance(kept.get(name), str):
            kept[name] = _without_folder(kept[name])
    for name in ("request", "distillation"):
        if isinstance(kept.get(name), dict):
            kept[name] = _without_places(kept[name])
    return kept


def _without_folder(spec: str) -> str:
    kind, colon, _ = spec.partition(":")
    name = short_name(spec)
    return f"{kind}:{name}" if colon and kind in ("hf", "vllm") else name


def _unpacked(entry: Path, folder: Path) -> Path:
    """The entry as the run directory it was made of.

    Raises:
        HarnessError: a file is missing or has changed.
    """
    facts = read_object(entry / ENTRY)
    if facts.get("schema") != SCHEMA:
        raise HarnessError(
            f"{entry / ENTRY} has schema {facts.get('schema')}; this version reads {SCHEMA}"
        )
    folder.mkdir(parents=True)
    for name, digest in facts["files"].items():
        path = entry / name
        content = path.read_bytes() if path.is_file() else b""
        if _sha256(content) != digest:
            raise HarnessError(
                f"{path} is not the file that was handed in; hand the run in again with --replace"
            )
        if name == PACKED:
            (folder / EPISODES).write_bytes(gzip.decompress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def _entry_name(facts: dict[str, Any]) -> str:
    env = str(facts["env_id"]).rpartition("/")[2].partition("-v")[0]
    parts = (env, facts["split"], facts["method"], facts["model"] or "", facts["digest"][:8])
    words = (re.sub(r"[^A-Za-z0-9.]+", "-", str(part)).strip("-") for part in parts)
    return "-".join(word for word in words if word).lower()


def _some(what: str, keys: Sequence[tuple[str, int]]) -> list[str]:
    if not keys:
        return []
    shown = ", ".join(f"{task} (repeat {repeat})" for task, repeat in keys[:2])
    more = f" and {len(keys) - 2:,} more" if len(keys) > 2 else ""
    return [f"{what}: {shown}{more}"]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
