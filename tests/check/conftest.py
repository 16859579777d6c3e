"""Runs made by hand, with the figures that a test is about."""

from pathlib import Path

import pytest

from workbench.artifact import seal
from workbench.records import (
    Footprint,
    Interval,
    Latency,
    Machine,
    Manifest,
    Measurement,
    Quality,
    Run,
    Setting,
    Signature,
    TensorSpec,
    VariantResult,
)

SIGNATURE = Signature(inputs=(TensorSpec(name="x", dtype="float32", shape=("batch", 32)),))
HERE = Machine(
    cpu="a CPU",
    isa=("avx2",),
    cores=2,
    memory_bytes=2**33,
    system="Linux",
    python="3.11",
    versions={"onnxruntime": "1.30.0"},
    load_average=0.1,
)


def interval(value, half=0.0, n=100, method="bootstrap over rounds in 4 processes"):
    return Interval(value=value, low=value - half, high=value + half, n=n, method=method)


def cell(p50=10.0, speedup=None, half=0.02, processes=4, batch=1):
    method = f"bootstrap over rounds in {processes} processes"
    if processes == 1:
        method = "bootstrap over rounds in one process"
    return Latency(
        setting=Setting(batch=batch, threads=1),
        p50_ms=interval(p50, half * p50, method=method),
        p95_ms=interval(1.2 * p50, half * p50, method=method),
        mean_ms=p50,
        speedup=None if speedup is None else interval(speedup, half * speedup, method=method),
    )


def variant(name, *, baseline=False, key=None, size=1000, score=None, difference=None, cells=()):
    quality = Quality(metric="accuracy", score=score, difference=difference, samples=500)
    footprint = Footprint(size_bytes=size, model_bytes=size, parameters=10, sparsity=0.0)
    return VariantResult(
        name=name,
        baseline=baseline,
        key=key or f"key of {name}",
        signature=SIGNATURE,
        lineage=(),
        measurement=Measurement(footprint=footprint, quality=quality, latency=tuple(cells)),
    )


def make_run(*variants, gates=(), machine=HERE, smoke=False, task="classification"):
    base = variant("fp32", baseline=True, score=interval(0.9, 0.02), cells=[cell()])
    return Run(
        name="small",
        created="2026-01-02T03:04:05+00:00",
        measured="2026-01-02T03:04:05+00:00",
        smoke=smoke,
        recipe={
            "name": "small",
            "model": "model.onnx",
            "task": task,
            "variants": {"fp32": [], "int8": []},
            "gates": [*gates],
        },
        model="model.onnx",
        task="classification",
        machine=machine,
        variants=variants if any(v.baseline for v in variants) else (base, *variants),
        seconds=1.0,
    )


@pytest.fixture
def write(tmp_path):
    """Write a run as ``NAME/run.json`` and return the folder."""

    def written(run: Run, name: str = "now") -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "run.json").write_text(run.model_dump_json(exclude_none=True))
        return folder

    return written


def add_artifact(folder: Path, name: str, model: Path) -> None:
    """Put an ONNX file into a run directory as a variant's artifact."""
    target = folder / "variants" / name
    target.mkdir(parents=True)
    (target / "model.onnx").write_bytes(model.read_bytes())
    seal(target, Manifest(name=name, format="onnx", model_file="model.onnx", signature=SIGNATURE))
