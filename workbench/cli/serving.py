"""``workbench serve``: artifacts on a local server, alone or behind the platform's emulator."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import ExitCode, InputError

if TYPE_CHECKING:
    from workbench.artifact import Artifact
    from workbench.serving import Served

EXAMPLES = (
    "workbench serve runs/minilm-int8:int8",
    "workbench serve runs/minilm-int8 --variant int8 --port 9000 --threads 2",
    "workbench serve runs/minilm-int8:int8 runs/digits:int8 --env ONNX_SERVER_MAX_BATCH=16",
    "workbench serve runs/minilm-int8:int8 --port 0 --json",
    "workbench serve --platform runs/minilm-int8:int8",
    "workbench serve --platform --models archives --env ONNX_SERVER_MEMORY_LIMIT_BYTES=500000000",
    "workbench serve --platform --models s3://bucket/models",
)

SHOWN = 20
"""Models that are listed to a person, at most."""


def add(app: typer.Typer) -> None:
    """Add this module's commands."""
    # A blank line before each: the help keeps no other line break.
    app.command(epilog="\n\n".join(("Examples:", *EXAMPLES)))(serve)


def serve(
    artifacts: Annotated[
        list[str] | None,
        typer.Argument(help="An artifact's folder, a run directory, or RUN:VARIANT."),
    ] = None,
    variant: Annotated[
        str | None, typer.Option("--variant", help="The variant of a run directory.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8080,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of one inference; else the server's choice.")
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="KEY=VALUE", help="Environment of the server; repeatable."),
    ] = None,
    platform: Annotated[
        bool, typer.Option("--platform", help="Put the hosting platform's emulator before it.")
    ] = False,
    models: Annotated[
        str | None,
        typer.Option("--models", help="Platform: a folder or s3:// prefix of .tar.gz archives."),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", help="Platform: name of the endpoint.", show_default="endpoint"),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Platform: unload each model after its call.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="When ready, print one line of JSON: url, pid, models.")
    ] = False,
) -> int:
    """Serve artifacts over HTTP, as the container does; Ctrl-C stops it."""
    from workbench.serving import (
        PlatformOptions,
        resolve_artifacts,
        serve_locally,
        serve_platform,
    )

    if not platform:
        _check_local(artifacts, models=models, endpoint=endpoint, no_cache=no_cache)
    environment = _environment(env or [], threads)
    found = resolve_artifacts(artifacts or [], variant)
    for name, artifact in found.items():
        _say(_introduction(name, artifact))
    ready = _print_json if as_json else _print
    if platform:
        options = PlatformOptions(
            endpoint or "endpoint",
            host=host,
            port=port,
            environment=environment,
            cached=not no_cache,
        )
        serve_platform(found, models, options, say=_say, ready=ready)
    else:
        serve_locally(found, host=host, port=port, environment=environment, ready=ready)
    _say("Stopped.")
    return int(ExitCode.OK)


def _check_local(
    artifacts: list[str] | None, *, models: str | None, endpoint: str | None, no_cache: bool
) -> None:
    given = {"--models": models is not None, "--endpoint": endpoint is not None}
    for option, is_given in {**given, "--no-cache": no_cache}.items():
        if is_given:
            raise InputError(f"{option} belongs to --platform.", hint="Add --platform.")
    if not artifacts:
        raise InputError(
            "There is nothing to serve.",
            hint="Give an artifact's folder or RUN:VARIANT; workbench serve --help has examples.",
        )


def _environment(words: list[str], threads: int | None) -> dict[str, str]:
    pairs = {} if threads is None else {"ONNX_SERVER_THREADS": str(threads)}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise InputError(
                f"--env {word} is not KEY=VALUE.", hint="Such as ONNX_SERVER_MAX_BATCH=16."
            )
        if key.startswith("ONNX_SERVER_TLS_"):
            raise InputError(
                f"{key} cannot be used here: workbench serve speaks plain HTTP.",
                hint="Run onnx-server itself for TLS.",
            )
        pairs[key] = value
    return pairs


def _introduction(name: str, artifact: Artifact) -> str:
    size = artifact.model_path.stat().st_size / 1e6
    return f"Starting {name}: {artifact.path} ({size:.1f} MB)."


def _print_json(served: Served) -> None:
    typer.echo(json.dumps({**asdict(served), "pid": os.getpid()}))


def _print(served: Served) -> None:
    lines = [f"Ready on {served.url} (Ctrl-C stops it)."]
    for model in served.models[:SHOWN]:
        target = f" with TargetModel {model.target_model}" if model.target_model else ""
        lines.append(f"  {model.name}: POST {model.url}{target}")
    if len(served.models) > SHOWN:
        lines.append(f"  and {len(served.models) - SHOWN} more")
    if served.models:
        lines += ["Try it:", f"  {served.models[0].example}"]
    _say("\n".join(lines))


def _say(text: str) -> None:
    typer.echo(text, err=True)
