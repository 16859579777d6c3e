"""``workbench serve``: artifacts on a local server, alone or behind the platform's emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.errors import ExitCode, InputError


def add(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        epilog="Examples: workbench serve runs/minilm-int8/variants/int8 · "
        "workbench serve runs/minilm-int8 --variant int8 --threads 2 · "
        "workbench serve runs/minilm-int8:int8 runs/digits:int8 · "
        "workbench serve --platform --models s3://bucket/models · "
        "workbench serve --platform --models archives "
        "--env ONNX_SERVER_MEMORY_LIMIT_BYTES=500000000"
    )(serve)


def serve(
    artifacts: Annotated[
        list[str] | None,
        typer.Argument(help="An artifact's folder, a run directory, or RUN:VARIANT."),
    ] = None,
    variant: Annotated[
        str | None, typer.Option("--variant", help="The variant of a run directory.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8080,
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
        str, typer.Option("--endpoint", help="Platform: name of the endpoint.")
    ] = "endpoint",
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Platform: unload each model after its call.")
    ] = False,
) -> int:
    """Serve artifacts over HTTP, as the container does; Ctrl-C stops it."""
    from workbench.serving import (
        PlatformOptions,
        resolve_artifacts,
        serve_locally,
        serve_platform,
    )

    environment = _environment(env or [], threads)
    found = resolve_artifacts(artifacts or [], variant)
    if platform:
        options = PlatformOptions(
            endpoint, host=host, port=port, environment=environment, cached=not no_cache
        )
        serve_platform(found, _place(models), options, say=_say)
    elif models is not None or no_cache or not found:
        raise InputError(
            "Without --platform, serve takes artifacts.",
            hint="Give an artifact's folder, or --platform with --models.",
        )
    else:
        serve_locally(found, host=host, port=port, environment=environment, say=_say)
    return int(ExitCode.OK)


def _environment(words: list[str], threads: int | None) -> dict[str, str]:
    pairs = {} if threads is None else {"ONNX_SERVER_THREADS": str(threads)}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise InputError(f"--env {word} is not KEY=VALUE.")
        pairs[key] = value
    return pairs


def _place(models: str | None) -> str | None:
    return models if models is None or models.startswith("s3://") else str(Path(models))


def _say(text: str) -> None:
    typer.echo(text, err=True)
