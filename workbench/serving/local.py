"""``workbench serve ARTIFACT...``: the model server alone, for one model or for several."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from workbench.artifact import Artifact
from workbench.errors import StepError
from workbench.serving.artifacts import place_artifact
from workbench.serving.process import ServerProcess

LOAD_S = 360.0


def serve_locally(
    artifacts: Mapping[str, Artifact],
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    environment: Mapping[str, str] | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve artifacts until SIGINT or SIGTERM; several are served by name.

    Raises:
        MissingError: the package ``onnx_server`` is not installed.
        StepError: the server ends, or a model does not load.
    """
    with stop_signal() as stopped, tempfile.TemporaryDirectory(prefix="workbench-serve-") as kept:
        arguments = ["--multi-model", "--models-dir", kept]
        if len(artifacts) == 1:
            arguments = ["--model", str(next(iter(artifacts.values())).path.absolute())]
        with ServerProcess(arguments, host=host, port=port, environment=environment) as server:
            server.wait_ready(stopped=stopped)
            if len(artifacts) > 1 and not stopped.is_set():
                _load_all(artifacts, Path(kept), server, say)
            if not stopped.is_set():
                say(f"Serving {', '.join(artifacts)} on {server.url} (Ctrl-C stops it).")
            while not stopped.wait(0.5):
                server.check_alive()


@contextmanager
def stop_signal() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set while the context lasts; main thread only."""
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _load_all(
    artifacts: Mapping[str, Artifact],
    folder: Path,
    server: ServerProcess,
    say: Callable[[str], None],
) -> None:
    for name, artifact in artifacts.items():
        place = folder / name / "model"
        place_artifact(artifact, place)
        answer = server.container.load(name, str(place), timeout=LOAD_S)
        if answer.status != 200:
            raise StepError(f"'{name}' does not load: {answer.message}")
        say(f"{name}: POST {server.url}/models/{name}/invoke")
