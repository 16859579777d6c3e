"""MLServer: its Open Inference Protocol v2, one parallel worker per CPU, or none at all.

Without parallel workers the model runs in the process that serves HTTP: less work for a request,
but one CPU for all.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from pathlib import Path
from typing import Any

from peers.base import APPS, Launch, Peer


def launch(workers: int, bin: Path, model: Path, port: int, work: Path) -> Launch:
    """``mlserver start`` on a folder with ``settings.json`` and ``model-settings.json``."""
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": port + 1,
        "metrics_port": port + 2,
        "parallel_workers": workers,
        "access_logger": False,
        "environments_dir": str(work / "environments"),
    }
    described = {"name": "model", "implementation": "mlserver_app.Runtime"}
    (work / "settings.json").write_text(json.dumps(settings))
    (work / "model-settings.json").write_text(json.dumps(described))
    return Launch(
        [str(bin / "mlserver"), "start", str(work)],
        {"PYTHONPATH": str(APPS), "BENCHMARK_MODEL": str(model)},
    )


def body(sample: Any) -> bytes:
    """One tensor: a text as BYTES, a row as FP32 ``[1, n]``."""
    if isinstance(sample, str):
        tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [sample]}
    else:
        shape = [1, len(sample)]
        tensor = {"name": "x", "datatype": "FP32", "shape": shape, "data": sample}
    return json.dumps({"inputs": [tensor]}).encode()


def answer(content: bytes) -> list[float]:
    """The data of the only output."""
    return json.loads(content)["outputs"][0]["data"]


PEER = Peer(
    name="mlserver",
    package="mlserver",
    requirements=("mlserver", "uvloop<0.22"),  # it asks for the current loop, which 0.22 refuses
    launch=functools.partial(launch, os.cpu_count() or 1),
    path="/v2/models/model/infer",
    ping="/v2/health/live",
    body=body,
    answer=answer,
)
INLINE = dataclasses.replace(
    PEER,
    name="mlserver_inline",
    launch=functools.partial(launch, 0),
    environment=PEER.name,
)
