"""`harness webshop`: the shop as a web site."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _root() -> None:
    """The shop as a web site."""


@app.command("serve")
def serve(
    split: Annotated[str, typer.Option(help="Whose shop and goals.")] = "generated:0",
    host: Annotated[
        str, typer.Option(help="Address; this machine alone by default.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 3000,
    seed: Annotated[int, typer.Option(help="Of the goals of sessions without a number.")] = 0,
    log: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a file per session, as upstream does.")
    ] = None,
    attrs: Annotated[bool, typer.Option("--attrs", help="Show the button Attributes.")] = False,
    images: Annotated[
        bool, typer.Option("--images", help="Load product pictures from other people's servers.")
    ] = False,
    env_args: Annotated[
        list[str] | None,
        typer.Option(
            "--env-arg", metavar="K=V", help="release, goals, nouns, engine or price_seed."
        ),
    ] = None,
) -> None:
    """Serve the WebShop site until interrupted; prints its address.

    The session `fixed_I` has the goal of number I, any other name one drawn at random.
    """
    import signal

    from harness.cli.progress import say
    from harness.environments import parse_env_args
    from harness.errors import HarnessError
    from sad_envs.base import did_you_mean
    from sad_envs.webshop.site.app import create_app
    from sad_envs.webshop.site.server import Server, is_loopback
    from sad_envs.webshop.splits import find_split

    arguments = parse_env_args(env_args or [])
    known = [name for name in inspect.signature(find_split).parameters if name != "name"]
    for name in arguments:
        if name not in known:
            raise HarnessError(f"the site has no --env-arg {name!r}{did_you_mean(name, known)}")
    if "release" in arguments:
        arguments["release"] = str(arguments["release"])
    found = find_split(split, **arguments)
    site = create_app(
        found.catalogue, found.goals, seed=seed, log=log, show_attributes=attrs, images=images
    )
    server = Server(site, host=host, port=port)
    if not is_loopback(host):
        say(f"anybody who reaches {host} can use this shop")
    first, last = (f"fixed_{found.goals[at].index}" for at in (0, -1))
    say(f"{len(found.goals):,} goals, from {first} to {last}; Ctrl-C ends the shop")
    typer.echo(server.address)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server.serve_forever()
