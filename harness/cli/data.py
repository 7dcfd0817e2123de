"""`harness data`: see, fetch, verify and find the benchmarks' data."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sad_envs.data import Progress, Verification

app = typer.Typer(help="List, fetch and verify the benchmarks' data.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Source = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="DIR_OR_URL",
        help="A mirror that holds NAME/FILE, for machines without internet [SAD_DATA_MIRROR].",
    ),
]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Show the data sets, their licences, and which of them are in the cache."""
    from sad_envs.data import cache_folder, catalogue, is_present
    from sad_envs.data.cache import megabytes

    rows: list[dict[str, Any]] = [
        {
            "name": data.name,
            "present": is_present(data.name),
            "title": data.title,
            "licence": data.licence,
            "homepage": data.homepage,
            "n_files": data.n_files,
            "n_bytes": data.n_bytes,
            "download_bytes": data.download_bytes,
            "mirror_only": not all(file.addresses for file in data.files),
        }
        for data in catalogue().values()
    ]
    if as_json:
        typer.echo(json.dumps({"cache": str(cache_folder()), "data": rows}, indent=2))
        return
    for row in rows:
        state = "present" if row["present"] else "not fetched"
        if not row["present"] and row["mirror_only"]:
            state += ", needs --from"
        typer.echo(f"{row['name']:<10} {state}")
        typer.echo(f"{'':<10} {row['title']}")
        typer.echo(
            f"{'':<10} {megabytes(row['download_bytes'])} to download, "
            f"{megabytes(row['n_bytes'])} in {row['n_files']:,} files; {row['licence']}"
        )
    typer.echo(f"cache: {cache_folder()}", err=True)


@app.command("fetch")
def fetch_(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Data sets to fetch.")],
    source: Source = None,
    force: Annotated[
        bool, typer.Option("--force", help="Fetch again and replace what is there.")
    ] = False,
) -> None:
    """Download, verify and unpack data sets; prints their folders."""
    from sad_envs.data import fetch
    from sad_envs.data.store import data_folder

    for name in names:
        data_folder(name)  # a misspelt name is refused before anything is fetched
    with shown_progress() as progress:
        folders = [fetch(name, mirror=source, force=force, progress=progress) for name in names]
    for folder in folders:
        typer.echo(str(folder))


@app.command("verify")
def verify_(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="Data sets to verify; all that are present."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Hash every file again and compare with the catalogue."""
    from sad_envs.data import DataError, catalogue, is_present, verify
    from sad_envs.data.store import data_folder

    for name in names or []:
        data_folder(name)
    chosen = names or [name for name in catalogue() if is_present(name)]
    if not chosen:
        typer.echo("no data set is in the cache; see: harness data list", err=True)
    with shown_progress() as progress:
        results = [verify(name, progress=progress) for name in chosen]
    if as_json:
        typer.echo(json.dumps([_row(result) for result in results], indent=2))
    else:
        for result in results:
            if result.ok:
                typer.echo(result.line())
    bad = [result for result in results if not result.ok]
    if bad:
        raise DataError("; ".join(result.line() for result in bad))


@app.command("path")
def path_(name: Annotated[str, typer.Argument(metavar="NAME", help="A fetched data set.")]) -> None:
    """Print the folder of a fetched data set."""
    from sad_envs.data import data_path

    typer.echo(str(data_path(name)))


@app.command("index")
def index_(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="hotpotqa, hotpotqa-dev, hotpotqa-train, webshop or webshop-full.",
        ),
    ],
    engine: Annotated[str, typer.Option(help="bm25 or lucene.")] = "bm25",
    passages: Annotated[
        list[Path] | None,
        typer.Option(
            "--passages",
            metavar="FILE",
            help="HotPotQA only: index these instead: records with title and text, or HotPotQA "
            "questions with contexts; .json, .jsonl, .gz. May be given several times.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="HotPotQA only: the index folder; else in the cache.")
    ] = None,
) -> None:
    """Build the search index of an environment's articles or products; prints its folder.

    One that was cut off is continued, and one that is there and undamaged is kept.
    """
    from sad_envs.base import did_you_mean
    from sad_envs.data import DataError
    from sad_envs.hotpotqa.corpus import CORPORA, index_articles
    from sad_envs.webshop.catalogue import DATASETS, index_products

    if name in DATASETS:
        if passages or out:
            raise DataError(
                f"{name} is indexed as it is, in the cache; leave out --passages, --out"
            )
        with shown_count("products") as progress:
            folder, info = index_products(name, engine, progress=progress)
        typer.echo(f"{info.documents:,} products, digest {info.digest[:12]}", err=True)
        typer.echo(str(folder))
        return
    if name not in CORPORA:
        known = (*CORPORA, *DATASETS)
        raise DataError(f"{name!r} has nothing to index{did_you_mean(name, known)}")
    with shown_count("articles") as progress:
        folder, info = index_articles(
            name, engine, files=passages or (), out=out, progress=progress
        )
    typer.echo(f"{info.documents:,} articles, digest {info.digest[:12]}", err=True)
    typer.echo(str(folder))


def _row(result: Verification) -> dict[str, Any]:
    return {
        "name": result.name,
        "path": str(result.path),
        "ok": result.ok,
        "n_files": result.n_files,
        "n_bytes": result.n_bytes,
        "missing": result.differences.missing,
        "changed": result.differences.changed,
        "extra": result.differences.extra,
    }


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Progress on stderr: a bar per stage on a terminal, else one line when a stage begins."""
    if not sys.stderr.isatty():
        begun: set[str] = set()

        def plain(stage: str, n_bytes: int, total: int) -> None:
            if stage not in begun:
                begun.add(stage)
                size = f" ({total / 1e6:,.1f} MB)" if total else ""
                typer.echo(f"{stage}{size}", err=True)

        yield plain
        return

    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(file=sys.stderr)) as bars:
        tasks: dict[str, Any] = {}

        def drawn(stage: str, n_bytes: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total or None)
            bars.advance(tasks[stage], n_bytes)

        yield drawn


@contextmanager
def shown_count(what: str) -> Iterator[Callable[[int], None]]:
    """A count on stderr: running on a terminal, else a line now and then."""
    if not sys.stderr.isatty():

        def plain(n: int) -> None:
            if n == 1 or n % 100_000 == 0:
                typer.echo(f"indexing: {n:,} {what}", err=True)

        yield plain
        return

    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("indexing"), BarColumn(), TextColumn(f"{{task.completed:,}} {what}"))
    with Bars(*columns, TimeElapsedColumn(), console=Console(file=sys.stderr)) as bars:
        task = bars.add_task("indexing", total=None)

        def drawn(n: int) -> None:
            if n % 100 == 0 or n < 100:
                bars.update(task, completed=n)

        yield drawn
