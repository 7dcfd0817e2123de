"""`harness serve`: a model behind an OpenAI-compatible server, with vLLM."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer


def serve(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="smollm2, a folder, or a hub id.")],
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    host: Annotated[
        str, typer.Option(help="Address; this machine alone by default.")
    ] = "127.0.0.1",
    python: Annotated[
        Path | None, typer.Option(help="Interpreter with vllm; else SAD_VLLM_PYTHON, .venvs/vllm.")
    ] = None,
    max_model_len: Annotated[
        int | None, typer.Option(help="Positions; the model's own if unset.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    timeout: Annotated[float, typer.Option(help="Seconds the server may take to start.")] = 600.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the command alone.")] = False,
) -> None:
    """Serve a model with vLLM until interrupted; what follows `--` is handed to vLLM as it is.

    Prints the `harness run` line that goes with it once the server answers. The server's own words
    go to stderr. It ends with this command, however that ends.
    """
    import os
    import signal

    from harness.cli.progress import say
    from harness.errors import HarnessError
    from harness.serving import (
        ServeOptions,
        Server,
        command,
        environment,
        find_python,
        runs_on_cpu,
    )

    source = _source(model)
    served = model if model == "smollm2" else Path(model).name
    extra = tuple(context.args)
    options = ServeOptions(source, served, host, port, max_model_len, dtype, extra)
    interpreter = find_python(python, os.environ)
    on_cpu = runs_on_cpu(interpreter)
    arguments = command(interpreter, options, on_cpu=on_cpu)
    if dry_run:
        typer.echo(shlex.join(arguments))
        return
    _check_port(host, port)
    asked: list[int] = []
    before = {
        number: signal.signal(number, lambda got, frame: asked.append(got))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        say(f"starting vLLM for {model} on port {port}")
        with Server(arguments, environment(interpreter, os.environ, on_cpu=on_cpu)) as server:
            if server.wait_until_healthy(options.base_url, timeout, lambda: bool(asked)):
                typer.echo(
                    f"harness run --agent react --model openai:{served} --base-url "
                    f"{options.base_url} --tokenizer {shlex.quote(model)} "
                    "--env alfworld --limit 24 --concurrency 24"
                )
            code = None
            while code is None and not asked:
                code = server.wait(0.2)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if not asked:
        raise HarnessError(f"the server ended with code {code}; what it said is above")
    if asked[0] == signal.SIGINT:
        raise typer.Exit(130)


def _source(model: str) -> str:
    from harness.errors import HarnessError

    if model == "smollm2":
        from harness.models.weights import smollm2_path

        return str(smollm2_path())
    path = Path(model).expanduser()
    if path.exists() and not (path / "config.json").is_file():
        raise HarnessError(f"{path} has no config.json; expected a transformers model folder")
    return str(path) if path.exists() else model


def _check_port(host: str, port: int) -> None:
    """Refuse a port that is taken, before a minute is spent on loading."""
    import socket

    from harness.errors import HarnessError

    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise HarnessError(
            f"port {port} of {host} cannot be used ({error.strerror}); choose another with --port"
        ) from error
