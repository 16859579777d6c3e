"""The figures of all rounds as a Markdown table: medians, and the least and most in brackets."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

MEGABYTE = 1e6
Figures = dict[str, Any]
COLUMNS: dict[str, Callable[[Figures, Figures], float | None]] = {
    "requests/s": lambda f, r: f["requests_per_s"],
    "CPU ms/request": lambda f, r: f["cpu_ms_per_request"],
    "p50 ms": lambda f, r: f["closed"]["p50_ms"],
    "p99 ms": lambda f, r: f["closed"]["p99_ms"],
    "p99 ms at 70 % of own": lambda f, r: f["open_own"]["p99_ms"],
    "p99 ms at the stated rate": lambda f, r: f["open"]["p99_ms"] if "open" in f else None,
    "ping max ms, overloaded": lambda f, r: f["overload"]["max_ms"],
    "pings failed %": lambda f, r: f["overload"]["failed"] * 100 / max(1, f["overload"]["pings"]),
    "cold start s": lambda f, r: f["cold_start_s"],
    "idle MB above the model": lambda f, r: (f["idle_pss_bytes"] - r["model_bytes"]) / MEGABYTE,
}


def markdown(result: Figures) -> str:
    """The machine, the raw loop, one row for each server, and why others have none."""
    machine, settings = result["machine"], result["settings"]
    shared = ", ".join(f"{name} {version}" for name, version in machine["shared"].items())
    loads = [f["load_average"] for rounds in result["peers"].values() for f in rounds]
    lines = [
        f"Model {result['model']} ({result['model_bytes']:,} bytes); {machine['cpus']} × "
        f"{machine['cpu']}, Linux {machine['kernel']}, Python {machine['python']}, {shared}; "
        f"{settings['rounds']} rounds of {settings['seconds']:g} s; load average "
        f"{shown(loads)} (includes the benchmark's own).",
        "",
        "| server | " + " | ".join(COLUMNS) + " |",
        "| --- |" + " ---: |" * len(COLUMNS),
        *(row(result, name) for name, rounds in result["peers"].items() if rounds),
        "",
        "Raw loop, instances/s by batch size: "
        + "; ".join(
            f"{batch}: {shown([r['instances_per_s'][batch] for r in result['raw']])}"
            for batch in result["raw"][0]["instances_per_s"]
        )
        + ".",
        *(f"\n{name} has no figures: {why}" for name, why in result["failures"].items()),
    ]
    return "\n".join(lines)


def row(result: Figures, name: str) -> str:
    """One server's row."""
    cells = [
        shown([value for f in result["peers"][name] if (value := column(f, result)) is not None])
        for column in COLUMNS.values()
    ]
    return f"| {name} {result['machine']['versions'][name]} | " + " | ".join(cells) + " |"


def shown(values: list[float]) -> str:
    """``median (least–most)``, or a dash without values."""
    if not values:
        return "–"
    median, least, most = statistics.median(values), min(values), max(values)
    return f"{short(median)} ({short(least)}–{short(most)})"


def short(value: float) -> str:
    """Three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
