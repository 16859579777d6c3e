"""``workbench verify``: the hosting contract, clause by clause."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from workbench.cli.output import TerminalProgress, console, print_json
from workbench.errors import ExitCode

if TYPE_CHECKING:
    from workbench.conformance import Result


def add(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        epilog="Examples: workbench verify http://localhost:8080 --sample x.csv:text/csv · "
        "workbench verify image.tar · workbench verify my-image --run --model DIR · "
        "workbench verify model.tar.gz"
    )(verify)


def verify(
    target: Annotated[
        str, typer.Argument(help="A URL, an image's archive or name, or a model.tar.gz.")
    ],
    mode: Annotated[
        Literal["single", "multi", "unknown"],
        typer.Option("--mode", help="One model or many; unknown: the server is asked."),
    ] = "unknown",
    sample: Annotated[
        list[str] | None,
        typer.Option("--sample", metavar="FILE:TYPE", help="A real request; repeatable."),
    ] = None,
    only: Annotated[
        str, typer.Option("--only", metavar="C11,C12", help="Only these clauses.")
    ] = "",
    model: Annotated[
        Path | None,
        typer.Option("--model", help="The model's folder: gives requests, and goes into --run."),
    ] = None,
    models: Annotated[
        Path | None, typer.Option("--models", help="Folder of models to load (multi-model).")
    ] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Run the image and check the server in it too.")
    ] = False,
    run_args: Annotated[
        str, typer.Option("--run-args", help="Further arguments of the engine's run.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Check a container, an image or a model archive against the hosting contract."""
    from workbench.conformance import check, failed
    from workbench.conformance.samples import sample_from_option
    from workbench.conformance.targets import Options, open_target

    options = Options(
        mode=mode,
        samples=tuple(map(sample_from_option, sample or ())),
        model=model,
        models=models,
        run=run,
        run_arguments=run_args,
    )
    chosen = [word.strip().upper() for word in only.split(",") if word.strip()]
    with TerminalProgress() as progress, open_target(target, options) as subject:
        results = check(subject, chosen, progress)
    if as_json:
        print_json([result.model_dump(mode="json") for result in results])
    else:
        print_results(target, results)
    return int(ExitCode.GATE_FAILED if failed(results) else ExitCode.OK)


def print_results(target: str, results: list[Result]) -> None:
    """A table of the clauses, and how many passed."""
    from rich.table import Table
    from rich.text import Text

    styles = {"pass": "green", "fail": "bold red", "not tested": "dim"}
    table = Table(title=Text(target), title_justify="left", show_lines=False)
    for column in ("clause", "what it asks for", "result", "detail"):
        table.add_column(column, overflow="fold")
    for result in results:
        style = styles[result.outcome]
        table.add_row(
            result.clause,
            Text(result.title),
            Text(result.outcome, style=style),
            Text(result.detail, style="dim" if result.outcome == "not tested" else ""),
        )
    screen = console()
    screen.print(table)
    counts = {name: sum(result.outcome == name for result in results) for name in styles}
    screen.print(" · ".join(f"{count} {name}" for name, count in counts.items()))
