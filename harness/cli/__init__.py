"""The command line: the one place that reaches across packages, and only inside a command.

Exit codes: 0 done, 1 finished with unscored episodes, 2 bad arguments or a missing prerequisite
(one line on stderr, no traceback), 130 interrupted (what was finished is kept).
"""

from __future__ import annotations

import io
import os
import sys

import typer

app = typer.Typer(
    name="harness",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Run agents in text environments and record what they thought and did.",
)


def _mount() -> None:
    from harness.cli import (
        agent,
        agreement,
        board,
        bundle,
        compare,
        data,
        demonstrate,
        distill,
        doctor,
        env,
        export,
        figures,
        model,
        plugins,
        report,
        run,
        serve,
        spans,
        view,
        webshop,
    )

    app.command("run")(run.run)
    app.command("demonstrate")(demonstrate.demonstrate)
    app.command(
        "serve", context_settings={"allow_extra_args": True, "ignore_unknown_options": False}
    )(serve.serve)
    app.command("distill")(distill.distill)
    app.command("agreement")(agreement.agreement)
    app.command("bundle")(bundle.bundle)
    app.command("spans")(spans.spans)
    app.command("import")(spans.import_)
    app.command("export")(export.export)
    app.command("report")(report.report)
    app.command("compare")(compare.compare)
    app.command("doctor")(doctor.doctor)
    app.command("view")(view.view)
    app.command("figures")(figures.figures)
    app.command("plugins")(plugins.plugins)
    app.add_typer(env.app, name="env", help="List, describe, check and begin environments.")
    app.add_typer(agent.app, name="agent", help="List agents.")
    app.add_typer(model.app, name="model", help="List models, fetch weights.")
    app.add_typer(data.app, name="data", help="List, fetch and verify the benchmarks' data.")
    app.add_typer(board.app, name="board", help="Hand in runs, make the board of them.")
    app.add_typer(webshop.app, name="webshop", help="Serve the WebShop site.")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("structured-agent-distillation"))
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Run agents in text environments and record what they thought and did."""


def main() -> None:
    """Entry point of the `harness` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    # `module:Class` finds modules of the folder one stands in, as `python -m` does.
    sys.path.append(os.getcwd())
    code: object = 0
    try:
        _mount()
        app()
    except SystemExit as error:
        code = error.code
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        if not _print_line(error):
            raise
        code = 2
    _leave(code)


def _leave(code: object) -> None:
    """Exit; hard when a thread is still inside a model, which would abort the interpreter."""
    runner = sys.modules.get("harness.runner")
    if runner is not None and runner.threads_left() and isinstance(code, int):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        print(f"error: cannot write the output: {error.strerror}", file=sys.stderr)
        code = 2
    raise SystemExit(code)


def _print_line(error: Exception) -> bool:
    """Print the line of an error that a user can mend; False for a bug."""
    from harness.errors import HarnessError

    known: tuple[type[Exception], ...] = (HarnessError,)
    base = sys.modules.get("sad_envs.base")
    if base is not None:
        known = (*known, base.EnvError)
    if not isinstance(error, known):
        return False
    print(f"error: {error}", file=sys.stderr)
    return True
