"""``workbench run`` and ``workbench show``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.output import TerminalProgress, console, duration, warn
from workbench.cli.tracking import chosen_tracker, hand_over
from workbench.errors import ExitCode, InputError

if TYPE_CHECKING:
    from workbench.profiler.job import Elsewhere
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
        "workbench run minilm-int8 --only int8 --set 'profile.batch=[1]' · "
        "workbench run minilm-int8 --on sagemaker:ml.c7i.xlarge --image IMAGE --bucket BUCKET"
    )(run)
    app.command(
        epilog="Examples: workbench profiler --output profiler.tar · "
        "workbench profiler --push 123456789012.dkr.ecr.us-east-1.amazonaws.com/profiler:1"
    )(profiler)
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
    on: Annotated[
        str | None,
        typer.Option(
            "--on", metavar="sagemaker:TYPE", help="Measure latency on that instance type instead."
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option("--image", help="--on: the profiler's image in ECR (workbench profiler)."),
    ] = None,
    bucket: Annotated[str | None, typer.Option("--bucket", help="--on: an S3 bucket.")] = None,
    prefix: Annotated[
        str, typer.Option("--prefix", help="--on: a folder in the bucket.")
    ] = "workbench",
    role: Annotated[
        str | None,
        typer.Option(
            "--role", help="--on: ARN of the job's execution role.", show_default="one is made"
        ),
    ] = None,
    region: Annotated[str, typer.Option("--region", help="--on: AWS region.")] = "us-east-1",
    keep: Annotated[
        bool, typer.Option("--keep", help="--on: leave what went in and out in the bucket.")
    ] = False,
    track: Annotated[
        str | None,
        typer.Option("--track", metavar="NAME[:EXPERIMENT]", help="Hand the run over: mlflow."),
    ] = None,
    tracking_uri: Annotated[
        str | None, typer.Option("--tracking-uri", help="--track: the server's address.")
    ] = None,
    track_models: Annotated[
        bool, typer.Option("--track-models", help="--track: the variants' artifacts too.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="An undecided gate fails the run too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print run.json instead.")] = False,
) -> int:
    """Run a recipe: make its variants, measure them beside the baseline, judge the gates."""
    import workbench
    from workbench.deploy.resources import aws_errors
    from workbench.recipe import load_recipe
    from workbench.shipped import find_recipe

    given = {"--image": image, "--bucket": bucket, "--role": role, "--keep": keep}
    if on is None and (idle := [name for name, value in given.items() if value]):
        raise InputError(f"{', '.join(idle)} is for --on.", hint="Give --on sagemaker:TYPE too.")
    tracker = chosen_tracker(track, tracking_uri, track_models)
    settings = tuple(overrides or ()) + ((f"model={_quote(model)}",) if model else ())
    source = load_recipe(find_recipe(recipe), overrides=settings, only=tuple(only or ()))
    with TerminalProgress() as progress, aws_errors():
        result, folder = workbench.run(
            source, runs=runs, smoke=smoke, remeasure=remeasure, progress=progress,
            elsewhere=(
                _elsewhere(on, image, bucket, region, prefix=prefix, role=role, keep=keep)
                if on else None
            ),
        )  # fmt: skip
    _print(result, folder, as_json)
    if tracker is not None:
        hand_over(tracker, result, folder)
    return int(ExitCode.OK if result.passed(strict=strict) else ExitCode.GATE_FAILED)


def _elsewhere(
    on: str, image: str | None, bucket: str | None, region: str, **more: Any
) -> Elsewhere:
    from workbench.deploy.job_request import Place
    from workbench.deploy.processing import ProcessingJob
    from workbench.deploy.resources import Clients

    where, _, kind = on.partition(":")
    if where != "sagemaker" or not kind.startswith("ml."):
        raise InputError(f"'{on}' is no place to measure.", hint="Such as sagemaker:ml.c7i.xlarge.")
    if not (image and bucket):
        raise InputError(
            "--on needs --image and --bucket.",
            hint="workbench profiler --push REPOSITORY:TAG builds and pushes the image.",
        )
    return ProcessingJob(Place(kind, image, bucket, **more), Clients(region), warn)


def profiler(
    output: Annotated[
        Path | None, typer.Option("--output", help="Write it as an archive for docker load.")
    ] = None,
    push: Annotated[
        str | None, typer.Option("--push", metavar="REGISTRY/NAME:TAG", help="Push it.")
    ] = None,
    create: Annotated[
        bool, typer.Option("--create-repository", help="Make it in ECR where it is not there.")
    ] = False,
) -> int:
    """Build the image that measures for `workbench run --on`; without an engine, and torch."""
    from workbench.packaging.image.build import build_profiler_image
    from workbench.packaging.image.outputs import write_docker_archive
    from workbench.packaging.image.registry import parse_reference
    from workbench.packaging.image.registry import push as push_image
    from workbench.store import Store

    if output is None and push is None:
        raise InputError("Give --output FILE or --push REGISTRY/NAME:TAG.")
    target = parse_reference(push) if push else None
    with TerminalProgress() as progress:
        image = build_profiler_image(cache=Store().root / "images", progress=progress)
        if output is not None:
            write_docker_archive(image, output, "workbench-profiler:latest")
        if target is not None:
            digest = push_image(image, target, progress=progress, create=create)
            typer.echo(f"{target.name}@{digest}")
    screen = console(stderr=True)
    screen.print(f"{image.compressed / 1e6:.1f} MB packed, {image.digest()}", soft_wrap=True)
    return int(ExitCode.OK)


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
