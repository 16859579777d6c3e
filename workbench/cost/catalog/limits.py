"""Limits of the ways to host: payloads, time-outs, memory sizes, concurrency."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.plugins import did_you_mean
from workbench.records import Record
from workbench.yaml_source import read_yaml


class Limit(Record):
    """One limit; ``value`` is the most that is possible, or a list where there is a choice.

    None: no figure is known. The unit stands in the limit's name; ``text`` says it in words that
    can stand in a sentence.
    """

    value: Any
    text: str
    least: float | None = None
    most: float | None = None
    default: float | None = None
    note: str = ""
    source: str
    as_of: str


def limit(mode: str, name: str) -> Limit:
    """A limit of a mode: ``limit("serverless", "payload_bytes_max")``.

    Raises:
        InputError: there is no such mode or limit.
    """
    known = limits()
    if mode not in known:
        raise InputError(f"There are no limits of '{mode}'.", hint=did_you_mean(mode, known))
    if name not in known[mode]:
        raise InputError(
            f"There is no limit '{name}' of {mode}.", hint=did_you_mean(name, known[mode])
        )
    return known[mode][name]


@cache
def limits() -> dict[str, dict[str, Limit]]:
    """All limits, by mode and name."""
    data = read_yaml(Path(__file__).with_name("limits.yaml")).data
    sources = data.pop("sources")
    return {
        mode: {name: _limit(entry, sources) for name, entry in entries.items()}
        for mode, entries in data.items()
    }


def _limit(entry: dict[str, Any], sources: dict[str, str]) -> Limit:
    texts = {"source": sources[entry["source"]], "as_of": str(entry["as_of"])}
    return Limit.model_validate(entry | texts)
