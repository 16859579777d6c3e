"""``workbench serve --platform``: the model server with the platform's emulator before it."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from workbench.artifact import Artifact
from workbench.errors import InputError
from workbench.serving.archives import FolderSource, Source, open_source
from workbench.serving.artifacts import pack_artifact
from workbench.serving.front import Front
from workbench.serving.local import stop_signal
from workbench.serving.platform import Endpoint, Limits
from workbench.serving.portfolio import Portfolio
from workbench.serving.process import ServerProcess, free_port


@dataclass(frozen=True)
class PlatformOptions:
    """How the platform is emulated; ``cached`` false is ModelCacheSetting Disabled."""

    endpoint: str
    host: str = "127.0.0.1"
    port: int = 8080
    environment: Mapping[str, str] = field(default_factory=dict)
    cached: bool = True
    limits: Limits = field(default_factory=Limits)


def serve_platform(
    artifacts: Mapping[str, Artifact],
    models: str | None,
    options: PlatformOptions,
    say: Callable[[str], None] = print,
) -> None:
    """Emulate an endpoint until SIGINT or SIGTERM.

    One artifact makes a single-model endpoint; several, or ``models`` (a folder or ``s3://``
    prefix of archives), a multi-model one.

    Raises:
        InputError: both or neither of artifacts and ``models``, or the port is taken.
        MissingError: ``onnx_server``, or boto3 for S3, is not installed.
        StepError: the server ends.
    """
    if bool(artifacts) == (models is not None):
        raise InputError("Give either artifacts or --models.")
    with stop_signal() as stopped, tempfile.TemporaryDirectory(prefix="workbench-serve-") as kept:
        one = next(iter(artifacts.values())) if len(artifacts) == 1 else None
        source = None if one else _source(artifacts, models, Path(kept) / "archives")
        with running(one, source, Path(kept) / "models", options, stopped, say) as (_, front):
            say(f"Endpoint '{options.endpoint}' on {front.url} (boto3's endpoint_url).")
            stopped.wait()


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
                invoke_s=options.limits.invoke_s, endpoint=options.endpoint,
            )  # fmt: skip
        endpoint = Endpoint(options.endpoint, server.container, portfolio, options.limits, say)
        with _listening(endpoint, options) as front:
            yield server, front


@contextmanager
def _listening(endpoint: Endpoint, options: PlatformOptions) -> Iterator[Front]:
    try:
        front = Front((options.host, options.port), endpoint)
    except OSError as error:
        raise InputError(
            f"{options.host}:{options.port} cannot be listened on: {error.strerror}.",
            hint="Choose another --port.",
        ) from error
    for work in (front.serve_forever, endpoint.watch):
        threading.Thread(target=work, daemon=True).start()
    try:
        yield front
    finally:
        endpoint.stop()
        front.shutdown()
        front.server_close()


def _source(artifacts: Mapping[str, Artifact], models: str | None, folder: Path) -> Source:
    if models is not None:
        return open_source(models)
    folder.mkdir()
    for name, artifact in artifacts.items():
        pack_artifact(artifact, folder / f"{name}.tar.gz")
    return FolderSource(folder)
