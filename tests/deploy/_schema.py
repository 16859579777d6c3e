"""Checks data against the reduced schemas beside this file, whose notation stands in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SCALARS: dict[str, Any] = {
    "string": str, "int": int, "number": int | float, "bool": bool, "int or string": int | str,
}  # fmt: skip


def faults(value: Any, schema: Any, path: str = "") -> Iterator[str]:
    if isinstance(schema, str):
        kind = SCALARS[schema]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            yield f"{path}: {value!r} is no {schema}"
    elif isinstance(schema, list):
        if not isinstance(value, list) or not value:
            yield f"{path}: {value!r} is no list of something"
            return
        if len(schema) == 2 and len(value) > schema[1]:
            yield f"{path}: more than {schema[1]}"
        for place, inner in enumerate(value):
            yield from faults(inner, schema[0], f"{path}[{place}]")
    else:
        yield from _fields(value, schema, path)


def _fields(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no object"
        return
    known = {name.rstrip("!"): inner for name, inner in schema.items()}
    for name in (n.rstrip("!") for n in schema if n.endswith("!")):
        if name not in value:
            yield f"{path}: {name} is missing"
    for name, inner in value.items():
        if name in known or "*" in known:
            yield from faults(inner, known.get(name, known.get("*")), f"{path}.{name}".lstrip("."))
        else:
            yield f"{path}: {name} is unknown"
