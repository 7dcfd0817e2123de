"""The command line: the one place that reaches across packages, and only inside a command.

Exit codes: 0 done, 1 finished with unscored episodes, 2 bad arguments or a missing prerequisite
(one line on stderr, no traceback), 130 interrupted (what was finished is kept).
"""

from __future__ import annotations

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
    from harness.cli import agent, data, env, model, run

    app.command("run")(run.run)
    app.add_typer(env.app, name="env", help="List, describe and check environments.")
    app.add_typer(agent.app, name="agent", help="List agents.")
    app.add_typer(model.app, name="model", help="List models, fetch weights.")
    app.add_typer(data.app, name="data", help="List, fetch and verify the benchmarks' data.")


@app.callback()
def _root() -> None:
    """Run agents in text environments and record what they thought and did."""


def main() -> None:
    """Entry point of the `harness` command."""
    _mount()
    try:
        app(standalone_mode=False)
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        sys.exit(130)
    except SystemExit:
        raise
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        sys.exit(code)


def _exit_code(error: Exception) -> int | None:
    """Print the line of an error that a user can mend; None for a bug."""
    import click

    from harness.errors import HarnessError

    if isinstance(error, click.exceptions.Abort):
        return 130
    if isinstance(error, click.ClickException):
        error.show(sys.stderr)
        return 2
    known: tuple[type[Exception], ...] = (HarnessError,)
    base = sys.modules.get("sad_envs.base")
    if base is not None:
        known = (*known, base.EnvError)
    if isinstance(error, known):
        print(f"error: {error}", file=sys.stderr)
        return 2
    return None
