"""Run directories for the tests: real records of a small run, and a recipe that makes one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.end_to_end.conftest import CLASSES, FEATURES, mlp

RECIPE = """\
name: tiny
model: tiny.onnx
task: {classification: {data: data.npz}}
variants:
  fp32: []
  int8: [{quantize: dynamic-int8}]
profile: {batch: [1], threads: [1], seconds: SECONDS}
gates: [size <= 0.5 * baseline]
"""


def project(folder: Path, seconds: float = 0.2) -> Path:
    """A recipe with its model and data; ``seconds`` is how long each cell is measured."""
    folder.mkdir(parents=True)
    mlp(folder / "tiny.onnx")
    random = np.random.default_rng(0)
    x = random.standard_normal((60, FEATURES)).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=random.integers(0, CLASSES, 60))
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.replace("SECONDS", str(seconds)))
    return recipe


def copy_as(run: Path, target: Path, **changes: object) -> Path:
    """The run's record under another name, with changes; without its artifacts."""
    target.mkdir()
    record = json.loads((run / "run.json").read_text()) | changes
    (target / "run.json").write_text(json.dumps(record))
    return target
