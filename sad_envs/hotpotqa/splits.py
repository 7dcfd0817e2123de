"""Which tasks a split has, in which order, and in what articles they are looked up.

| split | questions |
|---|---|
| `generated`, `generated:SEED`, `generated:SEED:NUMBER` | on an encyclopaedia made from a seed |
| `sample300` | 100 easy and 100 medium ones from train, 100 hard ones from dev, in file order |
| `sample300:train`, `sample300:dev` | 200 and 100 of these, see `sample_part` |
| `train`, `dev` | the official files (data sets `hotpotqa-train`, `hotpotqa-dev`) |
| `react500` | 500 of dev, as the ReAct paper draws them; ids `dev-NUMBER` |
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sad_envs.base import EnvError, did_you_mean
from sad_envs.data import data_path, is_present
from sad_envs.hotpotqa.corpus import DEV, SAMPLE, TRAIN, Corpus
from sad_envs.hotpotqa.tasks import Question, read_questions

SAMPLE_TRAIN = 200
"""Questions of `sample300:train`."""

REACT_SEED, REACT_TASKS, DEV_TASKS = 233, 500, 7405
"""The ReAct protocol: shuffle the dev set with this seed and take the first so many."""

_SIMPLIFIED = "hotpot_dev_v1_simplified.json"
_GENERATED = re.compile(r"generated(?::(\d{1,12})(?::(\d{1,5}))?)?")
_KNOWN = (
    *("generated", "generated:SEED", "generated:SEED:NUMBER", "sample300", "sample300:train"),
    *("sample300:dev", "train", "dev", "react500"),
)


@dataclass(frozen=True)
class Split:
    """Questions in their fixed order, and their corpus. `name` has every default written out."""

    name: str
    questions: tuple[Question, ...]
    corpus: Corpus

    @cached_property
    def task_ids(self) -> tuple[str, ...]:
        return tuple(question.task_id for question in self.questions)

    @cached_property
    def _by_id(self) -> dict[str, Question]:
        return {question.task_id: question for question in self.questions}

    def question(self, task_id: str) -> Question:
        """The question of a task."""
        return self._by_id[task_id]

    def digest(self) -> str:
        """Digest of ids, questions and answers."""
        told = [[one.task_id, one.question, one.answer] for one in self.questions]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def find_split(name: str, index: Path | str | None) -> Split:
    """The split `name`, looked up in the index folder `index` when one is given."""
    generated = _GENERATED.fullmatch(name)
    if generated:
        if index is not None:
            raise EnvError(f"split {name!r} brings its own articles; leave out index")
        return _generated(name, generated)
    own = None if index is None else Corpus("index", folder=Path(index).expanduser())
    if name in ("sample300", "sample300:train", "sample300:dev"):
        questions = read_questions(data_path("hotpotqa") / SAMPLE.files[0])
        return Split(name, sample_part(questions, name.partition(":")[2]), own or SAMPLE)
    if name in ("train", "dev"):
        corpus = TRAIN if name == "train" else DEV
        path = data_path(corpus.dataset) / corpus.files[0]
        return Split(name, read_questions(path), own or corpus)
    if name == "react500":
        return _react500(own)
    raise EnvError(f"HotPotQA has no split {name!r}" + did_you_mean(name, _KNOWN))


def sample_part(questions: Sequence[Question], part: str) -> tuple[Question, ...]:
    """The `train` or `dev` part of the sample, or all of it for an empty `part`; in file order.

    Ids are sorted by the hexadecimal SHA-1 of their ASCII text; the first 200 are `train`.
    """
    order = sorted(
        (one.task_id for one in questions),
        key=lambda task_id: hashlib.sha1(task_id.encode(), usedforsecurity=False).hexdigest(),
    )
    chosen = {"": order, "train": order[:SAMPLE_TRAIN], "dev": order[SAMPLE_TRAIN:]}[part]
    return tuple(one for one in questions if one.task_id in set(chosen))


def react500_indices() -> list[int]:
    """Which questions of the dev set the ReAct paper evaluates, in its order."""
    indices = list(range(DEV_TASKS))
    random.Random(REACT_SEED).shuffle(indices)
    return indices[:REACT_TASKS]


def _generated(name: str, match: re.Match[str]) -> Split:
    from sad_envs.hotpotqa.generate import GENERATED_TASKS, MOST_TASKS, generated_questions

    seed, n = int(match[1] or 0), int(match[2] or GENERATED_TASKS)
    if not 1 <= n <= MOST_TASKS:
        raise EnvError(f"split {name!r} asks for {n} tasks; a seed has 1 to {MOST_TASKS}")
    corpus = Corpus(f"generated-{seed}", seed=seed)
    return Split(f"generated:{seed}:{n}", generated_questions(seed, n), corpus)


def _react500(own: Corpus | None) -> Split:
    if is_present(DEV.dataset):
        path = data_path(DEV.dataset) / DEV.files[0]
    elif own is None:
        raise EnvError(
            "split 'react500' needs articles to search: name an index of Wikipedia with "
            "index=FOLDER (and engine=lucene), or run: harness data fetch hotpotqa-dev"
        )
    else:
        path = data_path("hotpotqa") / _SIMPLIFIED
    questions = read_questions(path)
    if len(questions) != DEV_TASKS:
        raise EnvError(f"{path} has {len(questions)} questions; expected {DEV_TASKS}")
    return Split(
        "react500",
        tuple(replace(questions[i], task_id=f"dev-{i:04d}") for i in react500_indices()),
        own or DEV,
    )
