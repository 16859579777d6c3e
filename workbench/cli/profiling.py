"""``workbench profile`` and ``workbench explain``: any ONNX file, without a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.output import TerminalProgress, console, print_json
from workbench.errors import InputError
from workbench.progress import Work

if TYPE_CHECKING:
    from workbench.profile_options import ProfileOptions
    from workbench.records import Footprint, Latency, Skipped

MODEL = Annotated[
    str,
    typer.Argument(help="An .onnx file, an artifact's folder, or RUN:VARIANT.", metavar="MODEL"),
]
AGAINST = Annotated[
    str | None, typer.Option("--against", help="Another model to measure beside it.")
]
VOCABULARY = Annotated[
    int | None, typer.Option(help="Random token ids stay below this; else as many as 1000.")
]
AS_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        epilog="Examples: workbench profile model.onnx · workbench profile runs/minilm-int8:int8 "
        "--against runs/minilm-int8:fp32 --batch 1 --batch 8 --sequence 128"
    )(profile)
    app.command(
        epilog="Example: workbench explain runs/minilm-int8:int8 --against runs/minilm-int8:fp32"
    )(explain)


def profile(
    model: MODEL,
    against: AGAINST = None,
    batch: Annotated[list[int] | None, typer.Option(help="Batch size; repeatable.")] = None,
    sequence: Annotated[list[int] | None, typer.Option(help="Sequence length; repeatable.")] = None,
    threads: Annotated[list[int] | None, typer.Option(help="Threads; repeatable.")] = None,
    device: Annotated[list[str] | None, typer.Option(help="cpu or cuda; repeatable.")] = None,
    seconds: Annotated[float, typer.Option(help="Time for a cell, for each model.")] = 4.0,
    processes: Annotated[int, typer.Option(help="Fresh processes to repeat it in.")] = 4,
    vocabulary: VOCABULARY = None,
    as_json: AS_JSON = False,
) -> None:
    """Measure an ONNX model: size, memory, load time and latency, beside another if given."""
    from workbench.machine import machine
    from workbench.profiler import measure_footprint, measure_latency, read_signature
    from workbench.recipe import profile_options

    given = {"batch": batch, "sequence": sequence, "threads": threads, "devices": device}
    options = profile_options(
        {"seconds": seconds, "processes": processes, **{k: v for k, v in given.items() if v}}
    )
    paths = _models(model, against)
    baseline = next(iter(paths))
    signature = read_signature(paths[baseline])
    grid = options.grid(signature)
    with TerminalProgress() as progress:
        guess = len(grid) * len(paths) * options.seconds
        progress.plan(
            [*(Work(f"size and memory · {n}", 4.0) for n in paths), Work("latency", guess)]
        )
        footprints = {}
        for name, path in paths.items():
            with progress.working(f"size and memory · {name}"):
                sizes = options.sizes(signature, grid[0])
                footprints[name] = measure_footprint(path, sizes=sizes, vocabulary=vocabulary)
        with progress.working("latency"):
            cells, skipped = measure_latency(
                paths,
                baseline=baseline,
                options=options,
                vocabulary=vocabulary,
                progress=progress.advance,
            )
    if as_json:
        print_json(
            {
                "machine": machine().model_dump(mode="json"),
                "models": {
                    name: {
                        "path": str(paths[name]),
                        "footprint": footprints[name].model_dump(mode="json"),
                        "latency": [cell.model_dump(mode="json") for cell in cells[name]],
                    }
                    for name in paths
                },
                "skipped": [item.model_dump(mode="json") for item in skipped],
            }
        )
        return
    _print_profile(footprints, cells, skipped, options)


def explain(
    model: MODEL,
    against: AGAINST = None,
    batch: Annotated[int, typer.Option(help="Batch size.")] = 1,
    sequence: Annotated[int, typer.Option(help="Sequence length.")] = 128,
    threads: Annotated[int, typer.Option(help="Threads.")] = 1,
    vocabulary: VOCABULARY = None,
    as_json: AS_JSON = False,
) -> None:
    """Say in words where a model's bytes and time go, and why a variant is not faster."""
    from workbench.machine import machine
    from workbench.profiler import explain as explain_model
    from workbench.records import Setting

    paths = list(_models(model, against).values())
    found = explain_model(
        paths[-1],
        machine(),
        paths[0] if against else None,
        setting=Setting(batch=batch, sequence=sequence, threads=threads),
        vocabulary=vocabulary or 1000,
    )
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    screen = console()
    for paragraph in found.paragraphs:
        screen.print(paragraph, markup=False)
        screen.print()


def _models(model: str, against: str | None) -> dict[str, Path]:
    """The files by the names that the user gave; the one that is compared with comes first."""
    given = [text for text in (against, model) if text is not None]
    if len(set(given)) < len(given):
        raise InputError(f"--against {against}: that is the same model.")
    return {text: _locate(text) for text in given}


def _locate(text: str) -> Path:
    from workbench.run_directory import find_artifact

    path = Path(text)
    if path.is_dir():
        return find_artifact(path).model_path
    if path.is_file():
        return path
    run, colon, variant = text.rpartition(":")
    if colon and Path(run).is_dir():
        return find_artifact(Path(run), variant).model_path
    raise InputError(f"There is no model '{text}'.", hint="Give a file, a folder or RUN:VARIANT.")


def _print_profile(
    footprints: dict[str, Footprint],
    cells: dict[str, tuple[Latency, ...]],
    skipped: tuple[Skipped, ...],
    options: ProfileOptions,
) -> None:
    from workbench.report.grids import footprint_grid, latency_grid
    from workbench.report.terminal import print_grid

    screen = console()
    print_grid(screen, footprint_grid(footprints))
    print_grid(screen, latency_grid(cells, baseline=next(iter(cells)), skipped=skipped))
