"""``workbench compare``."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.costing import traffic_of
from workbench.cli.output import console, print_json
from workbench.errors import ExitCode, InputError

if TYPE_CHECKING:
    from workbench.compare import Comparison
    from workbench.compare.history import History
    from workbench.report.grids import Grid

EXAMPLES = (
    "workbench compare runs/a runs/b",
    "workbench compare runs/a:int8 runs/a:w8 --requests 2M",
    "workbench compare runs/main runs/a runs/b --variant int8 --markdown compare.md",
    "workbench compare --history runs --metric 'latency.p50\\[batch=1]' --html trend.html",
)


def add(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog="\n\n".join(("Examples:", *EXAMPLES)))(compare)


def compare(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Run directories or run.json files; RUN:VARIANT for one variant. The first is "
            "the reference.",
            metavar="RUN",
            show_default=False,
        ),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option("--history", metavar="DIR", help="The trend over all runs below a folder."),
    ] = None,
    variant: Annotated[
        list[str] | None, typer.Option("--variant", help="Only these variants; repeatable.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help="--history: a gate's measurement, such as latency.p50\\[batch=1], or cost; "
            "repeatable.",
            show_default="size, quality, latency.p50",
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="--history: runs from then on.")
    ] = None,
    traffic: Annotated[
        Path | None, typer.Option("--traffic", help="Price this traffic (a YAML file).")
    ] = None,
    requests: Annotated[
        str | None, typer.Option("--requests", help="Constant traffic instead: 2M (a month).")
    ] = None,
    region: Annotated[str, typer.Option(help="Region of the prices.")] = "us-east-1",
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write Markdown too.")
    ] = None,
    paired: Annotated[
        bool,
        typer.Option(
            "--paired", help="Judge quality again on the data where nothing paired is recorded."
        ),
    ] = False,
    svg: Annotated[
        Path | None, typer.Option("--svg", help="Write what is printed as a picture too.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="--history: write a page with charts too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Compare runs: what changed, and size, quality, latency and cost side by side."""
    load = None if traffic is None and requests is None else traffic_of(traffic, requests)
    if history is None:
        alone = {"--metric": metric, "--since": since, "--html": html}
        if idle := [name for name, value in alone.items() if value]:
            raise InputError(f"{', '.join(idle)} is for --history DIR.")
        from workbench.compare import compare_runs, read_source
        from workbench.report.comparisons import comparison_grids

        if len(runs or ()) < 2:
            hint = "Give two runs or more, or --history DIR."
            raise InputError("There is nothing to compare.", hint=hint)
        sources = [read_source(text) for text in runs or ()]
        made = compare_runs(
            sources, variants=variant or (), traffic=load, region=region, paired=paired
        )
        return _show(made, comparison_grids(made), "Comparison", markdown, svg, as_json)
    if runs or paired:
        raise InputError(
            "--history stands alone, without a RUN or --paired.", hint="It takes a folder."
        )
    from workbench.compare.history import METRICS, trend
    from workbench.report.trends import trend_grids

    found = trend(
        history,
        metrics=metric or METRICS,
        variants=variant or (),
        since=since,
        traffic=load,
        region=region,
    )
    if html is not None:
        from workbench.report.html.history import history_page

        _write(html, history_page(found))
    return _show(found, trend_grids(found), f"Trend of {history}", markdown, svg, as_json)


def _show(
    found: Comparison | History,
    grids: Sequence[Grid],
    title: str,
    markdown: Path | None,
    svg: Path | None,
    as_json: bool,
) -> int:
    """Print the grids or the record, and write what was asked for."""
    if markdown is not None:
        from workbench.report.markdown import grid_markdown

        sections = "\n".join(grid_markdown(grid) for grid in grids)
        _write(markdown, f"# {title}\n\n{sections}")
    from workbench.report.terminal import print_grid

    screen = console(record=svg is not None)
    if as_json:
        screen.file = io.StringIO()  # only recorded
        print_json(found.model_dump(mode="json"))
    for grid in grids:
        print_grid(screen, grid)
    if svg is not None:
        _write(svg, screen.export_svg(title=title))
    return int(ExitCode.OK)


def _write(path: Path, text: str) -> None:
    from workbench.artifact import write_atomic

    write_atomic(path, text)
