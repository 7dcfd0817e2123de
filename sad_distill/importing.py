"""Logs of other ReAct agents, made into a run directory.

Read are JSON or JSON lines with `instruction`, `input` and `output` (the output being the text of
one or more turns), and plain text files with one or more transcripts. How text is cut into turns
is in `sad_distill.segment`. What could not be cut is counted and quoted in a report, record by
record; a record without a single turn is no episode.

A log seldom says how an attempt ended. Where a record has `success`, `reward` or `score`, that
counts; elsewhere the outcome is what the caller says it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.errors import HarnessError
from harness.store import RunStore
from harness.trajectory import Episode, Outcome, Prompt
from sad_distill.segment import Segmented, segment

KEYS = ("instruction", "input", "output")

_BEGINNING = re.compile(r"(?m)^(?:=+|-{3,}|\*{3,})[ \t]*$|^(?=You are in the middle of a room)")
"""What parts the transcripts of one file: a ruled line, or the first line of an ALFWorld game."""


@dataclass(frozen=True)
class Problem:
    """Something in a record that is in no span. `where` is the file and the number in it."""

    where: str
    reason: str
    excerpt: str


@dataclass
class ImportReport:
    """What was read and what could not be segmented."""

    records: int = 0
    episodes: int = 0
    turns: int = 0
    turns_with_thought: int = 0
    characters: int = 0
    characters_unsegmented: int = 0
    outcomes_assumed: int = 0
    problems: list[Problem] = field(default_factory=list)

    def by_reason(self) -> dict[str, int]:
        """How often each reason occurs, the most frequent first."""
        return dict(Counter(problem.reason for problem in self.problems).most_common())


@dataclass(frozen=True)
class _Record:
    where: str
    instruction: str
    task: str
    text: str
    fields: dict[str, Any]


def import_logs(
    files: Sequence[Path],
    *,
    name: str,
    env_id: str,
    outcome: Literal["success", "failure"] = "success",
) -> tuple[list[Episode], ImportReport]:
    """Episodes of some log files, and what could not be segmented.

    Args:
        files: `.json`, `.jsonl`, or text files.
        name: names the tasks, together with a digest of each task's text.
        env_id: what the episodes are said to be of.
        outcome: of records that do not say.

    Raises:
        HarnessError: a file cannot be read, or holds no record of a known form.
    """
    report = ImportReport()
    episodes: list[Episode] = []
    repeats: Counter[str] = Counter()
    for file in files:
        for record in _records(file):
            report.records += 1
            report.characters += len(record.text)
            if broken := _broken(record):
                report.problems.append(Problem(record.where, "half a surrogate pair", broken))
                report.characters_unsegmented += len(record.text)
                continue
            found = segment(record.text)
            _note(report, record, found)
            if not found.turns:
                report.problems.append(Problem(record.where, "no turn", record.text[:80]))
                report.characters_unsegmented += len(record.text)
                continue
            episode = _episode(record, found, name, env_id, outcome, report)
            repeat = repeats[episode.task_id]
            repeats[episode.task_id] += 1
            episodes.append(episode.model_copy(update={"repeat": repeat}))
    report.episodes = len(episodes)
    return episodes, report


def write_imported(
    folder: Path, episodes: Sequence[Episode], *, split: str | None, files: Sequence[Path]
) -> None:
    """Write episodes as a run, with the digests of the files they are from.

    Raises:
        HarnessError: there is a run already, or the folder cannot be written.
    """
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    env: dict[str, Any] = {} if split is None else {"split": split}
    store = RunStore(
        folder, {"decides": {"agent": "imported", "env": env, "files": digests}}, resume=False
    )
    try:
        for episode in episodes:
            store.append(episode)
    finally:
        store.close()


def _records(file: Path) -> Iterator[_Record]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(f"cannot read {file} as UTF-8 text: {error}") from error
    if file.suffix not in (".json", ".jsonl"):
        for number, part in enumerate(filter(str.strip, _BEGINNING.split(text)), 1):
            yield _Record(f"{file.name} transcript {number}", "", "", part.strip(), {})
        return
    for number, row in enumerate(_rows(file, text), 1):
        where = f"{file.name} record {number}"
        if not isinstance(row, dict) or not isinstance(row.get("output"), str):
            shown = sorted(row) if isinstance(row, dict) else type(row).__name__
            raise HarnessError(f"{where} is {shown}; expected text in {', '.join(KEYS)}")
        instruction, task = (str(row.get(key) or "") for key in KEYS[:2])
        others = {key: value for key, value in row.items() if key not in KEYS}
        yield _Record(where, instruction, task, row["output"], others)


def _rows(file: Path, text: str) -> list[Any]:
    try:
        if file.suffix == ".jsonl":
            # Not splitlines: JSON strings may hold other line separators as they are.
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HarnessError(f"{file} is not valid JSON: {error}") from error
    return whole if isinstance(whole, list) else [whole]


def _broken(record: _Record) -> str:
    """The beginning of a text that cannot be written as UTF-8; empty when all of them can."""
    for text in (record.instruction, record.task, record.text):
        try:
            text.encode()
        except UnicodeEncodeError:
            return text[:80].encode("ascii", "backslashreplace").decode()
    return ""


def _note(report: ImportReport, record: _Record, found: Segmented) -> None:
    for gap in found.gaps:
        report.problems.append(Problem(record.where, gap.reason, gap.text[:80]))
        report.characters_unsegmented += len(gap.text)
    # In a record with a task of its own, what precedes the first turn is nobody's.
    if found.turns and found.task and (record.task or record.instruction):
        report.problems.append(Problem(record.where, "text before the first turn", found.task[:80]))
        report.characters_unsegmented += len(found.task)
    report.turns += len(found.turns)
    report.turns_with_thought += sum(bool(turn.text("reason")) for turn in found.turns)


def _episode(
    record: _Record,
    found: Segmented,
    name: str,
    env_id: str,
    outcome: str,
    report: ImportReport,
) -> Episode:
    described = bool(record.task or record.instruction)
    task = (record.task or record.instruction) if described else found.task
    instruction = record.instruction if record.task else ""
    said = _outcome(record.fields)
    report.outcomes_assumed += said is None
    success, score = said if said is not None else (outcome == "success", None)
    digest = hashlib.sha256(f"{instruction}\n{task}".encode()).hexdigest()[:12]
    return Episode(
        env_id=env_id,
        env_version="imported",
        task_id=f"{name}/{digest}",
        goal=task.strip().rpartition("\n")[2],
        agent="imported",
        outcome=Outcome.SUCCESS if success else Outcome.FAILURE,
        success=success,
        score=float(success) if score is None else score,
        n_steps=len(found.turns),
        exact_text=False,
        prompt=Prompt(style=found.style, instruction=instruction, task=task.strip()),
        turns=tuple(found.turns),
    )


def _outcome(fields: dict[str, Any]) -> tuple[bool, float] | None:
    """Success and score, where the record says."""
    if isinstance(fields.get("success"), bool):
        return fields["success"], float(fields["success"])
    for key in ("score", "reward"):
        value = fields.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            score = min(1.0, max(0.0, float(value)))
            return score >= 1.0, score
    return None
