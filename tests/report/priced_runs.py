"""Runs made by hand whose variants can be priced."""

from __future__ import annotations

from workbench.records import (
    Account,
    Footprint,
    Interval,
    Latency,
    Machine,
    Measurement,
    Run,
    Setting,
    Signature,
    StepRecord,
    VariantResult,
)

STEP = StepRecord(
    step="quantize",
    options={"scheme": "dynamic-int8"},
    key="q",
    seconds=1.0,
    account=Account(summary="int8"),
)


def variant(name: str, ms: float, *, memory: int, integer: bool = False) -> VariantResult:
    """A variant of so many milliseconds; the p99 is a fifth above, the median a little below."""

    def exactly(value: float) -> Interval:
        return Interval(value=value, low=value, high=value, n=200)

    cell = Latency(
        setting=Setting(batch=1, threads=1),
        mean_ms=ms,
        p50_ms=exactly(0.98 * ms),
        p99_ms=exactly(1.2 * ms),
        steady=True,
    )
    footprint = Footprint(
        size_bytes=memory // 3, model_bytes=memory // 3, parameters=10, sparsity=0.0,
        peak_memory_bytes=memory, load_ms=exactly(ms * 10),
    )  # fmt: skip
    return VariantResult(
        name=name,
        baseline=name == "fp32",
        key=name,
        signature=Signature(inputs=(), outputs=()),
        lineage=(STEP,) if integer else (),
        measurement=Measurement(footprint=footprint, latency=(cell,)),
    )


def priced_run(
    name: str = "shrunk", *, instance_type: str | None = None, traffic: dict | None = None
) -> Run:
    """fp32, int8 and a pruned variant, measured on a CPU with VNNI."""
    machine = Machine(
        cpu="a CPU with VNNI", isa=("avx2", "avx512f", "avx512_vnni"), cores=2,
        memory_bytes=2**33, system="Linux", python="3.11", versions={}, load_average=0.1,
        instance_type=instance_type,
    )  # fmt: skip
    return Run(
        name=name, created="2026-11-25T10:00:00+00:00", recipe={"name": name}, model="m", task="t",
        machine=machine, measured="2026-11-25", seconds=1.0, traffic=traffic,
        variants=(
            variant("fp32", 30.0, memory=230_000_000),
            variant("int8", 13.5, memory=120_000_000, integer=True),
            variant("pruned <b>", 19.0, memory=180_000_000),
        ),
    )  # fmt: skip
