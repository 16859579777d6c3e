"""BentoML: one worker process per CPU."""

from __future__ import annotations

import json
from pathlib import Path

from peers.base import APPS, Launch, Peer


def launch(bin: Path, model: Path, port: int, work: Path) -> Launch:
    """``bentoml serve``, without its usage report."""
    command = ["serve", "bentoml_app:Model", "--working-dir", str(APPS), "--port", str(port)]
    return Launch(
        [str(bin / "bentoml"), *command, "--host", "127.0.0.1", "--quiet"],
        {
            "PATH": f"{bin}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(APPS),
            "BENCHMARK_MODEL": str(model),
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(work),
        },
    )


def answer(content: bytes) -> list[float]:
    """The only row."""
    return json.loads(content)[0]


PEER = Peer(
    name="bentoml",
    package="bentoml",
    requirements=("bentoml", "numpy", "uvloop", "httptools"),  # uvicorn takes them where it can
    launch=launch,
    path="/predict",
    ping="/livez",
    answer=answer,
)
