"""What trackers log of a run, under names that stay the same: parameters, metrics and tags."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from workbench.artifact import digest
from workbench.gates import WORST_FIRST
from workbench.records import Interval, Run, Setting, VariantResult


def run_digest(run: Run) -> str:
    """SHA-256 of what a run holds, but when it was made and how much of it came from the store.

    Running an unchanged recipe again gives the same digest, as long as nothing is measured anew.
    """
    passing = {"created", "seconds", "reused", "performed"}
    return digest(run.model_dump(mode="json", exclude=passing))


def run_params(run: Run) -> dict[str, str]:
    """The recipe, flattened, but for the steps, which are the variants' own."""
    recipe = {key: value for key, value in run.recipe.items() if key not in ("variants", "name")}
    return {"recipe": str(run.recipe.get("name", run.name)), **dict(_flat(recipe))}


def run_tags(run: Run) -> dict[str, str]:
    """Where it was measured, with which versions, and how the gates came out."""
    machine = run.machine
    tags = {
        "workbench.model": run.model,
        "workbench.task": run.task,
        "workbench.smoke": str(run.smoke).lower(),
        "workbench.created": run.created,
        "workbench.measured": run.measured,
        "workbench.gates": gates_outcome(run),
        "machine.cpu": machine.cpu,
        "machine.cores": str(machine.cores),
        "machine.isa": ", ".join(machine.isa),
        "machine.memory_bytes": str(machine.memory_bytes),
        "machine.system": machine.system,
        "version.python": machine.python,
        **{f"version.{name}": found for name, found in machine.versions.items()},
    }
    for name in ("gpu", "governor", "instance_type"):
        if value := getattr(machine, name):
            tags[f"machine.{name}"] = value
    return tags


def variant_params(variant: VariantResult) -> dict[str, str]:
    """The chain of steps, and each step's options as ``step.1.quantize.bits``."""
    found = {
        "variant": variant.name,
        "steps": " → ".join(record.step for record in variant.lineage) or "none",
    }
    for number, record in enumerate(variant.lineage, 1):
        found |= dict(_flat(record.options, f"step.{number}.{record.step}"))
    return found


def variant_tags(run: Run, variant: VariantResult) -> dict[str, str]:
    """The key of the artifact, whether it is the baseline, and each gate with its reason."""
    tags = {
        "workbench.variant": variant.name,
        "workbench.baseline": str(variant.baseline).lower(),
        "workbench.key": variant.key,
        "workbench.smoke": str(run.smoke).lower(),
    }
    mine = [verdict for verdict in run.verdicts if verdict.variant == variant.name]
    for number, verdict in enumerate(mine, 1):
        tags[f"workbench.gate.{number}"] = f"{verdict.outcome}: {verdict.gate} ({verdict.reason})"
    return tags


def gates_outcome(run: Run, variant: str | None = None) -> str:
    """The worst outcome of the gates of a variant, or of all; ``none`` where there are none."""
    found = {v.outcome for v in run.verdicts if variant in (None, v.variant)}
    return next((str(outcome) for outcome in WORST_FIRST if outcome in found), "none")


def variant_metrics(variant: VariantResult) -> dict[str, float]:
    """All figures of a variant; an interval ``x`` is ``x``, ``x.low`` and ``x.high``.

    Bytes, milliseconds and ratios as the names say. A cell of the latency grid is named
    ``latency.b1.s128.t2``: batch, sequence where there is one, threads; a GPU's has ``.cuda``.
    """
    measured = variant.measurement
    if measured is None:
        return {}
    footprint = measured.footprint
    found: dict[str, float] = {
        "size_bytes": footprint.size_bytes,
        "model_bytes": footprint.model_bytes,
        "parameters": footprint.parameters,
        "sparsity": footprint.sparsity,
    }
    if footprint.macs is not None:
        found["macs"] = footprint.macs
    if footprint.peak_memory_bytes is not None:
        found["peak_memory_bytes"] = footprint.peak_memory_bytes
    found |= _interval("load_ms", footprint.load_ms)
    if (quality := measured.quality) is not None:
        found |= _interval("quality", quality.score)
        found |= _interval("quality.difference", quality.difference)
        found["quality.samples"] = quality.samples
        found |= {f"agreement.{name}": value for name, value in quality.agreement.items()}
    for cell in measured.latency:
        name = f"latency.{cell_name(cell.setting)}"
        for percentile in ("p50_ms", "p95_ms", "p99_ms"):
            found |= _interval(f"{name}.{percentile}", getattr(cell, percentile))
        found[f"{name}.mean_ms"] = cell.mean_ms
        found |= _interval(f"{name}.speedup", cell.speedup)
    return {name: float(value) for name, value in found.items()}


def cell_name(setting: Setting) -> str:
    """``b1.s128.t2``, and ``.cuda`` on a GPU."""
    parts = [f"b{setting.batch}"]
    parts += [f"s{setting.sequence}"] if setting.sequence else []
    parts.append(f"t{setting.threads}")
    parts += [] if setting.device == "cpu" else [setting.device]
    return ".".join(parts)


def _interval(name: str, interval: Interval | None) -> dict[str, float]:
    if interval is None:
        return {}
    return {name: interval.value, f"{name}.low": interval.low, f"{name}.high": interval.high}


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and texts; a list is one value, as JSON."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
