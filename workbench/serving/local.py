"""``workbench serve ARTIFACT...``: the model server alone, for one model or for several."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from workbench.artifact import Artifact
from workbench.errors import StepError
from workbench.machine import free_port
from workbench.serving.artifacts import place_artifact
from workbench.serving.examples import curl
from workbench.serving.process import ServerProcess
from workbench.serving.served import Served, ServedModel
from workbench.serving.signals import stop_signal

LOAD_S = 360.0


def serve_locally(
    artifacts: Mapping[str, Artifact],
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    environment: Mapping[str, str] | None = None,
    ready: Callable[[Served], None] = print,
) -> None:
    """Serve artifacts until SIGINT or SIGTERM; several are served by name.

    Args:
        artifacts: by the name under which each is served.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        environment: settings of the server.
        ready: called once, when all models answer.

    Raises:
        MissingError: the package ``onnx_server`` is not installed.
        InputError: the port cannot be had, or the server refuses its settings.
        StepError: the server ends, or a model does not load.
    """
    with (
        stop_signal() as stopped,
        tempfile.TemporaryDirectory(prefix="workbench-serve-", ignore_cleanup_errors=True) as kept,
    ):
        single = len(artifacts) == 1
        places = {name: Path(kept) / name for name in artifacts}
        arguments = ["--multi-model", "--models-dir", kept]
        for name, place in places.items():
            if single:
                # The server calls its one model as the folder is called.
                place.symlink_to(artifacts[name].path.absolute(), target_is_directory=True)
                arguments = ["--model", str(place)]
            else:
                # It loads one of many only from within its models' folder, links followed.
                place_artifact(artifacts[name], place)
        with ServerProcess(
            arguments, host=host, port=port or free_port(), environment=environment
        ) as server:
            server.wait_ready(stopped=stopped)
            if not single:
                _load_all(places, server, stopped)
            if not stopped.is_set():
                ready(_served(artifacts, server.url, single))
            server.watch(stopped)


def _load_all(places: Mapping[str, Path], server: ServerProcess, stopped: threading.Event) -> None:
    for name, place in places.items():
        if stopped.is_set():
            return
        answer = server.container.load(name, str(place), timeout=LOAD_S)
        if answer.status != 200:
            raise StepError(
                f"'{name}' does not load: {answer.message}",
                hint="The server's log above may say more.",
            )


def _served(artifacts: Mapping[str, Artifact], url: str, single: bool) -> Served:
    models = []
    for name, artifact in artifacts.items():
        place = f"{url}/invocations" if single else f"{url}/models/{name}/invoke"
        models.append(ServedModel(name, place, curl(place, artifact.manifest)))
    return Served(url, tuple(models))
