"""``workbench ui``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.output import warn
from workbench.errors import ExitCode


def add(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(epilog="Examples: workbench ui · workbench ui team/runs --port 9000 --open")(ui)


def ui(
    folder: Annotated[
        Path, typer.Argument(help="A folder of run directories.", metavar="[DIR]")
    ] = Path("runs"),
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; others than this machine see it.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")
    ] = 8000,
    open_it: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
) -> int:
    """Show the runs of a folder in a browser: list, compare, reports, and runs under way."""
    from workbench.ui.server import is_local, serve

    if not is_local(host):
        warn(f"Whoever reaches {host} sees all runs of {folder}: nobody is asked who they are.")

    def started(address: str) -> None:
        typer.echo(f"{folder} at {address} (Ctrl-C ends it)")
        if open_it:
            import webbrowser

            if not webbrowser.open(address):
                warn(f"No browser can be opened here: open {address}.")

    serve(folder, host=host, port=port, started=started)
    return int(ExitCode.OK)
