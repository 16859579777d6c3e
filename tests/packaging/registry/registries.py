"""Debian's registry as a process of its own, and images to push there."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.machine import free_port
from workbench.packaging.image.parts import Blob, Image, Layer, canonical, digest_of
from workbench.progress import Progress

USER, PASSWORD = "tester", "not-a-secret"
HTPASSWD = "tester:$2y$05$deNd6dNKo14ls9v2U28jR.58hYbEBztaw0qAbzIGgeKudcZOlzwBu"
"""Made by ``htpasswd -Bbn tester not-a-secret``."""
BIG = 9_000_000
"""Bytes of a layer that does not go in one request."""


def need_program(name: str) -> str:
    """The program; skips without it, or fails if WORKBENCH_REQUIRE_CONTAINERS is set."""
    found = shutil.which(name)
    if found is None:
        reason = f"these tests need {name}"
        if os.environ.get("WORKBENCH_REQUIRE_CONTAINERS"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def make_image(folder: Path, *sizes: int, seed: int = 0) -> Image:
    """An image whose layers are not tars, as no registry looks into them; sizes in bytes."""
    layers = []
    folder.mkdir(parents=True, exist_ok=True)
    for number, size in enumerate(sizes):
        content = random.Random(seed * 100 + number).randbytes(size)
        packed = gzip.compress(content, 1, mtime=0)
        path = folder / digest_of(packed).removeprefix("sha256:")
        path.write_bytes(packed)
        blob = Blob(digest_of(packed), len(packed), path)
        layers.append(Layer(f"part {number}", digest_of(content), blob, size))
    config = canonical(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": ["/serve"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [{"created_by": layer.title} for layer in layers],
        }
    )
    return Image(config, tuple(layers))


class Told(Progress):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.advances: list[tuple[float, float]] = []
        self.details: list[str] = []

    def advance(self, done: float, total: float) -> None:
        self.advances.append((done, total))

    def finish(self, label: str, seconds: float, *, reused: bool, detail: str = "") -> None:
        self.details.append(detail)


@contextlib.contextmanager
def debian_registry(folder: Path, *, password: bool = False) -> Iterator[str]:
    """``HOST:PORT`` of a registry process on loopback; with ``password`` only for USER."""
    program = need_program("docker-registry")
    port = free_port()
    settings: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if password:
        (folder / "htpasswd").write_text(HTPASSWD + "\n")
        settings["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    config = folder / "config.yml"
    config.write_text(json.dumps(settings))  # JSON is YAML
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log)
    try:
        _wait_for(port, process, folder / "log")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"the registry does not start: {log.read_text()}")
