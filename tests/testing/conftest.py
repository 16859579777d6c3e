"""A run directory with two models, of which one does a multiple of the other's work."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from workbench.artifact import Artifact, seal, write_atomic
from workbench.machine import machine
from workbench.profiler import read_signature
from workbench.records import (
    Footprint,
    Interval,
    Manifest,
    Measurement,
    Quality,
    Run,
    VariantResult,
)


def _artifact(folder: Path, products: int) -> Artifact:
    folder.mkdir(parents=True)
    path = _chain(folder / "model.onnx", products)
    signature = read_signature(path)
    return seal(
        folder,
        Manifest(name="pair", format="onnx", model_file="model.onnx", signature=signature),
    )


def _chain(path: Path, products: int) -> Path:
    """``x`` float32 ``[batch, 32]``, widened to 512 and multiplied so often by a square."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    shapes = {"first": (32, 512), "square": (512, 512)}
    names = ["h", *(f"p{i}" for i in range(products - 1)), "y"]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "first"], ["h"]),
            *(helper.make_node("MatMul", [a, "square"], [b]) for a, b in pairwise(names)),
        ],
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 512])],
        [
            numpy_helper.from_array(random.standard_normal(shape).astype(np.float32) / 25, name)
            for name, shape in shapes.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def _measurement(artifact: Artifact, score: float, difference: float | None) -> Measurement:
    def interval(value: float, half: float) -> Interval:
        return Interval(value=value, low=value - half, high=value + half, n=500)

    return Measurement(
        footprint=Footprint(
            size_bytes=artifact.size_bytes,
            model_bytes=artifact.size_bytes,
            parameters=1,
            sparsity=0.0,
        ),
        quality=Quality(
            metric="accuracy",
            score=interval(score, 0.02),
            difference=None if difference is None else interval(difference, 0.002),
            samples=500,
        ),
    )


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory) -> Path:
    """``pair``: the variants ``slow`` (the baseline, 24 products) and ``fast`` (2 products)."""
    folder = tmp_path_factory.mktemp("runs") / "pair"
    slow = _artifact(folder / "variants" / "slow", 24)
    fast = _artifact(folder / "variants" / "fast", 2)
    run = Run(
        name="pair",
        created="2026-01-01T00:00:00+00:00",
        recipe={"name": "pair", "profile": {}},
        model="pair",
        task="classification",
        machine=machine(),
        measured="2026-01-01T00:00:00+00:00",
        variants=tuple(
            VariantResult(
                name=name,
                baseline=name == "slow",
                key=artifact.digest,
                signature=artifact.manifest.signature,
                lineage=(),
                measurement=_measurement(artifact, score, difference),
            )
            for name, artifact, score, difference in (
                ("slow", slow, 0.95, None),
                ("fast", fast, 0.948, -0.002),
            )
        ),
        seconds=1.0,
    )
    write_atomic(folder / "run.json", run.model_dump_json(exclude_none=True))
    return folder


@pytest.fixture
def store(monkeypatch, tmp_path) -> Path:
    """A store of its own, so that no test of another suite holds its lock."""
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "store"))
    return tmp_path / "store"
