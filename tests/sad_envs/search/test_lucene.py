"""Lucene itself, and that the embedded engine ranks as it does."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_corpus import make_passages

from sad_envs.base import EnvError
from sad_envs.search import (
    CONTENTS,
    TITLE_AND_TEXT,
    Document,
    Hit,
    Passage,
    Scoring,
    SearchEngine,
    SearchIndexError,
    build_index,
    documents_digest,
    open_engine,
)
from sad_envs.search.analysis import Analyzer, clean
from sad_envs.search.segment import _table

pytestmark = pytest.mark.lucene


def both(
    passages: list[Passage], folder: Path, scoring: Scoring = TITLE_AND_TEXT
) -> tuple[SearchEngine, SearchEngine]:
    """The two engines on the same passages."""
    build_index(passages, folder / "bm25", scoring=scoring)
    build_index(passages, folder / "lucene", "lucene", scoring=scoring)
    return open_engine(folder / "bm25"), open_engine(folder / "lucene", "lucene")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchEngine, SearchEngine]:
    return both(make_passages(400), tmp_path_factory.mktemp("small"))


def lucene_terms(text: str) -> list[str]:
    from sad_envs.search.jvm import java_class
    from sad_envs.search.lucene import _analyzer

    found = java_class("io.anserini.analysis.AnalyzerUtils").analyze(_analyzer(), text)
    return [clean(term) for term in found.toArray()]


def odd_texts(n: int, seed: int) -> Iterator[str]:
    """Strings of characters of few classes each, short and long."""
    rng = random.Random(seed)
    table = _table()
    by_class: dict[int, list[int]] = {}
    for code, kind in enumerate(table.tolist()):
        if not 0xD800 <= code < 0xE000:
            by_class.setdefault(kind, []).append(code)
    kinds = list(by_class)
    for _ in range(n):
        some = rng.sample(kinds, rng.randint(1, 6))
        length = rng.choice([rng.randint(1, 12), rng.randint(1, 60), rng.randint(200, 700)])
        yield "".join(chr(rng.choice(by_class[rng.choice(some)])) for _ in range(length))


def test_terms_of_odd_texts_are_lucenes() -> None:
    analyzer = Analyzer()
    for text in map(clean, odd_texts(3000, seed=7)):
        assert analyzer.terms(text) == lucene_terms(text), ascii(text)


def test_stems_are_lucenes() -> None:
    rng = random.Random(3)
    endings = "ational izer ousli iveness biliti logi icate ical ement sion tion eed ed ing y s es"
    analyzer = Analyzer()
    words = [
        "".join(rng.choices("bcdlstwyaeiou", k=rng.randint(0, 5)))
        + "".join(rng.choices(endings.split(), k=rng.randint(0, 3)))
        + rng.choice(["", "", "'s", "’S"])
        for _ in range(5000)
    ]
    text = " ".join(words)
    assert analyzer.terms(text) == lucene_terms(text)


@pytest.mark.realdata
def test_terms_of_all_real_texts_are_lucenes(real_passages: list[Passage]) -> None:
    analyzer = Analyzer()
    for passage in real_passages:
        for text in (passage.title, passage.text):
            assert analyzer.terms(text) == lucene_terms(clean(text))


def questions(files: list[Path]) -> list[str]:
    records: list[dict[str, Any]] = json.loads(files[0].read_text("utf-8"))
    return [record["question"] for record in records]


def thousand_queries(passages: list[Passage], files: list[Path]) -> list[str]:
    """Titles, questions, runs of words, misspellings, and characters of all scripts."""
    rng = random.Random(11)
    titles = [passage.title for passage in passages]
    texts = [passage.text.split() for passage in passages]
    runs = []
    for _ in range(200):
        text = rng.choice(texts)
        at = rng.randrange(len(text))
        runs.append(" ".join(text[at : at + rng.randint(1, 8)]))
    misspelt = []
    for title in rng.sample(titles, 150):
        at = rng.randrange(len(title))
        misspelt.append(title[:at] + rng.choice("aeiou") + title[at + 1 :])
    odd = [f"{rng.choice(titles)} {text}" for text in odd_texts(50, seed=2)]
    return [*rng.sample(titles, 300), *questions(files), *runs, *misspelt, *odd]


def same_ranking(ours: list[Hit], lucenes: list[Hit]) -> bool:
    return [hit.id for hit in ours] == [hit.id for hit in lucenes] and all(
        abs(a.score - b.score) <= 1e-3 for a, b in zip(ours, lucenes, strict=True)
    )


@pytest.mark.realdata
@pytest.mark.parametrize("scoring", [TITLE_AND_TEXT, CONTENTS], ids=["two fields", "one field"])
def test_a_thousand_queries_are_ranked_alike(
    real_passages: list[Passage], hotpotqa_files: list[Path], tmp_path: Path, scoring: Scoring
) -> None:
    ours, lucene = both(real_passages, tmp_path, scoring)
    queries = thousand_queries(real_passages, hotpotqa_files)
    assert len(queries) == 1000
    differing = [q for q in queries if not same_ranking(ours.search(q), lucene.search(q))]
    assert differing == []


def test_equal_scores_are_ordered_alike(small: tuple[SearchEngine, SearchEngine]) -> None:
    ours, lucene = small
    for query in ("river", "king king king castle", "north south war", "film actor band album"):
        assert ours.search(query, 1000) == lucene.search(query, 1000)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "the of",
        "\x00",
        "\ud800river",
        'title:"river" AND (city OR -film)^2 ~* [a TO b] \\',
        "river " * 2000,
        " ".join(f"word{n}" for n in range(3000)) + " river",
        "河 ภาษา 😀",
    ],
)
def test_odd_queries_are_answered_alike(
    small: tuple[SearchEngine, SearchEngine], query: str
) -> None:
    ours, lucene = small
    assert same_ranking(ours.search(query), lucene.search(query))


def test_documents_titles_and_description_agree(small: tuple[SearchEngine, SearchEngine]) -> None:
    ours, lucene = small
    assert ours.document("d7") == lucene.document("d7") is not None
    assert ours.document("x") is lucene.document("x") is None
    title = lucene.search("river")[0].title
    assert ours.with_title(title.upper()) == lucene.with_title(title.upper()) != []
    assert ours.describe().digest == lucene.describe().digest
    assert lucene.describe().version.startswith("9.")


def test_an_interrupted_build_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sad_envs.search.build._CHECKPOINT_EVERY", 10)
    passages = make_passages(100)

    def cut_off() -> Iterator[Passage]:
        yield from passages[:57]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(cut_off(), tmp_path / "index", "lucene")
    info = build_index(passages, tmp_path / "index", "lucene")
    assert (info.documents, info.digest) == (100, documents_digest(passages))
    build_index(passages, tmp_path / "bm25")
    lucene, ours = open_engine(tmp_path / "index", "lucene"), open_engine(tmp_path / "bm25")
    assert lucene.search("river king") == ours.search("river king")


def test_ids_that_occur_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvError, match="3 documents have 2 different ids"):
        build_index(
            [Passage(doc_id, "A", "b") for doc_id in ("same", "same", "other")],
            tmp_path / "index",
            "lucene",
        )


def test_a_truncated_index_is_one_line(tmp_path: Path) -> None:
    build_index(make_passages(50), tmp_path / "index", "lucene")
    path = max((tmp_path / "index" / "lucene").iterdir(), key=lambda path: path.stat().st_size)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(SearchIndexError, match="harness data index"):
        open_engine(tmp_path / "index", "lucene")


def test_damage_that_keeps_the_size_is_one_line(tmp_path: Path) -> None:
    build_index(make_passages(50), tmp_path / "index", "lucene")
    path = next((tmp_path / "index" / "lucene").glob("segments_*"))
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(EnvError, match="cannot open the search index") as error:
        open_engine(tmp_path / "index", "lucene")
    assert "\n" not in str(error.value)


def test_a_deleted_index_goes_on_answering_while_open(tmp_path: Path) -> None:
    build_index(make_passages(50), tmp_path / "index", "lucene")
    engine = open_engine(tmp_path / "index", "lucene")
    before = engine.search("river")
    shutil.rmtree(tmp_path / "index")
    assert engine.search("river king castle")
    assert engine.search("river") == before


def test_a_closed_engine_says_so(tmp_path: Path) -> None:
    build_index(make_passages(3), tmp_path / "index", "lucene")
    engine = open_engine(tmp_path / "index", "lucene")
    engine.close()
    engine.close()
    with pytest.raises(EnvError, match="closed"):
        engine.search("river")


def test_threads_share_an_engine(small: tuple[SearchEngine, SearchEngine]) -> None:
    _, lucene = small
    queries = ["river city", "king", "castle novel school"] * 5
    expected = [lucene.search(query) for query in queries]
    found: dict[int, list[list[Hit]]] = {}

    def ask(name: int) -> None:
        found[name] = [lucene.search(query) for query in queries]

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(found.values()) == [expected] * 3


def test_pyserini_is_not_imported(small: tuple[SearchEngine, SearchEngine]) -> None:
    assert small[1].search("river")
    assert not any(name.startswith("pyserini.search") for name in sys.modules)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_is_refused(small: tuple[SearchEngine, SearchEngine]) -> None:
    assert small[1].search("river")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            small[1].search("river")
            os.write(writing, b"answered")
        except EnvError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        assert "start worker processes with the method 'spawn'" in answer.read()


def prebuilt_index(folder: Path, kind: str) -> Path:
    """An index as Anserini's own indexer makes pyserini's prebuilt ones of BEIR's corpora."""
    from sad_envs.search.jvm import java_class

    corpus = folder / "corpus"
    corpus.mkdir()
    with (corpus / "corpus.jsonl").open("w") as out:
        for passage in make_passages(100):
            record = {"_id": passage.id, "title": passage.title, "text": passage.text}
            out.write(json.dumps(record) + "\n")
    arguments = f"-collection {kind} -generator DefaultLuceneDocumentGenerator -threads 1 \
-storePositions -storeDocvectors -storeRaw -optimize -quiet".split()
    arguments += ["-input", str(corpus), "-index", str(folder / "index")]
    if "Multifield" in kind:
        arguments += ["-fields", "title"]
    java_class("io.anserini.index.IndexCollection").main(arguments)
    return folder / "index"


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("BeirMultifieldCollection", (("title", 2.0), ("contents", 1.0))),
        ("BeirFlatCollection", (("contents", 1.0),)),
    ],
)
def test_a_prebuilt_index_can_be_opened(
    tmp_path: Path, kind: str, fields: tuple[tuple[str, float], ...]
) -> None:
    engine = open_engine(prebuilt_index(tmp_path, kind), "lucene")
    passage = make_passages(100)[7]
    assert len(engine.search(passage.title)) == 5
    assert engine.document("d7") == Document(passage.id, passage.title, passage.text)
    assert engine.document("d7") in engine.with_title(passage.title.upper())
    assert engine.describe().scoring.fields == fields
    assert engine.describe().documents == 100 - sum(not p.text for p in make_passages(100))


def test_a_prebuilt_index_is_ranked_as_by_the_embedded_engine(tmp_path: Path) -> None:
    prebuilt = open_engine(prebuilt_index(tmp_path, "BeirFlatCollection"), "lucene")
    build_index(
        [passage for passage in make_passages(100) if passage.text],
        tmp_path / "bm25",
        scoring=CONTENTS,
    )
    ours = open_engine(tmp_path / "bm25")
    for query in ("river", "castle king", "north of the station"):
        assert ours.search(query, 50) == prebuilt.search(query, 50)


def test_the_digest_of_a_prebuilt_index_is_that_of_one_build(tmp_path: Path) -> None:
    digests = set()
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        folder = prebuilt_index(tmp_path / name, "BeirFlatCollection")
        digests |= {open_engine(folder, "lucene").describe().digest for _ in range(2)}
    assert len(digests) == 2


def test_a_fresh_process_opens_a_stored_index(tmp_path: Path) -> None:
    folder = tmp_path / "köln 河"
    build_index(make_passages(50), folder, "lucene")
    script = (
        "import sys; from pathlib import Path; from sad_envs.search import open_engine; "
        "print(len(open_engine(Path(sys.argv[1]), 'lucene').search('river')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        capture_output=True,
        env={**os.environ, "LC_ALL": "C"},
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("5\n", "")
