"""What gates may name, as a page: every measurement with its units, its source and its meaning."""

from __future__ import annotations

from docs._reference.schemas import table
from workbench.gates import AGREEMENT, CELLS, FOOTPRINT, NAMES, UNITS
from workbench.records import Footprint, Setting
from workbench.tasks import tasks

_FOOTPRINT_FIELDS = {
    "size": "size_bytes",
    "model_size": "model_bytes",
    "parameters": "parameters",
    "sparsity": "sparsity",
    "macs": "macs",
    "memory": "peak_memory_bytes",
    "load": "load_ms",
}
_MEANINGS = {
    "parameters": "Weights, as what they stand for.",
    "load": "Median time to load it, over fresh sessions with the files in the system's cache.",
    "quality": "The task's metric; against the baseline it is judged paired, sample by sample.",
    "cosine_mean": "Mean cosine of the outputs to the baseline's.",
    "cosine_min": "Smallest cosine of an output to the baseline's.",
    "nearest_neighbour": "Share of samples whose nearest other sample stays the same.",
    "label_agreement": "Share of samples whose label stays the baseline's.",
    "max_abs": "Largest absolute difference of any output value to the baseline's.",
    "mean_abs": "Mean absolute difference of the output values to the baseline's.",
    "latency.p50": "Median; against the baseline it is judged on paired rounds.",
    "latency.p95": "From 20 samples on.",
    "latency.p99": "From 100 samples on.",
    "speedup": "The baseline's median over this median, paired by rounds.",
}


def gates_page() -> str:
    """The page of all measurements that a gate may name."""
    parts = [
        "# Gates\n\n`measurement[selector] operator bound`: [how they are written](../recipes.md"
        "#gates), [how they are judged](../measuring.md#gates).\n"
    ]
    figures = {name: [n for n, cls in tasks().items() if name in cls.figures] for name in NAMES}
    rows = [
        (
            f"`{name}`",
            ", ".join(f"`{unit}`" for unit in UNITS.get(name, ())),
            _measured_in(name, figures[name]),
            _meaning(name),
        )
        for name in NAMES
    ]
    parts.append(table(("measurement", "units", "given", "meaning"), rows))
    keys = ", ".join(f"`{key}`" for key in Setting.model_fields)
    parts.append(
        f"\nA selector in brackets names cells of the grid: {keys}, as in "
        "`latency.p95[batch=1, threads=1] <= 20 ms`. Without one a gate must hold in every cell.\n"
    )
    return "\n".join(parts)


def _measured_in(name: str, judged_by: list[str]) -> str:
    if name in CELLS:
        return "in each cell"
    if name in FOOTPRINT or name == "load":
        return "always"
    return "by " + ", ".join(f"[{task}](tasks/{task}.md)" for task in judged_by)


def _meaning(name: str) -> str:
    if name in _MEANINGS:
        return _MEANINGS[name]
    assert name not in AGREEMENT, f"{name}: say here what it means"
    return str(Footprint.model_fields[_FOOTPRINT_FIELDS[name]].description)
