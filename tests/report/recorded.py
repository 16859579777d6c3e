"""A real run, recorded: ``workbench run minilm-int8`` on two busy cores; and runs made from it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from workbench.records import Interval, Run, VariantResult

FILE = Path(__file__).parent / "data" / "minilm-int8.json"
"""``run.json`` as it was written."""

HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\">",
    "</script><script>document.title='owned'</script>",
    "\"'><b>bold</b>&amp;",
    "\u202egnp.exe\u2066",
)
"""Names that would be markup, would end a script, leave an attribute, or turn the direction."""


def recorded() -> Run:
    """The run as it was recorded."""
    return Run.model_validate_json(FILE.read_bytes())


def changed(run: Run, name: str, **fields: Any) -> Run:
    """The run with fields of one variant's measurement changed."""
    return run.model_copy(
        update={
            "variants": tuple(
                v.model_copy(update={"measurement": v.measurement.model_copy(update=fields)})
                if v.name == name and v.measurement
                else v
                for v in run.variants
            )
        }
    )


def variant(run: Run, name: str) -> VariantResult:
    """A variant by its name."""
    return next(v for v in run.variants if v.name == name)


def without(run: Run, field: str, value: Any = None) -> Run:
    """The run without a part of every measurement."""
    for each in run.variants:
        run = changed(run, each.name, **{field: value})
    return run


def with_variants(run: Run, count: int) -> Run:
    """A run of so many variants: the recorded ones again, their times scaled at random."""
    chance = random.Random(7)
    base, *others = run.variants
    made = [base]
    for i in range(count - 1):
        other = others[i % len(others)]
        assert other.measurement
        factor = chance.uniform(0.8, 1.3)
        latency = tuple(
            cell.model_copy(
                update={
                    "p50_ms": _scaled(cell.p50_ms, factor),
                    "speedup": cell.speedup and _scaled(cell.speedup, 1 / factor),
                    "samples_ms": tuple(round(ms * factor, 4) for ms in cell.samples_ms * 20),
                }
            )
            for cell in other.measurement.latency
        )
        measurement = other.measurement.model_copy(update={"latency": latency})
        made.append(
            other.model_copy(
                update={
                    "name": f"{other.name}-{i}",
                    "key": f"{i:064x}",
                    "lineage": (
                        *other.lineage[:-1],
                        other.lineage[-1].model_copy(update={"key": f"{i:064x}"}),
                    ),
                    "measurement": measurement,
                }
            )
        )
    verdicts = [
        verdict.model_copy(update={"variant": v.name})
        for v in made[1:]
        for verdict in run.verdicts[:5]
    ]
    return run.model_copy(update={"variants": tuple(made), "verdicts": tuple(verdicts)})


def renamed(run: Run, names: dict[str, str]) -> Run:
    """The run with other names of its variants, in its verdicts too."""
    return run.model_copy(
        update={
            "variants": tuple(
                v.model_copy(update={"name": names.get(v.name, v.name)}) for v in run.variants
            ),
            "verdicts": tuple(
                v.model_copy(update={"variant": names.get(v.variant, v.variant)})
                for v in run.verdicts
            ),
        }
    )


def _scaled(interval: Interval, factor: float) -> Interval:
    return interval.model_copy(
        update={end: round(getattr(interval, end) * factor, 5) for end in ("value", "low", "high")}
    )
