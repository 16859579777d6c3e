"""Pydantic models as tables: each field with its type, default, bounds and meaning."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

Schema = Mapping[str, Any]

COLUMNS = ("field", "type", "default", "meaning")
_BOUNDS = (
    ("minimum", "≥ {}"),
    ("exclusiveMinimum", "> {}"),
    ("maximum", "≤ {}"),
    ("exclusiveMaximum", "< {}"),
    ("minItems", "at least {} of them"),
    ("maxItems", "at most {} of them"),
    ("pattern", "Matches `{}`"),
)
_WORDS = {"string": "text", "integer": "whole number", "boolean": "true or false"}


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; line breaks and bars in the cells are kept from breaking it."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def prose(docstring: str | None) -> str:
    """A docstring as Markdown: reStructuredText's code and roles become plain code."""
    text = inspect.cleandoc(docstring or "")
    text = re.sub(r":[a-z]+:`~?\.?([^`]+)`", r"`\1`", text)
    text = re.sub(r"::$", ":", text, flags=re.MULTILINE)
    return text.replace("``", "`")


def fields(model: type[BaseModel], first: str = "field") -> str:
    """The fields of one model as a table; models that they name are links to their headings."""
    return _rows(model.model_json_schema(by_alias=True), first)


def models_within(model: type[BaseModel]) -> str:
    """A section for each model that the fields of ``model`` lead to, with its own table."""
    found: Mapping[str, Schema] = model.model_json_schema().get("$defs", {})
    return "\n".join(
        f"### {_title(name)} {{#{_anchor(name)}}}\n\n{prose(schema.get('description'))}\n\n"
        + (_rows(schema) if "properties" in schema else f"{_type(schema)}\n")
        for name, schema in sorted(found.items())
    )


def _title(definition: str) -> str:
    """``Range_Decimal_`` is how pydantic writes ``Range[Decimal]``."""
    return re.sub(r"_(\w+?)_$", r" of \1", definition)


def _anchor(definition: str) -> str:
    return definition.lower().strip("_")


def _rows(schema: Schema, first: str = "field") -> str:
    required = schema.get("required", ())
    rows = [
        (f"`{name}`", _type(field), _default(field, name in required), _meaning(field))
        for name, field in schema.get("properties", {}).items()
    ]
    return table((first, *COLUMNS[1:]), rows) if rows else "It has none.\n"


def _type(schema: Schema) -> str:
    """What a value may be, in words; a model is a link to its heading on the page."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{_title(name)}](#{_anchor(name)})"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{_literal(schema['const'])}`"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            kinds = [_type(part) for part in schema[key] if part.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if "allOf" in schema:
        return " and ".join(_type(part) for part in schema["allOf"])
    kind = schema.get("type")
    if kind == "array":
        parts = schema.get("prefixItems")
        if parts:
            return f"list of {' and '.join(dict.fromkeys(map(_type, parts)))}"
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"mapping to {_type(inner)}" if isinstance(inner, dict) else "mapping"
    return _WORDS.get(str(kind), str(kind)) if kind else "anything"


def _default(schema: Schema, required: bool) -> str:
    if required:
        return "**required**"
    if "default" not in schema:
        return "its defaults" if "$ref" in schema or "oneOf" in schema else "empty"
    value = schema["default"]
    return "none" if value is None else f"`{_literal(value)}`" if value != "" else "empty"


def _literal(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _meaning(schema: Schema) -> str:
    bounds = [
        wording.format(part[key])
        for part in (schema, *schema.get("anyOf", ()), schema.get("items") or {})
        for key, wording in _BOUNDS
        if isinstance(part, dict) and key in part
    ]
    text = prose(schema.get("description"))
    said = f"{'; '.join(dict.fromkeys(bounds))}." if bounds else ""
    return f"{text} {said}".strip()
