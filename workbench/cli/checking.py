"""``workbench check``: the gates of a run, judged again, and against an earlier run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.output import TerminalProgress, console
from workbench.errors import ExitCode, InputError

if TYPE_CHECKING:
    from workbench.check import CheckResult

EXAMPLES = (
    "workbench check runs/minilm-int8",
    "workbench check runs/minilm-int8 --baseline main/minilm-int8 --junit check.xml",
    "workbench check runs/minilm-int8 --baseline main.json --gates gates.yaml --strict",
    "workbench check runs/minilm-int8 --baseline main/minilm-int8 --decide --budget 10m",
)
CODES = (
    "Exit codes: 0 no gate failed (nor is undecided, with --strict) · 1 a gate failed · "
    "2 the input is wrong · 3 measuring failed · 4 something is missing on this machine · "
    "5 a stored file is corrupt"
)
SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600}


def add(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(epilog=f"Examples: {' · '.join(EXAMPLES)}\n\n{CODES}")(check)


def check(
    run: Annotated[Path, typer.Argument(help="A run directory, or its run.json.", metavar="RUN")],
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline", metavar="RUN|FILE", help="An earlier run: what 'previous' means in gates."
        ),
    ] = None,
    gates: Annotated[
        Path | None, typer.Option("--gates", help="A gates.yaml, beside the recipe's gates.")
    ] = None,
    variant: Annotated[
        list[str] | None, typer.Option("--variant", help="Judge this one only; repeatable.")
    ] = None,
    decide: Annotated[
        bool, typer.Option("--decide", help="Measure until every gate is decided.")
    ] = False,
    budget: Annotated[
        str, typer.Option("--budget", help="The longest to measure: 90s, 5m, 1h.")
    ] = "5m",
    measure: Annotated[
        bool,
        typer.Option("--measure/--no-measure", help="Measure what the stored figures leave open."),
    ] = True,
    strict: Annotated[
        bool, typer.Option("--strict", help="What is undecided or not judged fails the check too.")
    ] = False,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML.")] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Write a summary for a pull request.")
    ] = None,
    sarif: Annotated[
        Path | None, typer.Option("--sarif", help="Write SARIF 2.1.0 for code scanning.")
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option("--output", metavar="FORMAT=FILE", help="Write any format; repeatable."),
    ] = None,
    annotations: Annotated[
        bool, typer.Option("--annotations", help="Print GitHub's marks for the gates' lines.")
    ] = False,
    step_summary: Annotated[
        bool, typer.Option("--step-summary", help="Append the Markdown to $GITHUB_STEP_SUMMARY.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON instead of tables.")
    ] = False,
) -> int:
    """Judge a run's gates again: against its baseline, and against an earlier run.

    Latencies of two runs are measured side by side now where both hold their artifacts.
    """
    from workbench.artifact import check_writable
    from workbench.check import check_run

    seconds = parse_budget(budget)
    summary = _summary_file() if step_summary else None
    files = _outputs(output or [], {"junit": junit, "markdown": markdown, "sarif": sarif})
    for path in files.values():
        check_writable(path.parent)
    with TerminalProgress() as progress:
        result = check_run(
            run,
            baseline=baseline,
            gates=gates,
            variants=tuple(variant or ()),
            measure=measure,
            decide=decide,
            budget_s=seconds,
            strict=strict,
            progress=progress,
        )
    _write(result, files, summary)
    _print(result, as_json=as_json, annotations=annotations)
    return int(ExitCode.OK if result.passed else ExitCode.GATE_FAILED)


def parse_budget(text: str) -> float:
    """Seconds of a duration such as ``90s``, ``5m`` or ``1h``.

    Raises:
        InputError: it is none, or nothing.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h)\s*", text)
    if match is None or float(match[1]) == 0:
        raise InputError(f"--budget '{text}' is no duration.", hint="Such as 90s, 5m or 1h.")
    return float(match[1]) * SECONDS[match[2]]


def _outputs(written: list[str], options: dict[str, Path | None]) -> dict[str, Path]:
    """The file of each format, of ``--output`` and of the formats' own options."""
    from workbench.check.outputs import formats
    from workbench.plugins import did_you_mean

    files = {name: path for name, path in options.items() if path is not None}
    for text in written:
        name, equals, path = text.partition("=")
        if not equals or not path:
            raise InputError(f"--output '{text}' names no file.", hint="Such as junit=check.xml.")
        if name not in formats():
            raise InputError(f"there is no format '{name}'.", hint=did_you_mean(name, formats()))
        if name in files:
            raise InputError(f"{name} is written to one file: {files[name]} or {path}.")
        files[name] = Path(path)
    return files


def _summary_file() -> Path:
    import os

    name = os.environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        raise InputError(
            "--step-summary: GITHUB_STEP_SUMMARY is not set.",
            hint="GitHub Actions sets it; elsewhere give --markdown FILE.",
        )
    return Path(name)


def _write(result: CheckResult, files: dict[str, Path], summary: Path | None) -> None:
    from workbench.artifact import disk_errors, write_atomic
    from workbench.check.outputs import render

    for name, path in files.items():
        write_atomic(path, render(name, result))
    if summary is not None:
        with disk_errors(summary), summary.open("a", encoding="utf-8") as file:
            file.write(render("markdown", result) + "\n")


def _print(result: CheckResult, *, as_json: bool, annotations: bool) -> None:
    from workbench.check.outputs import render
    from workbench.report.checks import check_grids
    from workbench.report.terminal import print_grid

    if annotations:  # GitHub reads them on either stream
        typer.echo(render("annotations", result), nl=False, err=as_json)
    if as_json:
        typer.echo(result.model_dump_json(indent=1, exclude_none=True))
        return
    screen = console()
    for grid in check_grids(result):
        print_grid(screen, grid)
    for note in result.notes if not result.verdicts else ():
        screen.print(note, markup=False, soft_wrap=True)
    screen.print(f"{result.run.name}: {result.headline}", markup=False, soft_wrap=True)
