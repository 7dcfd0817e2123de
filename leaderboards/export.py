"""Runs in the formats that other tools read: one function per format, one row or document each.

- `jsonl`: an object per episode: the facts of its row, its whole text as a model without a chat
  template is shown it, and `spans`, the characters of that text with their kinds.
- `csv`: a line per episode, the columns of `leaderboards.load`.
- `atif`: a file per episode (`leaderboards.interchange`).
- `sft`: chat messages for supervised training, an object per episode or per turn.

Scored episodes are written in the order of the runs and their rows; the same runs give the same
bytes. Chat messages are those the harness sends a model, so that what is trained on is what is
asked later; with few-shot examples in them, an object per turn keeps the examples out of the loss.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Literal, get_args
from urllib.parse import quote

from harness.chat import messages
from harness.errors import HarnessError
from harness.rendering import Format, render
from harness.store import CONFIG, ENV, read_episodes
from harness.styles import get_style
from harness.trajectory import Episode
from leaderboards.files import read_object

NAME_CHARACTERS = 200
"""Longest name of a task in a file's name; file systems allow 255 bytes in all."""

Kind = Literal["jsonl", "csv", "atif", "sft"]
KINDS: tuple[str, ...] = get_args(Kind)

FACTS = (
    "env_id", "env_version", "task_id", "task_type", "goal", "repeat", "seed", "agent", "model",
    "outcome", "success", "score", "n_steps", "n_invalid", "usage", "wall_seconds", "exact_text",
)  # fmt: skip
"""What the `jsonl` format takes over from an episode's row as it is."""


def jsonl_rows(runs: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """The episodes of runs as flat objects with text and spans.

    A span is `{"kind", "start", "end", "turn"}`: characters `start` to `end` of `text`, of turn
    `turn` from 0, -1 before the first. Spans are a partition of the text.
    """
    for run in runs:
        digest = run_digest(run)
        for episode in read_episodes(run):
            row = episode.model_dump(mode="json", include=set(FACTS))
            rendered = render(episode.prompt, episode.turns, None, Format(template="plain"))
            yield {
                "run": run.name,
                "config_digest": digest,
                **{name: row[name] for name in FACTS},
                "actions": [turn.action for turn in episode.turns],
                "rewards": [turn.reward for turn in episode.turns],
                "valid": [turn.valid for turn in episode.turns],
                "text": rendered.text,
                "spans": [
                    {"kind": span.kind, "start": span.start, "end": span.end, "turn": span.turn}
                    for span in rendered.spans
                ],
            }


def sft_rows(
    episodes: Iterable[tuple[str, Episode]], *, per_turn: bool = False
) -> Iterator[dict[str, Any]]:
    """Chat examples of (run name, episode) pairs, in the forms TRL's `SFTTrainer` reads.

    Without `per_turn`: `{"messages": [...]}`, a conversation per episode. With it:
    `{"prompt": [...], "completion": [one assistant message]}` for every turn with an action, whose
    completion alone is trained on. The other fields say where the example is from.
    """
    for run, episode in episodes:
        origin = {
            "run": run, "env_id": episode.env_id, "task_id": episode.task_id,
            "repeat": episode.repeat,
        }  # fmt: skip
        style = get_style(episode.prompt.style)
        if not per_turn:
            chat = messages(episode.prompt, episode.turns, style)
            yield {"messages": [asdict(message) for message in chat], **origin}
            continue
        for index, turn in enumerate(episode.turns):
            if turn.action is None:
                continue
            before = messages(episode.prompt, episode.turns[:index], style)
            yield {
                "prompt": [asdict(message) for message in before],
                "completion": [{"role": "assistant", "content": turn.generated}],
                **origin,
                "turn": index,
            }


def write_lines(rows: Iterator[dict[str, Any]], out: Path) -> int:
    """Write an object per line; the number of lines."""
    written = 0
    with _opened(out) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            written += 1
    return written


def write_csv(runs: Sequence[Path], out: Path) -> int:
    """Write the tidy frame of `leaderboards.load` as CSV; the number of episodes."""
    from leaderboards.load import load

    frame = load(runs)
    with _opened(out) as file:
        frame.to_csv(file, index=False, lineterminator="\n")
    return len(frame)


def write_atif(runs: Sequence[Path], out: Path) -> int:
    """Write `OUT/TASK-REPEAT.json` for every episode, in a folder per run if there are several.

    Raises:
        HarnessError: a folder is no run, or a file cannot be written.
    """
    from leaderboards.interchange import to_atif

    written = 0
    for run in runs:
        folder = out / run.name if len(runs) > 1 else out
        _make(folder)
        digest, version = run_digest(run), _package_version(run)
        for episode in read_episodes(run):
            document = to_atif(
                episode, session=f"{run.name}-{digest}", version=version,
                run=run, beside=folder, digest=digest,
            )  # fmt: skip
            data = document.to_json_dict()
            text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
            with _opened(folder / f"{_file_name(episode.task_id)}-{episode.repeat}.json") as file:
                file.write(text)
            written += 1
    return written


def _file_name(task_id: str) -> str:
    """A task as the name of a file; a long one is cut and told from others by its digest."""
    name = quote(task_id, safe="")
    if len(name) <= NAME_CHARACTERS:
        return name
    return f"{name[:NAME_CHARACTERS]}-{sha256(task_id.encode()).hexdigest()[:16]}"


def run_digest(run: Path) -> str:
    """The digest of a run's configuration, as its `config.json` says it.

    Raises:
        HarnessError: the folder holds no run.
    """
    return str(read_object(run / CONFIG).get("digest", ""))


def _package_version(run: Path) -> str:
    packages = read_object(run / ENV).get("packages")
    known = packages if isinstance(packages, dict) else {}
    return str(known.get("structured-agent-distillation", "unknown"))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HarnessError(f"cannot write {folder}: {error.strerror}") from error


@contextmanager
def _opened(out: Path) -> Iterator[IO[str]]:
    """A text file to write, or standard output for `-`."""
    if str(out) == "-":
        yield sys.stdout
        return
    _make(out.parent)
    try:
        with out.open("w", encoding="utf-8", newline="\n") as file:
            yield file
    except OSError as error:
        raise HarnessError(f"cannot write {out}: {error.strerror}") from error
