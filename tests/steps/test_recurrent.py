"""LSTM and GRU weights in 8 bits: close to float, and left alone where that would not do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.steps.graphs import FLOAT, artifact, error, model, run, step, weight
from workbench.artifact import Artifact

INPUTS, HIDDEN = 24, 32
GATES = {"LSTM": 4, "GRU": 3}


def net(folder: Path, kind: str, directions: int = 1) -> Artifact:
    rows = GATES[kind] * HIDDEN
    way = "forward" if directions == 1 else "bidirectional"
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], name="by_time", perm=[1, 0, 2]),
        helper.make_node(
            kind, ["t", "w", "r", "b"], ["y"], name="cell", hidden_size=HIDDEN, direction=way
        ),
    ]
    weights = {
        "w": weight(directions, rows, INPUTS, seed=1),
        "r": 0.3 * weight(directions, rows, HIDDEN, seed=2),
        "b": 0.1 * weight(directions, 2 * rows, seed=3),
    }
    inputs = {"x": (FLOAT, ["batch", 10, INPUTS])}
    return artifact(folder, model(nodes, inputs, {"y": [10, directions, "batch", HIDDEN]}, weights))


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_recurrent_weights_are_stored_in_8_bits_and_biases_stay(
    tmp_path: Path, kind: str, directions: int
) -> None:
    feed = {"x": weight(16, 10, INPUTS, seed=4)}
    source = net(tmp_path / "net", kind, directions)
    small, account = step(source, "quantize", [feed], scheme="weight-only")
    assert account.changed == {kind: 2}
    assert small.model_path.stat().st_size < 0.4 * source.model_path.stat().st_size
    assert error(run(small, feed), run(source, feed)) < 0.02


def test_an_input_weight_whose_inputs_differ_too_much_stays_in_float(tmp_path: Path) -> None:
    loud = np.geomspace(1e-3, 1e2, INPUTS).astype(np.float32)
    feed = {"x": weight(16, 10, INPUTS, seed=4) * loud}
    _, account = step(net(tmp_path / "net", "LSTM"), "quantize", [feed], scheme="weight-only")
    assert account.changed == {"LSTM": 1}
    [left] = [item for item in account.skipped if item.name == "w"]
    assert "its inputs differ" in left.reason
