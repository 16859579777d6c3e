"""The configuration of a serving image: what the Dockerfiles say in LABEL, ENV and ENTRYPOINT.

Source: Docker's image specification v1.2, of which OCI's image-spec config is a part; Healthcheck
is Docker's alone. tests/packaging/test_config.py compares it with the Dockerfiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from workbench.packaging.image.parts import Image, Layer, canonical
from workbench.packaging.image.tar_layer import epoch

Kind = Literal["single", "multi"]
PROFILER: Literal["profiler"] = "profiler"
"""The image that measures: it runs a job and listens to nobody."""
PORT = 8080
ENTRYPOINT = ("/usr/bin/python3.11", "-c", "from onnx_server.cli import serve; serve()")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {
    "PATH": PATH,
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "PYTHONUNBUFFERED": "1",
}
CAPABILITIES = "com.amazonaws.sagemaker.capabilities."
PING = (
    "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/ping' % "
    "(os.environ.get('SAGEMAKER_BIND_TO_PORT') or os.environ.get('ONNX_SERVER_PORT') or 8080), "
    "timeout=2)"
)
SECOND = 10**9
"""Nanoseconds, the unit of a health check's times."""
MULTI_ENVIRONMENT = {"SAGEMAKER_MULTI_MODEL": "true"}


def image_of(
    kind: Kind | Literal["profiler"], layers: Sequence[Layer], base: Image | None = None
) -> Image:
    """The image of these layers on top of a base's.

    A base's environment and labels stay unless the server's replace them; its user and command
    do not, as the platform runs images as root (contract, C3) and with ``serve`` (C2).
    """
    before = base.settings() if base else {}
    settings = dict(before.get("config") or {})
    for name in ("User", "Cmd", "ArgsEscaped", "OnBuild"):
        settings.pop(name, None)
    settings["Env"] = _environment(kind, settings.get("Env") or [])
    settings |= _job() if kind == "profiler" else _service(kind, settings)
    created = datetime.fromtimestamp(epoch(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    below = tuple(base.layers) if base else ()
    content: dict[str, Any] = {
        "architecture": "amd64",
        "os": "linux",
        "created": created,
        "config": settings,
        "history": [
            *_history(before, below),
            *({"created": created, "created_by": "workbench", "comment": x.title} for x in layers),
        ],
        "rootfs": {"type": "layers", "diff_ids": [x.diff_id for x in (*below, *layers)]},
    }
    return Image(canonical(content), (*below, *layers))


def _service(kind: Kind, before: dict[str, Any]) -> dict[str, Any]:
    return {
        "Labels": dict(before.get("Labels") or {}) | labels(kind),
        "Entrypoint": list(ENTRYPOINT),
        "ExposedPorts": dict(before.get("ExposedPorts") or {}) | {f"{PORT}/tcp": {}},
        "Healthcheck": {
            "Test": ["CMD", ENTRYPOINT[0], "-c", PING],
            "Interval": 10 * SECOND,
            "Timeout": 3 * SECOND,
            "StartPeriod": 30 * SECOND,
        },
    }


def _job() -> dict[str, Any]:
    return {"Entrypoint": [ENTRYPOINT[0], "-m", "workbench.profiler.job"]}


def labels(kind: Kind) -> dict[str, str]:
    """The platform's labels (contract, C5)."""
    names = ["accept-bind-to-port", *(["multi-models"] if kind == "multi" else [])]
    return {f"{CAPABILITIES}{name}": "true" for name in names}


def environment(kind: Kind | Literal["profiler"]) -> dict[str, str]:
    """The variables that the image sets."""
    return ENVIRONMENT | (MULTI_ENVIRONMENT if kind == "multi" else {})


def _environment(kind: Kind | Literal["profiler"], before: Sequence[str]) -> list[str]:
    own = environment(kind)
    merged = dict(line.split("=", 1) for line in before if "=" in line)
    # A base's own PATH may lead to what it needs.
    merged |= own | ({"PATH": merged["PATH"]} if "PATH" in merged else {})
    return [f"{name}={value}" for name, value in merged.items()]


def _history(before: dict[str, Any], below: Sequence[Layer]) -> list[Any]:
    """The base's history, if it speaks of each of its layers once as tools expect."""
    history = list(before.get("history") or [])
    full = [h for h in history if isinstance(h, dict) and not h.get("empty_layer")]
    if len(full) == len(below):
        return history
    return [{"comment": layer.title} for layer in below]
