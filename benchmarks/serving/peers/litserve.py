"""LitServe: one worker process per CPU."""

from __future__ import annotations

from pathlib import Path

from peers.base import APPS, Launch, Peer


def launch(bin: Path, model: Path, port: int, work: Path) -> Launch:
    """The script of the app."""
    return Launch(
        [str(bin / "python"), str(APPS / "litserve_app.py")],
        {"BENCHMARK_MODEL": str(model), "BENCHMARK_PORT": str(port)},
    )


PEER = Peer(
    name="litserve",
    package="litserve",
    requirements=("litserve", "numpy"),
    launch=launch,
    path="/predict",
    ping="/health",
)
