"""``workbench track``, and what ``workbench run --track`` shares with it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.output import console
from workbench.errors import ExitCode, InputError, WorkbenchError

if TYPE_CHECKING:
    from workbench.records import Run
    from workbench.tracking import Tracker


def add(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(
        epilog="Examples: workbench track runs/minilm-int8 --to mlflow · "
        "workbench track runs/minilm-int8 --to mlflow:encoders --tracking-uri http://host:5000"
    )(track)


def track(
    run: Annotated[Path, typer.Argument(help="A run directory.", metavar="RUN")],
    to: Annotated[
        str, typer.Option("--to", metavar="NAME[:EXPERIMENT]", help="Which tracker: mlflow.")
    ],
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            "--tracking-uri", help="The server's address.", show_default="MLFLOW_TRACKING_URI"
        ),
    ] = None,
    models: Annotated[
        bool, typer.Option("--track-models", help="The variants' artifacts too.")
    ] = False,
) -> int:
    """Hand an earlier run over to a tracker; an unchanged one is there once, however often."""
    from workbench.run_directory import load_run

    if not run.is_dir():
        raise InputError(f"{run} is no run directory.")
    tracker = chosen_tracker(to, tracking_uri, models)
    assert tracker is not None
    typer.echo(f"tracked: {tracker.log(load_run(run), run)}")
    return int(ExitCode.OK)


def chosen_tracker(name: str | None, uri: str | None, models: bool) -> Tracker | None:
    """The tracker that the options name, seen to be there before anything long starts.

    Raises:
        InputError: no such tracker, an option without one, or no server is named.
        MissingError: its package is missing or its server cannot be reached.
    """
    if name is None:
        if uri is not None or models:
            raise InputError(
                "--tracking-uri and --track-models are for --track.", hint="Give --track mlflow."
            )
        return None
    from workbench.tracking import make_tracker

    tracker = make_tracker(name, uri=uri, models=models or None)
    tracker.check()
    return tracker


def hand_over(tracker: Tracker, run: Run, folder: Path) -> None:
    """Track a run that has just been made, whose directory is whole.

    Raises:
        WorkbenchError: as the tracker says; the hint tells how to try again.
    """
    try:
        where = tracker.log(run, folder)
    except WorkbenchError as error:
        to = f"{tracker.name}:{getattr(tracker, 'experiment', '')}"
        again = ["workbench", "track", str(folder), "--to", to]
        if uri := getattr(tracker, "uri", None):
            again += ["--tracking-uri", uri]
        if getattr(tracker, "models", False):
            again.append("--track-models")
        error.hint = f"The run is whole in {folder}: {shlex.join(again)} tries again."
        raise
    console(stderr=True).print(f"tracked: {where}", markup=False, soft_wrap=True)
