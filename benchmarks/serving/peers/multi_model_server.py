"""multi-model-server: a Java front end with one Python worker per CPU; needs ``java``."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from peers.base import APPS, Launch, Peer


def launch(bin: Path, model: Path, port: int, work: Path) -> Launch:
    """``multi-model-server`` on a model store with one unpacked archive."""
    store = work / "store"
    archive = store / "model"
    (archive / "MAR-INF").mkdir(parents=True)
    described = {"modelName": "model", "handler": "multi_model_server_app.py:handle"}
    manifest = {"runtime": "python3", "model": described, "specificationVersion": "1.0"}
    (archive / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(manifest))
    for name in ("multi_model_server_app.py", "predictor.py"):
        shutil.copy(APPS / name, archive / name)
    (work / "config.properties").write_text(
        f"inference_address=http://127.0.0.1:{port}\n"
        f"management_address=http://127.0.0.1:{port + 1}\n"
        f"default_workers_per_model={os.cpu_count() or 1}\n"
    )
    command = ["--start", "--foreground", "--model-store", str(store), "--models", "model=model"]
    return Launch(
        [
            str(bin / "multi-model-server"),
            *command,
            "--mms-config",
            str(work / "config.properties"),
        ],
        {
            "PATH": f"{bin}:/usr/local/bin:/usr/bin:/bin",
            "LOG_LOCATION": str(work),
            "METRICS_LOCATION": str(work),
            "TEMP": str(work),
            "BENCHMARK_MODEL": str(model),
        },
    )


PEER = Peer(
    name="multi_model_server",
    package="multi-model-server",
    requirements=("multi-model-server", "numpy"),
    launch=launch,
    path="/predictions/model",
    programs=("java",),
)
