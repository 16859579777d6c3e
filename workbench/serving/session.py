"""``workbench serve --platform``: the model server with the platform's emulator before it."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from workbench.artifact import Artifact
from workbench.errors import InputError
from workbench.machine import free_port
from workbench.serving.archives import ArtifactSource, FolderSource, S3Source, Source
from workbench.serving.examples import curl
from workbench.serving.front import Front
from workbench.serving.platform import Endpoint, Limits
from workbench.serving.portfolio import Portfolio
from workbench.serving.process import ServerProcess, cannot_listen, check_port
from workbench.serving.served import Served, ServedModel
from workbench.serving.signals import stop_signal


@dataclass(frozen=True)
class PlatformOptions:
    """How the platform is emulated; ``cached`` false is ModelCacheSetting Disabled.

    Port 0 takes a free one.
    """

    endpoint: str = "endpoint"
    host: str = "127.0.0.1"
    port: int = 8080
    environment: Mapping[str, str] = field(default_factory=dict)
    cached: bool = True
    limits: Limits = field(default_factory=Limits)


def serve_platform(
    artifacts: Mapping[str, Artifact],
    models: str | None,
    options: PlatformOptions,
    *,
    say: Callable[[str], None] = print,
    ready: Callable[[Served], None] = print,
) -> None:
    """Emulate an endpoint until SIGINT or SIGTERM.

    One artifact makes a single-model endpoint; several, or ``models`` (a folder or ``s3://``
    prefix of archives), a multi-model one.

    Args:
        artifacts: by name; empty where ``models`` is given.
        models: where archives lie.
        options: how to emulate.
        say: told of what goes wrong meanwhile.
        ready: called once, when the endpoint answers.

    Raises:
        InputError: both or neither of artifacts and ``models``, the port cannot be had, or the
            server refuses its settings.
        MissingError: ``onnx_server``, or boto3 for S3, is not installed.
        StepError: the server ends.
    """
    if bool(artifacts) == (models is not None):
        raise InputError(
            "--platform takes either artifacts or --models.",
            hint="Give artifacts, or --models with a folder or an s3:// prefix of archives.",
        )
    check_port(options.host, options.port)
    single = next(iter(artifacts.items())) if len(artifacts) == 1 else None
    source = None if single else _source(artifacts, models)
    with (
        stop_signal() as stopped,
        tempfile.TemporaryDirectory(prefix="workbench-serve-", ignore_cleanup_errors=True) as kept,
        running(single[1] if single else None, source, Path(kept), options, stopped, say) as (
            server,
            front,
        ),
    ):
        if not stopped.is_set():
            ready(_served(front.url, options.endpoint, single, source))
        server.watch(stopped)


@contextmanager
def running(
    artifact: Artifact | None,
    source: Source | None,
    folder: Path,
    options: PlatformOptions,
    stopped: threading.Event,
    say: Callable[[str], None] = print,
) -> Iterator[tuple[ServerProcess, Front]]:
    """A server and the emulator before it, both answering; ``folder`` takes unpacked models."""
    folder.mkdir(parents=True, exist_ok=True)
    arguments = ["--multi-model", "--models-dir", str(folder)]
    if artifact is not None:
        arguments = ["--model", str(artifact.path.absolute())]
    with ServerProcess(arguments, port=free_port(), environment=options.environment) as server:
        server.wait_ready(stopped=stopped)
        portfolio = None
        if source is not None:
            portfolio = Portfolio(
                server.container, source, folder, cached=options.cached,
                invoke_s=options.limits.invoke_s, endpoint=options.endpoint, say=say,
            )  # fmt: skip
        endpoint = Endpoint(options.endpoint, server.container, portfolio, options.limits, say)
        with _listening(endpoint, options) as front:
            yield server, front


@contextmanager
def _listening(endpoint: Endpoint, options: PlatformOptions) -> Iterator[Front]:
    try:
        front = Front((options.host, options.port), endpoint)
    except OSError as error:
        raise cannot_listen(options.host, options.port, error) from error
    for work in (front.serve_forever, endpoint.health.watch):
        threading.Thread(target=work, daemon=True).start()
    try:
        yield front
    finally:
        endpoint.health.stop()
        front.shutdown()
        front.server_close()


def _source(artifacts: Mapping[str, Artifact], models: str | None) -> Source:
    if models is None:
        return ArtifactSource(artifacts)
    return S3Source(models) if models.startswith("s3://") else FolderSource(Path(models))


def _served(
    url: str, endpoint: str, single: tuple[str, Artifact] | None, source: Source | None
) -> Served:
    place = f"{url}/endpoints/{quote(endpoint, safe='')}/invocations"
    if single is not None:
        name, artifact = single
        return Served(url, (ServedModel(name, place, curl(place, artifact.manifest)),))
    models = []
    for target in source.targets() if source else []:
        header = {"X-Amzn-SageMaker-Target-Model": target}
        example = curl(place, source.manifest(target) if source else None, header)
        models.append(ServedModel(target.removesuffix(".tar.gz"), place, example, target))
    return Served(url, tuple(models))
