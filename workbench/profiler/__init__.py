"""Measures ONNX models: latency side by side, size, memory, and where bytes and time go.

The functions are loaded when they are asked for, so that the measuring process, which lives in
this package too, stays small.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.profiler.explanation import Explanation, explain
    from workbench.profiler.footprint import count_footprint, measure_footprint, measure_macs
    from workbench.profiler.graph import read_signature
    from workbench.profiler.latency import measure_latency

__all__ = [
    "Explanation",
    "count_footprint",
    "explain",
    "measure_footprint",
    "measure_latency",
    "measure_macs",
    "read_signature",
]

_HOMES = {
    "Explanation": "explanation",
    "count_footprint": "footprint",
    "explain": "explanation",
    "measure_footprint": "footprint",
    "measure_latency": "latency",
    "measure_macs": "footprint",
    "read_signature": "graph",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
