"""``workbench report``: one self-contained page of one or several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.costing import REQUESTS, TRAFFIC, traffic_of
from workbench.cli.output import TerminalProgress
from workbench.errors import ExitCode, InputError, MissingError

EXAMPLES = (
    "workbench report runs/minilm-int8 --open",
    "workbench report runs/minilm-int8 --requests 2M --region eu-west-1",
    "workbench report runs/* --output team.html",
)


def add(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(epilog="\n\n".join(("Examples:", *EXAMPLES)))(report)


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run directories.", metavar="RUN...")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            help="The file to write.",
            show_default="report.html in the run directory, or here for several runs",
        ),
    ] = None,
    traffic: TRAFFIC = None,
    requests: REQUESTS = None,
    region: Annotated[str, typer.Option(help="Region of the prices.")] = "us-east-1",
    explorer: Annotated[
        bool,
        typer.Option(
            "--explorer/--no-explorer",
            help="Cost over volumes, objectives and regions: seconds a variant, once.",
        ),
    ] = True,
    open_it: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
) -> int:
    """Write the report of a run, or of several, as one HTML file that needs no network."""
    from workbench.report.html.report import REPORT_FILE, write_html
    from workbench.run_directory import load_run

    found = [load_run(folder) for folder in runs]
    load = None if traffic is None and requests is None else traffic_of(traffic, requests)
    if output is None:
        single = runs[0] if runs[0].is_dir() else runs[0].parent
        output = (single if len(runs) == 1 else Path()) / REPORT_FILE
    elif output.is_dir():
        raise InputError(f"{output} is a folder.", hint=f"Write {output / REPORT_FILE}.")
    with TerminalProgress() as progress:
        write_html(found, output, traffic=load, region=region, explorer=explorer, progress=progress)
    typer.echo(str(output))
    if open_it:
        import webbrowser

        if not webbrowser.open(output.resolve().as_uri()):
            raise MissingError("No browser can be opened here.", hint=f"Open {output} in one.")
    return int(ExitCode.OK)
