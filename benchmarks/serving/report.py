"""The figures of all rounds as Markdown: medians, and the least and most of the rounds.

With five rounds the interval from least to most holds the true median with 94 % probability.
Ratios are taken within each round, where both were measured close to each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aims
from intervals import shown
from plan import FIGURES

Record = dict[str, Any]
Column = Callable[[Record], float | None]
MEGABYTE = 1e6

COLUMNS: dict[str, dict[str, Column]] = {
    "cpu": {
        "CPU ms/request": lambda f: f["cpu_ms_per_request"],
        "requests/s": lambda f: f["requests_per_s"],
        "p50 ms": lambda f: f["p50_ms"],
        "p99 ms": lambda f: f["p99_ms"],
        "others' CPUs": lambda f: f["others_cpus"],
    },
    "minilm": {
        "requests/s": lambda f: f["requests_per_s"],
        "CPU ms/request": lambda f: f.get("cpu_ms_per_request"),
        "p50 ms": lambda f: f.get("p50_ms"),
        "p99 ms": lambda f: f.get("p99_ms"),
        "others' CPUs": lambda f: f.get("others_cpus"),
    },
    "tail": {
        "p50 ms": lambda f: f["p50_ms"],
        "p99 ms": lambda f: f["p99_ms"],
        "max ms": lambda f: f["max_ms"],
        "not answered with 200": lambda f: f["requests"] - f["ok"],
    },
    "cold": {"seconds": lambda f: f["cold_s"]},
    "memory": {
        "processes": lambda f: f.get("processes", 1),
        "PSS MB before load": lambda f: f.get("fresh_bytes", f.get("after_bytes")) / MEGABYTE,
        "PSS MB after load": lambda f: f.get("pss_bytes", f.get("after_bytes")) / MEGABYTE,
    },
    "many": {
        "requests/s, one model": lambda f: f["single"]["requests_per_s"],
        "requests/s, hits": lambda f: f["hits"]["requests_per_s"],
        "hits / one model": lambda f: f["hits_over_single"],
        "CPU ms/request, one model": lambda f: f["single"]["cpu_ms_per_request"],
        "CPU ms/request, hits": lambda f: f["hits"]["cpu_ms_per_request"],
        "hits in traffic %": lambda f: f["traffic"]["hit_share"] * 100,
        "hit p99 ms": lambda f: f["traffic"]["hit_p99_ms"],
        "miss p50 ms": lambda f: f["traffic"]["miss_p50_ms"],
        "answers checked": lambda f: f["traffic"]["asked"],
        "wrong": lambda f: f["traffic"]["wrong"],
    },
    "ping": {
        "ping p50 ms": lambda f: f["p50_ms"],
        "ping max ms": lambda f: f["max_ms"],
        "pings": lambda f: f["pings"],
        "failed": lambda f: f["failed"],
        "slow requests/s": lambda f: (
            (f["load"]["requests"] - f["load"]["refused"]) / f["load"]["seconds"]
        ),
    },
}
TITLES = {
    "cpu": "Tiny model, 32 connections",
    "minilm": "MiniLM int8, one text a request, 32 connections",
    "tail": "Open loop, requests at random",
    "cold": "Process start to first right answer, MiniLM int8",
    "memory": "Idle memory, MiniLM int8",
    "many": "1,000 tiny models by Zipf's law, 100 in memory",
    "ping": "Health checks while 64 connections ask MiniLM for 256 tokens each",
}


def markdown(results: list[Record]) -> str:
    """The machine, a table for each figure, why servers have none, and the aims."""
    records = [{**r, "run": n} for n, result in enumerate(results) for r in result["records"]]
    versions = {n: v for result in results for n, v in result["machine"]["versions"].items()}
    failures = {n: why for result in results for n, why in result["failures"].items()}
    parts = [_described(result) for result in results]
    for figure in FIGURES:
        found = [r for r in records if r["figure"] == figure]
        for case in dict.fromkeys(map(_case, found)):
            chosen = [r for r in found if _case(r) == case]
            parts.append(_table(figure, case, chosen, versions, failures))
    parts.append(aims.table(records))
    return "\n\n".join(parts)


def _described(result: Record) -> str:
    machine = result["machine"]
    shared = ", ".join(f"{name} {version}" for name, version in machine["shared"].items())
    return (
        f"`{result['command']}`\n\n"
        f"{result['date']}; {machine['cpus']} × {machine['cpu']} ({machine['cpu_family']}), Linux "
        f"{machine['kernel']}, Python {machine['python']}, {shared}; commit {machine['commit']}; "
        f"{result['rounds']} rounds of {result['seconds']:g} s; median (least–most) of the rounds."
    )


def _case(record: Record) -> tuple[str, float]:
    """What a table of its own is for: the model, and the rate of the open loop."""
    return record["model"], record.get("rate", 0.0)


def _table(
    figure: str,
    case: tuple[str, float],
    found: list[Record],
    versions: dict[str, str],
    failures: dict[str, str],
) -> str:
    model, rate = case
    title = TITLES[figure] + (f", {model}, {rate:,.0f} requests/s" if rate else "")
    columns = COLUMNS[figure]
    lines = [
        f"**{title}**\n",
        "| server | " + " | ".join(columns) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for server in dict.fromkeys(r["server"] for r in found):
        rounds = [r for r in found if r["server"] == server]
        cells = [shown([column(r) for r in rounds]) for column in columns.values()]
        name = f"{server} {versions.get(server, '')}".strip()
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    shorts = {name: " ".join(why.split())[:300] for name, why in failures.items()}
    lines += [f"| {name}: {why} |" + " |" * len(columns) for name, why in shorts.items()]
    return "\n".join(lines)
