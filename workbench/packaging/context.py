"""The build context: the Dockerfiles, the server, and its requirements, locked by hash."""

from __future__ import annotations

import shutil
from pathlib import Path

from workbench.artifact import disk_errors
from workbench.packaging.records import Endpoint
from workbench.shipped import shipped

SERVER = "onnx_server"
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*", "*.pyc")


def write_context(folder: Path, endpoint: Endpoint) -> None:
    """Copy what the image of an endpoint is built from into a new folder."""
    root = shipped("serving_containers")
    parts = [SERVER, "single_model", *(["multi_model"] if endpoint == "multi" else [])]
    with disk_errors(folder):
        for part in parts:
            shutil.copytree(root / part, folder / part, ignore=LEFT_OUT)


def server_version() -> str:
    """The server's version as its ``pyproject.toml`` gives it."""
    import tomllib

    text = (shipped("serving_containers") / SERVER / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def locked_requirements(container: str = SERVER) -> list[tuple[str, str, tuple[str, ...]]]:
    """Name, version and SHA-256 digests of each wheel that a container's image holds."""
    path = shipped("serving_containers") / container / "requirements.lock"
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    found = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words:
            name, _, version = words[0].partition("==")
            prefix = "--hash=sha256:"
            hashes = tuple(w.removeprefix(prefix) for w in words[1:] if w.startswith(prefix))
            found.append((name, version, hashes))
    return found
