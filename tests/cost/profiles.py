"""Two profiles as somebody would write them by hand: a model before and after int8."""

from __future__ import annotations

from workbench.cost.profile import Point, ServiceProfile

ISA = ("avx2", "avx512f", "avx512_vnni")


def before_and_after() -> list[ServiceProfile]:
    """fp32 (the baseline) and int8, 2.2 times as fast and half as large."""
    return [
        ServiceProfile(
            name="fp32", baseline=True, cpu="a CPU with VNNI", isa=ISA, cores=2,
            measured="2026-11-25",
            latency=(Point(mean_ms=30.0, p50_ms=29.5, p99_ms=36.0),),
            memory_bytes=230_000_000, model_bytes=90_000_000, load_s=0.3,
        ),
        ServiceProfile(
            name="int8", integer=True, cpu="a CPU with VNNI", isa=ISA, cores=2,
            measured="2026-11-25",
            latency=(Point(mean_ms=13.5, p50_ms=13.3, p99_ms=16.5),),
            memory_bytes=120_000_000, model_bytes=23_000_000, load_s=0.15,
        ),
    ]  # fmt: skip
