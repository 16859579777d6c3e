"""The command line: parse, call the API, print. No logic lives here.

Each module beside this one holds the commands of one noun and is imported here; heavy packages are
imported only when a command runs.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from workbench.cli import (
    catalog,
    checking,
    comparing,
    costing,
    deploying,
    packaging,
    predicting,
    pricing,
    profiling,
    recipes,
    reporting,
    running,
    searching,
    serving,
    tracking,
    ui,
    verifying,
)
from workbench.errors import ExitCode, WorkbenchError

app = typer.Typer(
    name="workbench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="From a trained model to a small, proven one: shrink it by a recipe, and measure what was "
    "lost and gained.",
    epilog="Exit codes: 0 ok · 1 a gate failed · 2 the input is wrong · 3 a step failed · "
    "4 something is missing on this machine · 5 a stored file is corrupt · "
    "70 a fault of the workbench.",
)


def _version(show: bool) -> None:
    if show:
        from importlib.metadata import version

        typer.echo(f"workbench {version('workbench')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of all commands."""


running.add(app)
searching.add(app)
checking.add(app)
profiling.add(app)
comparing.add(app)
reporting.add(app)
ui.add(app)
tracking.add(app)
serving.add(app)
verifying.add(app)
costing.add(app)
packaging.add(app)
deploying.add(app)
predicting.add(app)
app.add_typer(recipes.app, name="recipes")
app.add_typer(catalog.models, name="models")
app.add_typer(catalog.steps, name="steps")
app.add_typer(catalog.tasks, name="tasks")
app.add_typer(pricing.options, name="options")
app.add_typer(pricing.prices, name="prices")


def main() -> NoReturn:
    """Entry point: errors become one sentence on standard error and a stable exit code."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # torch's threads spin while they wait, and where something else runs too they wait for one
    # that is not scheduled: 7 times slower on two busy cores. Read when torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = app(standalone_mode=False)
        if code == ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except WorkbenchError as error:
        sys.exit(_fail(error.message, error.hint, error.exit_code))
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        hint = "Run it again: what was finished is kept."
        sys.exit(_fail("Interrupted.", hint, ExitCode.INTERRUPTED))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if _is_usage_error(error):
            error.show()  # type: ignore[attr-defined]
            sys.exit(ExitCode.INPUT)
        if os.environ.get("WORKBENCH_DEBUG"):
            raise
        message = f"{type(error).__name__}: {error}"
        hint = "This is a fault of the workbench; WORKBENCH_DEBUG=1 shows where."
        sys.exit(_fail(message, hint, ExitCode.INTERNAL))


def _is_usage_error(error: Exception) -> bool:
    """Whether typer's parser refused the words; typer may carry a click of its own."""
    return hasattr(error, "show") and hasattr(error, "format_message")


def _fail(message: str, hint: str | None, code: int) -> int:
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text("error: ", style="bold red") + Text(message))
    if hint:
        console.print(Text(f"  {hint}"))
    return int(code)
