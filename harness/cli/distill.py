"""`harness distill`: recorded episodes in, a smaller student out."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer


def distill(
    recipe: Annotated[
        str | None, typer.Option(help="Name of a recipe that comes along, or a TOML file.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="hf:PATH_OR_ID or smollm2; the recipe's if unset.")
    ] = None,
    student: Annotated[
        str | None,
        typer.Option(
            help="hf:PATH_OR_ID, smollm2, prune:N, prune:width=W, config:FILE, nano:S, nano:M, "
            "nano:L or nano:XL; the recipe's if unset."
        ),
    ] = None,
    runs: Annotated[
        list[Path] | None, typer.Option(help="A run directory to train on; can be given again.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the student.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Over the recipe's; can be given again."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")
    ] = False,
    eval_runs: Annotated[
        list[Path] | None,
        typer.Option(help="A run whose tasks must not be trained on; can be given again."),
    ] = None,
    teacher_cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the teacher's kept rows, which trainings under one teacher can share; "
            "goes with teacher.source cached or top-k."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    self_test: Annotated[
        bool,
        typer.Option(
            "--self-test", help="Only compare what the device computes with the plain formulas."
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only reckon what it takes; needs no weights, no network."),
    ] = False,
    gpu: Annotated[str, typer.Option(help="Device of --dry-run: h100, a100-80gb, ...")] = "h100",
) -> None:
    """Train a student on recorded episodes.

    Ctrl-C ends the training with a checkpoint; --resume goes on from the last one, exactly.
    """
    # Threads that spin while they wait starve each other on a busy machine. Read when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _require_extra()
    if self_test:
        _self_test(device)
        return
    if dry_run:
        _dry_run(recipe, tuple(settings or ()), teacher, student, runs or [], gpu)
        return
    from harness.cli.distilling import Options, carry_out, read_options

    options = Options(
        recipe,
        tuple(settings or ()),
        teacher,
        student,
        tuple(runs or ()),
        tuple(eval_runs or ()),
        teacher_cache,
    )
    carry_out(read_options(options, out, resume=resume), out, resume=resume, device=device)


def _dry_run(
    name: str | None,
    settings: tuple[str, ...],
    teacher: str | None,
    student: str | None,
    runs: list[Path],
    gpu: str,
) -> None:
    """Print what every student of a recipe would take."""
    from harness.errors import HarnessError
    from sad_distill.datasize import measure
    from sad_distill.dryrun import dry_run
    from sad_distill.gpus import find_gpu
    from sad_distill.recipes import load_recipe

    if name is None:
        raise HarnessError("name a --recipe, such as ladders/gpt2 or sad (docs/recipes.md)")
    chosen = load_recipe(name, settings)
    find_gpu(gpu)
    data = measure(chosen, runs, teacher or chosen.teacher.spec or student) if runs else None
    print(dry_run(chosen, teacher, student, gpu, data, name=name).render())


def _self_test(device: str) -> None:
    """Print every comparison; exits with 1 when one is beyond its tolerance."""
    from harness.cli.tables import print_table
    from harness.models.loading import resolve_device
    from sad_distill.capabilities import capabilities
    from sad_distill.selftest import self_test

    place = str(resolve_device(device))
    checks = self_test(place)
    rows = [
        [one.name, f"{one.deviation:.1e}", f"{one.tolerance:.0e}", "ok" if one.passed else "FAIL"]
        for one in checks
    ]
    print_table(("comparison", "deviation", "allowed", ""), rows)
    found = capabilities(place)
    print(
        f"\n{place}: float32 product in one GEMM {_yes(found.wide_matmul)}, variable-length "
        f"attention {_yes(found.varlen)}, trains in {'bfloat16' if found.bfloat16 else 'float32'}"
    )
    failed = sum(not one.passed for one in checks)
    if failed:
        print(f"{failed} of {len(checks)} comparisons are beyond what is allowed")
        raise typer.Exit(1)


def _yes(found: bool) -> str:
    return "yes" if found else "no"


def _require_extra() -> None:
    from harness.errors import HarnessError

    missing = [name for name in ("torch", "transformers", "safetensors") if not find_spec(name)]
    if missing:
        raise HarnessError(
            f"distillation needs {', '.join(missing)}: "
            "pip install 'structured-agent-distillation[distill]'"
        )
