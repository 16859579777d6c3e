"""The model without a server: the right answer, its memory, and the raw loop's throughput.

Each runs in a process of its own, in the environment of the FastAPI app, with the same onnxruntime
settings and the same tokenization as all servers.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from environments import REFERENCE
from peers.base import HERE
from sample_models import Model


def bare(model: Model, other: Model) -> dict[str, Any]:
    """The answer to the model's sample, and the memory of a bare process; see bare.py."""
    given = [str(model.folder), json.dumps(model.sample)]
    return _run(HERE / "bare.py", *given, str(other.folder), json.dumps(other.sample))


def raw(model: Model, seconds: float) -> dict[str, Any]:
    """Instances per second of the raw loop by batch size, and the best of them."""
    rates = _run(HERE / "raw_loop.py", str(model.folder), json.dumps(model.sample), str(seconds))
    best = max(rates, key=lambda batch: rates[batch])
    return {"instances_per_s": rates, "best_batch": int(best), "requests_per_s": rates[best]}


def _run(script: Path, *given: str) -> dict[str, Any]:
    command = [str(REFERENCE.bin / "python"), str(script), *given]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
