"""What the server is to reach, and what it reached in each round."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from intervals import shown
from plan import FOUR, OURS

Record = dict[str, Any]
Round = dict[str, Record]
"""The records of one round of one figure and case, by server."""


def cpu(found: Round) -> float:
    """CPU ms per request of the tiny model."""
    return found[OURS]["cpu_ms_per_request"]


def cpu_ratio(found: Round) -> float:
    """The best of the four servers over ours."""
    return min(found[name]["cpu_ms_per_request"] for name in FOUR if name in found) / cpu(found)


def of_raw(found: Round) -> float:
    """Requests per second over the best raw loop."""
    return found[OURS]["requests_per_s"] / found["raw"]["requests_per_s"]


def tail_ratio(found: Round) -> float:
    """p99 over the best peer's at the same rate."""
    return found[OURS]["p99_ms"] / min(f["p99_ms"] for name, f in found.items() if name != OURS)


def cold(found: Round) -> float:
    """Seconds from process start to the first right answer."""
    return found[OURS]["cold_s"]


def above_bare(found: Round) -> float:
    """Megabytes above a bare process with the same model."""
    return (found[OURS]["pss_bytes"] - found["bare"]["after_bytes"]) / 1e6


def above_model(found: Round) -> float:
    """Megabytes above what the model adds to a bare process: with interpreter and libraries."""
    bare = found["bare"]
    return (found[OURS]["pss_bytes"] - bare["after_bytes"] + bare["before_bytes"]) / 1e6


def hits(found: Round) -> float:
    """Hit-path throughput of many models over that of one."""
    return found[OURS]["hits_over_single"]


def ping(found: Round) -> float:
    """Milliseconds of the slowest ping; endless if one failed."""
    return float("inf") if found[OURS]["failed"] else found[OURS]["max_ms"]


AIMS: tuple[tuple[str, str, Callable[[Round], float], str, float], ...] = (
    ("cpu", "CPU ms per request, tiny model", cpu, "≤", 0.25),
    ("cpu", "best of the four servers over ours", cpu_ratio, "≥", 6.0),
    ("minilm", "requests/s over the best raw loop", of_raw, "≥", 0.95),
    ("tail", "p99 over the best peer's", tail_ratio, "≤", 1.0),
    ("cold", "cold start, s", cold, "≤", 1.0),
    ("memory", "idle MB above a bare process with the model", above_bare, "≤", 60.0),
    ("memory", "idle MB above the model alone", above_model, "≤", 60.0),
    ("many", "hits of many models over one model", hits, "≥", 0.9),
    ("ping", "slowest ping while overloaded, ms", ping, "≤", 200.0),
)


def table(records: list[Record]) -> str:
    """One row for each aim and case that was measured; a worst case is judged by its worst."""
    lines = ["| figure | aim | measured | reached |", "| --- | ---: | ---: | --- |"]
    for figure, title, value, sign, aim in AIMS:
        for case, rounds in _rounds(records, figure).items():
            values = [v for found in rounds if (v := _try(value, found)) is not None]
            if not values:
                continue
            judged = max(values) if figure == "ping" else statistics.median(values)
            reached = judged <= aim if sign == "≤" else judged >= aim
            cells = [f"{title}{case}", f"{sign} {aim:g}", shown(values), "yes" if reached else "no"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _rounds(records: list[Record], figure: str) -> dict[str, list[Round]]:
    """The rounds of a figure, by case."""
    cases: dict[str, dict[tuple[int, int], Round]] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        if record["figure"] == figure:
            rate = record.get("rate")
            case = f" ({record['model']}, {rate:,.0f} requests/s)" if rate else ""
            cases[case][record["run"], record["round"]][record["server"]] = record
    return {case: list(rounds.values()) for case, rounds in cases.items()}


def _try(value: Callable[[Round], float], found: Round) -> float | None:
    """The value, if all that it needs was measured in the round."""
    try:
        return value(found)
    except (KeyError, ValueError, TypeError):
        return None
