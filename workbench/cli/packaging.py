"""``workbench package``: model archives, build context and image of an endpoint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from workbench.cli.costing import traffic_of
from workbench.cli.output import TerminalProgress, console, print_json
from workbench.errors import ExitCode, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.packaging.records import CostEstimate, Package
    from workbench.packaging.sources import Source

EXAMPLES = (
    "workbench package runs/minilm-int8 --variant int8",
    "workbench package runs/digits-int8:int8 --endpoint multi --add runs/minilm-int8:int8",
    "workbench package runs/minilm-int8:int8 --requests 2M --region eu-west-1",
)


def add(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(epilog="\n\n".join(("Examples:", *EXAMPLES)))(package)


def package(
    run: Annotated[
        str, typer.Argument(help="A run directory, RUN:VARIANT, or an artifact.", metavar="RUN")
    ],
    variant: Annotated[
        str | None, typer.Option("--variant", help="The variant of the run directory.")
    ] = None,
    endpoint: Annotated[
        Literal["single", "multi", "pipeline"],
        typer.Option("--endpoint", help="One model, many models, or stages of a pipeline."),
    ] = "single",
    more: Annotated[
        list[str] | None,
        typer.Option("--add", metavar="RUN:VARIANT", help="One more model; repeatable."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Of package and image.", show_default="run and variant"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="The folder.", show_default="packages/NAME in the run"),
    ] = None,
    requests: Annotated[
        str | None,
        typer.Option("--requests", help="Estimate the cost for these: 2M (a month), or 20/s."),
    ] = None,
    traffic: Annotated[
        Path | None, typer.Option("--traffic", help="The same, from a traffic's YAML file.")
    ] = None,
    region: Annotated[str, typer.Option(help="Region of the estimate.")] = "us-east-1",
    as_json: Annotated[bool, typer.Option("--json", help="Print package.json.")] = False,
) -> int:
    """Package a run's variant for an endpoint: archive, build context, bill of materials."""
    from workbench.packaging.package import make_package
    from workbench.packaging.sources import find_sources

    first = f"{run}:{variant}" if variant else run
    sources = find_sources([first, *(more or [])])
    called = name or default_name(sources, endpoint)
    if not re.fullmatch(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*", called):
        raise InputError(
            f"'{called}' cannot name an image.",
            hint="Use small letters, digits, and -, _ or . between them: --name my-model.",
        )
    folder = output or _default_folder(sources[0], called)
    costs = _costs(sources, requests, traffic, region)
    with TerminalProgress() as progress:
        made = make_package(sources, endpoint, folder, name=called, costs=costs, progress=progress)
    if as_json:
        print_json(made.model_dump(mode="json", exclude_none=True))
    else:
        _print(made, folder)
    return int(ExitCode.OK)


def default_name(sources: Sequence[Source], endpoint: str) -> str:
    """Of run and variant, or of the models; small letters and digits, with - between them."""
    first = sources[0]
    if endpoint == "single":
        words = [first.run.name if first.run else first.name]
        if first.result is not None and first.result.name not in words[0]:
            words.append(first.result.name)
    else:
        words = [source.name for source in sources[:3]]
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-") or "model"


def _default_folder(first: Source, name: str) -> Path:
    path = first.artifact.path
    root = path.parent.parent if first.run else Path.cwd()
    return root / "packages" / name


def _costs(
    sources: Sequence[Source], requests: str | None, traffic: Path | None, region: str
) -> dict[str, CostEstimate]:
    """Each model's best option, as ``workbench cost`` finds it; empty without a traffic."""
    if requests is None and traffic is None:
        return {}
    from workbench.cost.catalog import Catalog
    from workbench.cost.planner import plan
    from workbench.cost.profile import profiles_of_run
    from workbench.packaging.records import CostEstimate

    load = traffic_of(traffic, requests)
    found: dict[str, CostEstimate] = {}
    for source in sources:
        if source.run is None or source.result is None:
            raise InputError(
                f"'{source.name}' belongs to no run, so nothing is known of its latency.",
                hint="Give RUN:VARIANT, or leave out --requests and --traffic.",
            )
        profiles = [p for p in profiles_of_run(source.run) if p.name == source.result.name]
        made = plan(profiles, load, Catalog.standard(), region=region, break_evens=False)
        if (best := made.variants[0].best) is not None:
            found[source.name] = CostEstimate(
                option=best.option, place=str(best.place), region=region, traffic=made.traffic,
                usd=(best.usd.low, best.usd.mid, best.usd.high),
                measured=best.measured, basis=best.basis,
            )  # fmt: skip
    return found


def _print(made: Package, folder: Path) -> None:
    from workbench.report.grids import bytes_text

    screen = console()
    screen.print(f"{folder}: {made.endpoint}, {len(made.models)} model(s)", soft_wrap=True)
    for name, record in made.files.items():
        if not name.startswith("context/"):
            screen.print(f"  {name}  {bytes_text(record.bytes)}  sha256:{record.sha256[:12]}")
    context = [record.bytes for name, record in made.files.items() if name.startswith("context/")]
    screen.print(f"  context/  {bytes_text(sum(context))} in {len(context)} files")
    for model in made.models:
        if model.cost is not None:
            low, mid, high = model.cost.usd
            screen.print(
                f"  {model.name}: {mid:,.2f} USD a month ({low:,.2f}–{high:,.2f}) as "
                f"{model.cost.option} on {model.cost.place}"
            )
    screen.print(f"How to go on stands in {folder / 'README.md'}.", soft_wrap=True)
