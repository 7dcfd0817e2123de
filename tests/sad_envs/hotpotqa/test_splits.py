"""Splits: which questions, in what order, searched in what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sad_envs.base import EnvError
from sad_envs.hotpotqa.corpus import Corpus, index_articles
from sad_envs.hotpotqa.env import HotPotQAEnv
from sad_envs.hotpotqa.splits import find_split, react500_indices, sample_part
from sad_envs.hotpotqa.tasks import Question, read_questions
from sad_envs.search import Passage, build_index


def test_react_protocol_draws_what_the_paper_drew() -> None:
    indices = react500_indices()
    assert indices[:20] == [
        3687, 6238, 5388, 3522, 3824, 2866, 1551, 2544, 1557, 5762,
        7275, 3188, 200, 2825, 3543, 1320, 2811, 1885, 4237, 7026,
    ]  # fmt: skip
    assert (len(indices), indices[-1], sum(indices)) == (500, 4082, 1_880_737)


def test_parts_of_the_sample_are_by_the_digest_of_the_id() -> None:
    questions = [Question(f"{n:024x}", n, f"q{n}", "a", "bridge") for n in range(300)]
    train, dev = sample_part(questions, "train"), sample_part(questions, "dev")
    assert (len(train), len(dev)) == (200, 100)
    assert sorted([*train, *dev], key=lambda one: one.index) == questions
    assert list(train) == sorted(train, key=lambda one: one.index)
    assert sample_part(questions[::-1], "dev") == dev[::-1]


def test_official_record_is_read_with_its_facts(tmp_path: Path) -> None:
    record = {
        "_id": "5a", "question": "Who?", "answer": "B", "type": "bridge", "level": "hard",
        "supporting_facts": [["A", 1], ["A", 9]], "context": [["A", ["One.", " Two."]]],
    }  # fmt: skip
    path = tmp_path / "questions.json"
    path.write_text(json.dumps([record]))
    (question,) = read_questions(path)
    assert (question.task_id, question.level, question.answer) == ("5a", "hard", "B")
    assert [(fact.title, fact.sentence) for fact in question.facts] == [("A", "Two.")]


@pytest.mark.parametrize("chunk", [1, 7, 100, 10_000])
@pytest.mark.parametrize("indent", [None, 2])
def test_file_is_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, indent: int | None
) -> None:
    monkeypatch.setattr("sad_envs.hotpotqa.tasks._CHUNK", chunk)
    records = [{"question": f"é{n}]", "answer": ", ", "type": "bridge"} for n in range(50)]
    path = tmp_path / "questions.json"
    path.write_text(json.dumps(records, indent=indent and 90, ensure_ascii=False) + "\n")
    assert [one.question for one in read_questions(path)] == [r["question"] for r in records]


@pytest.mark.parametrize(
    "text", ["", "[", '[{"question": "x"', "{", "[1]", '[{"question": "x"}]', '{"a": 1}']
)
def test_file_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "questions.json"
    path.write_text(text)
    with pytest.raises(EnvError, match="no HotPotQA file") as refused:
        read_questions(path)
    assert "\n" not in str(refused.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvError, match="cannot read"):
        read_questions(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("train", "harness data fetch hotpotqa-train"),
        ("dev", "harness data fetch hotpotqa-dev"),
        ("sample300", "harness data fetch hotpotqa"),
        ("react500", "index=FOLDER"),
    ],
)
def test_absent_data_is_one_line_with_the_command(
    split: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAD_CACHE", str(tmp_path))
    with pytest.raises(EnvError, match=words):
        find_split(split, None)


def test_first_paragraph_of_a_title_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("a.json", "first"), ("b.json", "second")):
        (tmp_path / name).write_text(json.dumps([{"title": "A", "text": text}]))
    monkeypatch.setattr("sad_envs.hotpotqa.corpus.data_path", lambda name: tmp_path)
    corpus = Corpus("x", dataset="hotpotqa", files=("a.json", "b.json"))
    assert [passage.text for passage in corpus.passages()] == ["first"]


def test_lucene_folder_wants_its_engine(tmp_path: Path) -> None:
    (tmp_path / "segments_1").touch()
    with pytest.raises(EnvError, match="engine=lucene"):
        Corpus("index", folder=tmp_path).open("bm25")


@pytest.mark.realdata
def test_sample_is_searched_in_its_paragraphs_and_the_distractors(hotpotqa_data: Path) -> None:
    env = HotPotQAEnv(split="sample300")
    assert len(env.task_ids) == 300
    _, info = env.reset(options={"task_id": "5ade025e5542997dc790711e"})
    assert (info["task_type"], info["level"]) == ("bridge", "easy")
    opening = env.step("search[Teutberga]")[0]  # a distractor
    assert opening.startswith("Teutberga")
    assert env.step("search[Malcolm Smith]")[0].startswith(
        "Could not find Malcolm Smith. Similar: ['Malcolm Smith (American football)', "
    )


@pytest.mark.realdata
def test_parts_of_the_real_sample_are_fixed(hotpotqa_data: Path) -> None:
    train, dev = find_split("sample300:train", None), find_split("sample300:dev", None)
    assert (len(train.task_ids), len(dev.task_ids)) == (200, 100)
    assert set(train.task_ids).isdisjoint(dev.task_ids)
    assert train.task_ids[0] == "5a832c3455429954d2e2ec41"
    assert dev.task_ids[0] == "5ade025e5542997dc790711e"


@pytest.mark.realdata
def test_react500_on_an_index_of_ones_own(hotpotqa_data: Path, tmp_path: Path) -> None:
    build_index(
        [Passage("1", "Sourwood", "Sourwood is a tree. It flowers in June.")], tmp_path / "i"
    )
    env = HotPotQAEnv(split="react500", index=tmp_path / "i")
    assert len(env.task_ids) == 500
    assert env.task_ids[0] == "dev-3687"
    observation, info = env.reset(options={"task_id": "dev-3687"})
    assert observation.startswith("Question: What movie did actress Irene Jacob complete before")
    assert env.step("search[sourwood]")[0] == "Sourwood is a tree. It flowers in June."
    info = env.step("finish[Beyond the Clouds]")[4]
    assert (info["em"], info["question_idx"]) == (True, 3687)
    answers = [one.answer for one in env._split.questions]
    assert [answers[i] for i in (1, 2, 3, 7)] == [
        "Seth MacFarlane", "torpedoes", "James Worthy", "no",
    ]  # fmt: skip
    assert sum(answer in ("yes", "no") for answer in answers) == 32


def test_index_of_files_is_kept_when_good_and_built_again_when_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAD_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "passages.jsonl"
    path.write_text('{"title": "A", "text": "One."}\n{"title": "B", "text": "Two."}\n')
    heard: list[int] = []
    folder, info = index_articles("hotpotqa", "bm25", files=[path], progress=heard.append)
    assert (info.documents, heard) == (2, [1, 2])
    assert index_articles("hotpotqa", "bm25", files=[path], progress=heard.append)[0] == folder
    assert heard == [1, 2]
    (folder / "index.json").write_text("{")
    index_articles("hotpotqa", "bm25", files=[path], progress=heard.append)
    assert heard == [1, 2, 1, 2]
    path.write_text('{"title": "A", "text": "Three."}\n')
    assert index_articles("hotpotqa", "bm25", files=[path])[0] != folder
    out = tmp_path / "mine"
    assert index_articles("hotpotqa", "bm25", files=[path], out=out)[0] == out


@pytest.mark.parametrize(
    ("name", "engine", "words"),
    [
        ("hotpot", "bm25", "did you mean 'hotpotqa'"),
        ("hotpotqa", "lucent", "did you mean 'lucene'"),
        ("hotpotqa", "bm25", "cannot read"),
    ],
)
def test_index_of_what_is_not_there_is_refused(
    name: str, engine: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(EnvError, match=words):
        index_articles(name, engine, files=[tmp_path / "none"], out=tmp_path / "out")
