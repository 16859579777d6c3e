"""Runs made of figures that a test states; their machine and versions are the test's to choose."""

from __future__ import annotations

from typing import Any

from workbench.compare import Source
from workbench.records import (
    Account,
    Footprint,
    Interval,
    Latency,
    Machine,
    Measurement,
    Quality,
    Run,
    Setting,
    Signature,
    StepRecord,
    VariantResult,
)

CELL = Setting(batch=1, threads=1)


def interval(value: float, half: float = 0.0, n: int = 100, **more: Any) -> Interval:
    """``value`` within ``half`` either way."""
    return Interval(value=value, low=value - half, high=value + half, n=n, **more)


def machine(**changed: Any) -> Machine:
    """A machine with VNNI, and what is changed of it."""
    given = {
        "cpu": "Test CPU 1",
        "isa": ("avx2", "avx512_vnni"),
        "cores": 2,
        "memory_bytes": 8 * 10**9,
        "system": "Linux 6 x86_64",
        "python": "3.12.1",
        "versions": {"onnxruntime": "1.22.0", "onnx": "1.17.0"},
        "load_average": 0.1,
    }
    return Machine(**given | changed)


def step(name: str, **options: Any) -> StepRecord:
    """A step with its options."""
    return StepRecord(
        step=name, options=options, key=f"{name} {options}", seconds=1, account=Account(summary="")
    )


def variant(
    name: str,
    *,
    key: str,
    baseline: bool = False,
    size: int = 1000,
    p50: float = 10.0,
    half: float = 0.1,
    speedup: Interval | None = None,
    quality: Quality | None = None,
    steps: tuple[StepRecord, ...] = (step("export", opset=18),),
    setting: Setting = CELL,
    **footprint: Any,
) -> VariantResult:
    """A variant that was measured in one cell; ``key`` tells whether two are the same files."""
    cell = Latency(setting=setting, p50_ms=interval(p50, half), mean_ms=p50, speedup=speedup)
    return VariantResult(
        name=name,
        baseline=baseline,
        key=key,
        signature=Signature(inputs=()),
        lineage=steps,
        measurement=Measurement(
            footprint=Footprint(
                size_bytes=size, model_bytes=size, parameters=100, sparsity=0.0, **footprint
            ),
            quality=quality,
            latency=(cell,),
        ),
    )


def scored(accuracy: float, difference: Interval | None = None, **changed: Any) -> Quality:
    """Accuracy on 500 samples."""
    given = {
        "metric": "accuracy",
        "score": interval(accuracy, 0.01, 500),
        "difference": difference,
        "samples": 500,
    }
    return Quality(**given | changed)


def run(
    *variants: VariantResult, created: str = "2026-11-01T10:00:00+00:00", **changed: Any
) -> Run:
    """A run of these variants."""
    recipe = {
        "name": "built",
        "model": "some-model",
        "task": {"classification": {"data": "digits"}},
        "variants": {one.name: [record.step for record in one.lineage] for one in variants},
    }
    given = {
        "name": "built",
        "created": created,
        "recipe": recipe | changed.pop("recipe", {}),
        "model": "some-model",
        "task": "classification",
        "machine": machine(),
        "measured": created,
        "variants": variants,
        "seconds": 1,
    }
    return Run(**given | changed)


def pair(
    created: str = "2026-11-01T10:00:00+00:00",
    *,
    base: str = "base",
    small: str = "small",
    size: int = 300,
    speedup: float = 2.0,
    half: float = 0.05,
    drift: float = 1.0,
    difference: Interval | None = None,
    score: float = 0.9,
    steps: tuple[StepRecord, ...] = (step("export", opset=18), step("quantize", bits=8)),
    **changed: Any,
) -> Run:
    """A baseline of 10 ms (times ``drift``) and a small variant; keys name the files."""
    return run(
        variant("fp32", key=base, baseline=True, p50=10 * drift, quality=scored(score)),
        variant(
            "int8",
            key=small,
            size=size,
            p50=10 * drift / speedup,
            speedup=interval(speedup, half),
            quality=scored(score, difference or interval(-0.001, 0.002, 500)),
            steps=steps,
        ),
        created=created,
        **changed,
    )


def source(made: Run, label: str, **more: Any) -> Source:
    """A run that lies in no folder."""
    return Source(made, label, **more)
