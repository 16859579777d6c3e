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

    from workbench.packaging.image.parts import Form
    from workbench.packaging.records import CostEstimate, Package
    from workbench.packaging.sources import Source
    from workbench.progress import Progress

EXAMPLES = (
    "workbench package runs/minilm-int8 --variant int8",
    "workbench package runs/digits-int8:int8 --endpoint multi --add runs/minilm-int8:int8",
    "workbench package runs/minilm-int8:int8 --requests 2M --region eu-west-1",
    "workbench package runs/minilm-int8:int8 --build --smoke",
    "workbench package runs/minilm-int8:int8 --build --engine none --push REGISTRY/minilm:1",
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
    build: Annotated[bool, typer.Option("--build", help="Build the image too.")] = False,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            help="docker, podman, buildah; none: without an engine; auto: the one that is there.",
        ),
    ] = "auto",
    tag: Annotated[
        str | None, typer.Option("--tag", help="The image's name.", show_default="NAME:latest")
    ] = None,
    form: Annotated[
        Literal["docker", "oci"],
        typer.Option("--format", help="SageMaker takes docker, schema 2, only."),
    ] = "docker",
    with_model: Annotated[
        bool, typer.Option("--with-model", help="Put the models into the image (--engine none).")
    ] = False,
    bytecode: Annotated[
        bool,
        typer.Option(
            "--bytecode/--no-bytecode",
            help="Compile modules, so that containers start sooner (--engine none; needs Linux).",
        ),
    ] = True,
    push: Annotated[
        str | None,
        typer.Option(
            "--push", metavar="REGISTRY/NAME:TAG", help="Push the image; implies --build."
        ),
    ] = None,
    create: Annotated[
        bool, typer.Option("--create-repository", help="Make it in ECR where it is not there.")
    ] = False,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Run the image and check it; implies --build.")
    ] = False,
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
        if build or push or smoke:
            made = _build(
                folder, made, sources, tag or f"{called}:latest", engine, form, progress,
                with_model=with_model, bytecode=bytecode, push=push, create=create,
            )  # fmt: skip
    if as_json:
        print_json(made.model_dump(mode="json", exclude_none=True))
    else:
        _print(made, folder)
    return _smoke(folder, made, sources) if smoke else int(ExitCode.OK)


def _build(
    folder: Path, made: Package, sources: Sequence[Source], tag: str, engine: str, form: Form,
    progress: Progress, *, with_model: bool, bytecode: bool, push: str | None, create: bool,
) -> Package:  # fmt: skip
    from workbench.packaging.image.registry import parse_reference
    from workbench.packaging.image.registry import push as push_image
    from workbench.packaging.images import build_image, find_builder, load_image, note_pushed
    from workbench.store import Store

    target = parse_reference(push) if push else None  # a wrong name is refused before the build
    builder = find_builder(engine)
    made, image = build_image(
        folder, made, sources, tag=tag, cache=Store().root / "images",
        engine=builder, form=form, with_models=with_model, bytecode=bytecode,
        progress=progress,
    )  # fmt: skip
    if builder is None and form == "docker" and (name := load_image(folder)):
        typer.echo(f"  {tag} is loaded into {name}.", err=True)
    if target is not None:
        digest = push_image(image, target, form=form, progress=progress, create=create)
        made = note_pushed(folder, made, f"{target.name}@{digest}")
    return made


def _smoke(folder: Path, made: Package, sources: Sequence[Source]) -> int:
    """Run the image, with the models as the platform mounts them, and check every clause."""
    import tempfile

    from workbench.cli.verifying import print_results
    from workbench.conformance import check, failed
    from workbench.conformance.targets import Options, open_target
    from workbench.packaging.images import ARCHIVE, run_arguments
    from workbench.serving.artifacts import place_artifact

    multi = made.endpoint == "multi"
    with tempfile.TemporaryDirectory() as kept:
        for source in sources:
            place = Path(kept) / source.name / "model"
            place.mkdir(parents=True)
            place_artifact(source.artifact, place)
        options = Options(
            mode="multi" if multi else "single",
            model=None if multi else sources[0].artifact.path,
            models=Path(kept) if multi else None,
            run=True,
            run_arguments=run_arguments(),
        )
        image = str(folder / ARCHIVE)
        with TerminalProgress() as progress, open_target(image, options) as subject:
            results = check(subject, [], progress)
    print_results(image, results)
    return int(ExitCode.GATE_FAILED if failed(results) else ExitCode.OK)


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
    run = next((source.run for source in sources if source.run and source.run.traffic), None)
    if requests is None and traffic is None and run is None:
        return {}
    from workbench.cost.catalog import Catalog
    from workbench.cost.planner import plan
    from workbench.cost.profile import profiles_of_run
    from workbench.packaging.records import CostEstimate

    load = traffic_of(traffic, requests, run=run)
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
    if (image := made.image) is not None:
        screen.print(
            f"  image {image.name}: {bytes_text(image.bytes)} packed, {image.form} {image.digest}, "
            f"built with {image.built_with}",
            soft_wrap=True,
        )
        for layer in image.layers:
            screen.print(
                f"    {layer.title:<24} {bytes_text(layer.bytes):>9} packed, "
                f"{bytes_text(layer.unpacked_bytes):>9} unpacked"
            )
        if image.pushed:
            screen.print(f"  pushed: {image.pushed}", soft_wrap=True)
    for model in made.models:
        if model.cost is not None:
            low, mid, high = model.cost.usd
            screen.print(
                f"  {model.name}: {mid:,.2f} USD a month ({low:,.2f}–{high:,.2f}) as "
                f"{model.cost.option} on {model.cost.place}"
            )
    screen.print(f"How to go on stands in {folder / 'README.md'}.", soft_wrap=True)
