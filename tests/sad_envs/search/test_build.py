"""Building and opening indexes: interrupted, damaged, of another kind."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_corpus import make_passages

from sad_envs.base import EnvError
from sad_envs.search import (
    CONTENTS,
    Passage,
    SearchIndexError,
    build_index,
    documents_digest,
    index_info,
    open_engine,
)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_passages_make_the_same_bytes(tmp_path: Path) -> None:
    passages = make_passages(100)
    build_index(passages, tmp_path / "a")
    build_index(iter(passages), tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_the_digest_is_that_of_the_documents_in_any_order(tmp_path: Path) -> None:
    passages = make_passages(50)
    shuffled = random.Random(1).sample(passages, len(passages))
    digest = build_index(passages, tmp_path / "a").digest
    assert build_index(shuffled, tmp_path / "b").digest == digest
    assert documents_digest(passages) == digest
    assert documents_digest(passages[1:]) != digest


def test_order_does_not_change_what_is_found(tmp_path: Path) -> None:
    passages = make_passages(200)
    build_index(passages, tmp_path / "a")
    build_index(passages[::-1], tmp_path / "b")
    first, second = open_engine(tmp_path / "a"), open_engine(tmp_path / "b")
    for query in ("river", "king castle", "film actor band"):
        assert first.search(query, 50) == second.search(query, 50)


def test_progress_counts_the_passages(tmp_path: Path) -> None:
    heard: list[int] = []
    build_index(make_passages(20), tmp_path / "index", progress=heard.append)
    assert heard == list(range(1, 21))


class Interrupted(Exception):
    pass


def cut_off(passages: list[Passage], after: int) -> Iterator[Passage]:
    yield from passages[:after]
    raise Interrupted


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints every ten passages."""
    monkeypatch.setattr("sad_envs.search.build._CHECKPOINT_EVERY", 10)


@pytest.mark.usefixtures("often")
def test_an_interrupted_build_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passages = make_passages(100)
    build_index(passages, tmp_path / "whole")
    with pytest.raises(Interrupted):
        build_index(cut_off(passages, 57), tmp_path / "index")
    assert not (tmp_path / "index").exists()
    added: list[str] = []
    from sad_envs.search.bm25_build import Bm25Writer

    add = Bm25Writer.add

    def noting(self: Bm25Writer, passage: Passage) -> None:
        added.append(passage.id)
        add(self, passage)

    monkeypatch.setattr(Bm25Writer, "add", noting)
    build_index(passages, tmp_path / "index")
    assert added == [passage.id for passage in passages[50:]]
    assert contents(tmp_path / "index") == contents(tmp_path / "whole")


@pytest.mark.usefixtures("often")
def test_an_unfinished_index_of_other_passages_is_not_continued(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        build_index(cut_off(make_passages(100), 57), tmp_path / "index")
    with pytest.raises(EnvError, match="other passages"):
        build_index(make_passages(100, seed=1), tmp_path / "index")
    build_index(make_passages(100, seed=1), tmp_path / "index")


@pytest.mark.usefixtures("often")
def test_an_unfinished_index_of_another_scoring_is_started_again(tmp_path: Path) -> None:
    passages = make_passages(100)
    with pytest.raises(Interrupted):
        build_index(cut_off(passages, 57), tmp_path / "index")
    build_index(passages, tmp_path / "index", scoring=CONTENTS)
    build_index(passages, tmp_path / "whole", scoring=CONTENTS)
    assert contents(tmp_path / "index") == contents(tmp_path / "whole")


def test_an_older_index_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    build_index(make_passages(10), tmp_path / "index")
    with pytest.raises(Interrupted):
        build_index(cut_off(make_passages(20), 15), tmp_path / "index")
    assert open_engine(tmp_path / "index").describe().documents == 10
    build_index(make_passages(20), tmp_path / "index")
    assert open_engine(tmp_path / "index").describe().documents == 20
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_no_passages_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvError, match="no passages"):
        build_index([], tmp_path / "index")


def test_an_id_that_occurs_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvError, match="'same'"):
        build_index([Passage("same", "A", "b"), Passage("same", "C", "d")], tmp_path / "index")
    build_index([Passage("one", "A", "b"), Passage("other", "C", "d")], tmp_path / "index")


def test_texts_that_are_no_unicode_are_cleaned(tmp_path: Path) -> None:
    build_index([Passage("1", "A\ud800", "river\x00")], tmp_path / "index")
    assert open_engine(tmp_path / "index").search("river")[0].title == "A\ufffd"


def test_an_empty_title_or_text_is_no_field(tmp_path: Path) -> None:
    build_index([Passage("1", "", "river"), Passage("2", "River", "")], tmp_path / "index")
    assert [hit.id for hit in open_engine(tmp_path / "index").search("river")] == ["2", "1"]


def one_line(error: pytest.ExceptionInfo[SearchIndexError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    assert "harness data index" in message
    return message


def test_a_missing_index_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(SearchIndexError) as error:
        open_engine(tmp_path / "nowhere")
    assert "does not exist" in one_line(error)


def test_a_folder_that_is_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SearchIndexError) as error:
        open_engine(tmp_path)
    assert "is not a search index" in one_line(error)


@pytest.mark.parametrize("cut", [0, 1, 100])
def test_a_truncated_file_is_named(tmp_path: Path, cut: int) -> None:
    build_index(make_passages(100), tmp_path / "index")
    path = tmp_path / "index" / "text.documents"
    path.write_bytes(path.read_bytes()[: -1 - cut])
    with pytest.raises(SearchIndexError) as error:
        open_engine(tmp_path / "index")
    assert "text.documents has" in one_line(error)


def test_a_file_that_was_deleted_is_named(tmp_path: Path) -> None:
    build_index(make_passages(10), tmp_path / "index")
    (tmp_path / "index" / "ties").unlink()
    with pytest.raises(SearchIndexError) as error:
        open_engine(tmp_path / "index")
    assert "ties is missing" in one_line(error)


def test_another_version_is_refused(tmp_path: Path) -> None:
    build_index(make_passages(10), tmp_path / "index")
    manifest = tmp_path / "index" / "index.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 99}))
    with pytest.raises(SearchIndexError) as error:
        open_engine(tmp_path / "index")
    assert "format 99, expected 1" in one_line(error)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', "\xff"])
def test_a_damaged_manifest_is_one_line(tmp_path: Path, text: str) -> None:
    build_index(make_passages(10), tmp_path / "index")
    (tmp_path / "index" / "index.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(SearchIndexError) as error:
        open_engine(tmp_path / "index")
    one_line(error)


def test_an_index_of_the_other_engine_is_refused(tmp_path: Path) -> None:
    build_index(make_passages(10), tmp_path / "index")
    with pytest.raises(SearchIndexError) as error:
        index_info(tmp_path / "index", "lucene")
    assert "built for the engine bm25" in one_line(error)


def test_an_unknown_engine_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvError, match="unknown search engine 'sqlite'"):
        open_engine(tmp_path, "sqlite")  # type: ignore[arg-type]
