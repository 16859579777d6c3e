"""This repository's server, with its defaults."""

from __future__ import annotations

from pathlib import Path

from peers.base import HERE, Launch, Peer


def launch(bin: Path, model: Path, port: int, work: Path) -> Launch:
    """The command that a user types."""
    return Launch(
        [str(bin / "onnx-server"), "--model", str(model), "--port", str(port)],
    )


PEER = Peer(
    name="onnx_server",
    package="onnx-server",
    requirements=("-e", f"{HERE.parents[1] / 'serving_containers' / 'onnx_server'}[text]"),
    launch=launch,
)
