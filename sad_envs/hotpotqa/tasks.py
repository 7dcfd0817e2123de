"""What a HotPotQA task is: a question, its answer, and the sentences that support it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from sad_envs.base import EnvError

_CHUNK = 1 << 20
"""Characters read at a time."""

_GAP = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class Fact:
    """A supporting fact: an article's title and one of its sentences."""

    title: str
    sentence: str


@dataclass(frozen=True)
class Question:
    """One task. `index` is its place in the file or set it is from.

    `type` is bridge or comparison; `level` is easy, medium or hard, or empty where the data has
    none; `facts` are empty there too.
    """

    task_id: str
    index: int
    question: str
    answer: str
    type: str
    level: str = ""
    facts: tuple[Fact, ...] = ()


def read_questions(path: Path) -> tuple[Question, ...]:
    """The questions of a file in the official format, in its order.

    The simplified format (question, answer and type alone) gets ids `dev-0000` and so on. Raises
    `EnvError` for a file that is neither.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return tuple(_question(record, index) for index, record in enumerate(_records(file)))
    except OSError as error:
        raise EnvError(f"cannot read {path}: {error.strerror}; name an existing file") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise EnvError(
            f"{path} is no HotPotQA file ({type(error).__name__}: {error}); expected a list of "
            "records with question, answer and type"
        ) from error


def _records(file: TextIO) -> Iterator[Any]:
    """The items of a JSON list, one at a time: the train file is larger than its questions.

    Equal to `iter(json.load(file))`.
    """
    decoder, size = json.JSONDecoder(), _CHUNK
    text = file.read(size).lstrip()
    if not text.startswith("["):
        raise ValueError("it is no JSON list")
    at = 1
    while True:
        gap = _GAP.match(text, at)
        at = gap.end() if gap else at
        if text.startswith("]", at):
            return
        try:
            record, at = decoder.raw_decode(text, at)
        except ValueError:
            more = file.read(size)
            if not more:
                raise
            # An item longer than a chunk is tried again with ever larger ones.
            text, at, size = text[at:] + more, 0, 2 * size
            continue
        size = _CHUNK
        yield record


def _question(record: dict[str, Any], index: int) -> Question:
    return Question(
        task_id=record.get("_id", f"dev-{index:04d}"),
        index=index,
        question=str(record["question"]),
        answer=str(record["answer"]),
        type=str(record["type"]),
        level=str(record.get("level", "")),
        facts=tuple(
            _facts(record.get("supporting_facts", ()), dict(record.get("context", ()))),
        ),
    )


def _facts(supporting: Sequence[Any], context: dict[str, list[str]]) -> Iterator[Fact]:
    for title, number in supporting:
        sentences = context[title]
        if number < len(sentences):  # a few in the data name a sentence that is not there
            yield Fact(title, sentences[number].strip())
