"""``workbench search``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from workbench.cli.output import TerminalProgress, console, duration
from workbench.cli.running import RECIPE, SET
from workbench.errors import ExitCode


def add(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(
        epilog="Examples: workbench search digits-search · "
        "workbench search recipe.yaml --trials 100 --minutes 30 · "
        "workbench search recipe.yaml --workers 4 --set search.sampler=nsga2 · "
        "workbench search recipe.yaml --engine ray --address ray-head:6379 --worker-type c7i"
    )(search)


def search(
    recipe: RECIPE,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Chains to try in all.", show_default="the recipe's"),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            help="Begin no further chain after that, over all sittings.",
            show_default="the recipe's",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time.", show_default="1; Ray: its slots")
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option("--engine", help="Who runs the trials.")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option("--address", help="--engine ray: the cluster.", show_default="one is started"),
    ] = None,
    worker_type: Annotated[
        str | None,
        typer.Option(
            "--worker-type", metavar="RESOURCE",
            help="--engine ray: a custom resource; trials that measure latency run where it is.",
        ),
    ] = None,
    overrides: SET = None,
    runs: Annotated[Path, typer.Option("--runs", help="Folder of run directories.")] = Path("runs"),
    strict: Annotated[
        bool, typer.Option("--strict", help="An undecided constraint counts as broken.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print search.json instead.")] = False,
) -> int:  # fmt: skip
    """Explore the chains of a recipe's `search:` block; the best become variants of a run.

    A search that was stopped goes on where it was. Exit code 1: no chain keeps the constraints.
    """
    from workbench.recipe import load_recipe
    from workbench.report.terminal import print_grid
    from workbench.search.explore import Where
    from workbench.search.explore import search as explore
    from workbench.search.table import frontier_grid, unmet
    from workbench.shipped import find_recipe

    source = load_recipe(find_recipe(recipe), overrides=tuple(overrides or ()))
    where = Where(engine=engine, workers=workers, address=address, worker_type=worker_type)
    with TerminalProgress() as progress:
        result, folder = explore(
            source, runs=runs, trials=trials, minutes=minutes, where=where, strict=strict,
            progress=progress,
        )  # fmt: skip
    kept = any(not point.broken for point in result.points)
    if as_json:
        typer.echo(result.model_dump_json(indent=1, exclude_none=True))
    elif folder is None:
        for line in unmet(result):
            console().print(line, markup=False, soft_wrap=True)
    else:
        screen = console()
        print_grid(screen, frontier_grid(result))
        done = f"{folder} ({duration(result.seconds)}); frontier.svg, frontier.png, search.json"
        screen.print(done, markup=False, soft_wrap=True)
    return int(ExitCode.OK if kept else ExitCode.GATE_FAILED)
