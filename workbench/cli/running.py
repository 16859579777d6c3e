"""``workbench run`` and ``workbench show``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.output import TerminalProgress, console, duration
from workbench.errors import ExitCode

if TYPE_CHECKING:
    from workbench.records import Run

RECIPE = Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped recipe.")]
SET = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key: profile.batch=[1,8]."),
]


def add(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        epilog="Examples: workbench run minilm-int8 · workbench run recipe.yaml --smoke · "
        "workbench run minilm-int8 --only int8 --set 'profile.batch=[1]'"
    )(run)
    app.command(epilog="Example: workbench show runs/minilm-int8")(show)


def run(
    recipe: RECIPE,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="The whole way in seconds, on a tiny random model.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A variant beside the baseline; repeatable.")
    ] = None,
    overrides: SET = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Another model than the recipe's.")
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", help="Folder of run directories.")] = Path("runs"),
    remeasure: Annotated[
        bool, typer.Option("--remeasure", help="Measure latency again, stored or not.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="An undecided gate fails the run too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print run.json instead.")] = False,
) -> int:
    """Run a recipe: make its variants, measure them beside the baseline, judge the gates."""
    import workbench
    from workbench.recipe import load_recipe
    from workbench.shipped import find_recipe

    settings = tuple(overrides or ()) + ((f"model={_quote(model)}",) if model else ())
    source = load_recipe(find_recipe(recipe), overrides=settings, only=tuple(only or ()))
    with TerminalProgress() as progress:
        result, folder = workbench.run(
            source, runs=runs, smoke=smoke, remeasure=remeasure, progress=progress
        )
    _print(result, folder, as_json)
    return int(ExitCode.OK if result.passed(strict=strict) else ExitCode.GATE_FAILED)


def show(
    folder: Annotated[Path, typer.Argument(help="A run directory.")],
    svg: Annotated[
        Path | None, typer.Option("--svg", help="Write what is printed as a picture too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print run.json instead.")] = False,
) -> int:
    """Print the tables of an earlier run."""
    from workbench.run_directory import load_run

    _print(load_run(folder), folder, as_json, svg)
    return int(ExitCode.OK)


def _print(result: Run, folder: Path, as_json: bool, svg: Path | None = None) -> None:
    from workbench.report.grids import run_grids
    from workbench.report.terminal import print_grid

    if as_json:
        typer.echo(result.model_dump_json(indent=1, exclude_none=True))
        return
    screen = console(record=svg is not None)
    for grid in run_grids(result):
        print_grid(screen, grid)
    if result.smoke:
        screen.print("A smoke run: few samples, and random weights unless the model is ONNX;")
        screen.print("no figure here says anything.\n")
    done = f"{result.performed} made, {result.reused} from the store"
    screen.print(f"{folder} ({duration(result.seconds)}; {done})", markup=False, soft_wrap=True)
    if svg is not None:
        from workbench.artifact import write_atomic

        write_atomic(svg, screen.export_svg(title=f"workbench run {result.name}"))


def _quote(text: str) -> str:
    """A YAML string, whatever is in it; a path is taken from the current folder."""
    import json

    path = Path(text)
    return json.dumps(str(path.absolute()) if path.exists() else text)
