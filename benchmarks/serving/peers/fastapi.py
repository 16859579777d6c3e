"""FastAPI on uvicorn: one process, the model in the thread pool."""

from __future__ import annotations

from pathlib import Path

from peers.base import APPS, Launch, Peer


def launch(bin: Path, model: Path, port: int, work: Path) -> Launch:
    """``uvicorn fastapi_app:app``, without a log line per request."""
    command = ["uvicorn", "fastapi_app:app", "--port", str(port), "--no-access-log"]
    return Launch(
        [str(bin / command[0]), *command[1:], "--log-level", "warning"],
        {"PYTHONPATH": str(APPS), "BENCHMARK_MODEL": str(model)},
    )


PEER = Peer(
    name="fastapi",
    package="fastapi",
    requirements=("fastapi", "uvicorn[standard]", "numpy"),
    launch=launch,
)
