"""Passage files in every shape that is known, and in some that are not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from sad_envs.base import EnvError
from sad_envs.search import read_passages


def written(tmp_path: Path, text: str, name: str = "passages.json") -> list[Path]:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return [path]


def found(tmp_path: Path, *records: Any) -> list[tuple[str, str]]:
    files = written(tmp_path, json.dumps(records))
    return [(passage.title, passage.text) for passage in read_passages(files)]


def test_titles_and_texts(tmp_path: Path) -> None:
    records = {"title": "A", "text": "b"}, {"title": "C", "text": ["d. ", "e."]}
    assert found(tmp_path, *records) == [("A", "b"), ("C", "d. e.")]


def test_paragraphs_of_questions(tmp_path: Path) -> None:
    question = {"question": "?", "context": [["A", ["b. ", "c."]], ["D", ["e."]]]}
    assert found(tmp_path, question) == [("A", "b. c."), ("D", "e.")]


def test_repeated_passages_without_ids_count_once(tmp_path: Path) -> None:
    one, other = {"title": "A", "text": "b"}, {"title": "A", "text": "c"}
    assert found(tmp_path, one, other, one) == [("A", "b"), ("A", "c")]


def test_made_ids_depend_on_the_passage_alone(tmp_path: Path) -> None:
    one, other = {"title": "A", "text": "b"}, {"title": "C", "text": "d"}
    first = list(read_passages(written(tmp_path, json.dumps([one, other]))))
    second = list(read_passages(written(tmp_path, json.dumps([other, one]))))
    assert first == second[::-1]


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.jsonl.gz"])
def test_a_beir_corpus(tmp_path: Path, name: str) -> None:
    text = '{"_id": "1", "title": "A", "text": "b"}\n\n{"_id": "2", "title": "C", "text": "d"}\n'
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    assert [(one.id, one.title) for one in read_passages([path])] == [("1", "A"), ("2", "C")]


def test_redirects_come_with_the_passage(tmp_path: Path) -> None:
    record = {"title": "A", "text": "b", "redirects": ["An A"]}
    (passage,) = read_passages(written(tmp_path, json.dumps(record)))
    assert passage.redirects == ("An A",)


@pytest.mark.parametrize(
    "text",
    ["{", '{"title": 1, "text": "b"}', '["a"]', '{"context": [["A"]]}', "12", '[{"title": "A"}]'],
)
def test_other_records_are_named_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(EnvError, match=r"passages\.json") as error:
        list(read_passages(written(tmp_path, text)))
    assert "\n" not in str(error.value)


def test_damaged_files_are_named_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"title": "A", "text": "b"}')[:-4])
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe\x00")
    for file in (path, binary, tmp_path / "missing.json", tmp_path):
        with pytest.raises(EnvError, match=file.name):
            list(read_passages([file]))
