"""The traffic file: YAML keys, where they stand, and what is wrong with them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from workbench.cost._traffic_log import Log
from workbench.cost._traffic_shapes import SHAPES
from workbench.cost._traffic_units import REQUESTS_HINT
from workbench.errors import InputError, RecipeError
from workbench.plugins import did_you_mean, telling_fault
from workbench.yaml_source import Place, YamlSource, parse_value, read_yaml

_FIELDS = {"payload_in": "payload_in_bytes", "payload_out": "payload_out_bytes", "p99": "p99_ms"}
"""Keys of the file whose field has its unit in the name; the field's name is a key as well."""

KEYS = (
    "requests",
    "shape",
    "log",
    *_FIELDS,
    "cold_start_share",
    "batchable",
    "availability",
    "seed",
)


def read_source(file: Path, overrides: tuple[str, ...]) -> YamlSource:
    """The mapping that a traffic file holds, with ``key.path=value`` overrides applied.

    Raises:
        InputError: the file is no YAML mapping, or an override is none.
    """
    try:
        source = read_yaml(file)
        data = copy.deepcopy(source.data)
    except InputError:
        raise
    except Exception as error:  # the parser fails in many ways on odd scalars and deep nesting
        raise RecipeError("this is no valid YAML.", file=file) from error
    if not isinstance(data, dict):
        raise RecipeError(
            "a traffic file is a mapping of keys, such as 'requests: 2M'.", file=file, line=1
        )
    for override in overrides:
        _override(data, override)
    return YamlSource(source.file, data, source.lines)


def _override(data: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise RecipeError(f"'{override[:60]}': write key.path=value.")
    *parents, last = path.split(".")
    node: Any = data
    for key in parents:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise RecipeError(f"{path}: '{key}' is no mapping in this traffic file.")
    try:
        node[last] = parse_value(text)
    except InputError:
        raise
    except Exception as error:
        raise RecipeError(f"{path}: '{text[:60]}' is no valid YAML value.") from error


def as_fields(source: YamlSource) -> dict[str, Any]:
    """The file's mapping as the fields of Traffic; a log's path starts at the file's folder.

    Raises:
        RecipeError: two keys say the same thing, or the log is not given as a file.
    """
    data = dict(source.data)
    for key, field in _FIELDS.items():
        if key in data:
            if field in data:
                raise error_at(source, (key,), f"'{field}' says the same: give one of the two.")
            data[field] = data.pop(key)
    if "log" in data:
        if "shape" in data:
            raise error_at(
                source, ("log",), "a log has its own shape: give log or shape, not both."
            )
        data["shape"] = _log(source, data.pop("log"))
    elif "requests" not in data and not set(data) - set(KEYS) - set(_FIELDS.values()):
        raise error_at(source, (), "the key 'requests' is missing.", REQUESTS_HINT)
    return data


def _log(source: YamlSource, value: Any) -> dict[str, Any]:
    options = {"file": value} if isinstance(value, str) else value
    if not isinstance(options, dict) or not isinstance(options.get("file"), str):
        raise error_at(
            source, ("log",), "no file is named.", "Write 'log: traffic.csv' or 'log: {file: ...}'."
        )
    path = source.file.parent / options["file"]
    try:
        found = path.is_file()
    except (OSError, ValueError):
        found = False
    if not found:
        raise error_at(source, ("log",), f"there is no file {path}.")
    return {**options, "file": str(path.resolve()), "kind": "log"}


def error_at(
    source: YamlSource, place: Place, message: str, hint: str | None = None
) -> RecipeError:
    """An error at a place of the file."""
    key = ".".join(map(str, place)) or None
    return RecipeError(message, file=source.file, line=source.line(place), key=key, hint=hint)


def explain(error: ValidationError, source: YamlSource) -> RecipeError:
    """The first fault of Traffic's validation: where, what, and the nearest right key."""
    first = telling_fault(error)
    place = _place(first["loc"], source)
    if first["type"] == "extra_forbidden":
        hint = did_you_mean(str(place[-1]), _keys(place[:-1]))
        return error_at(source, place, "there is no such key.", hint)
    if first["type"] == "missing":
        return error_at(source, place, "this key is missing.")
    if first["type"] == "value_error":
        message = first["msg"].removeprefix("Value error, ")
        return error_at(source, place, message if message.endswith((".", "?")) else f"{message}.")
    try:
        shown = repr(first["input"])
    except ValueError:  # an int of thousands of digits
        shown = "a very large number"
    got = f" (got {shown})" if len(shown) < 80 else ""
    return error_at(source, place, f"{first['msg']}{got}.")


def _place(loc: Place, source: YamlSource) -> Place:
    """Where the user wrote what a field's location names."""
    if loc[:2] == ("shape", "log"):
        return loc[1:]
    for key, field in _FIELDS.items():
        if loc[:1] == (field,) and key in source.data:
            return (key, *loc[1:])
    return loc


def _keys(place: Place) -> list[str]:
    known: dict[str, type[BaseModel]] = {**SHAPES, "log": Log}
    for part in map(str, reversed(place)):
        if part in known:
            return [name for name in known[part].model_fields if name != "kind"]
    return list(KEYS)
