"""The JSON Schema of recipes, for editors that complete and check YAML."""

from __future__ import annotations

from typing import Any

from workbench.recipe import Recipe
from workbench.steps import steps
from workbench.tasks import tasks


def recipe_schema() -> dict[str, Any]:
    """JSON Schema of a recipe, with every step's and task's options, for editors."""
    schema = Recipe.model_json_schema()
    definitions = schema.setdefault("$defs", {})

    def uses(plugins: dict[str, Any], *, open_: bool = False) -> list[dict[str, Any]]:
        forms: list[dict[str, Any]] = [{"enum": sorted(plugins)}]
        for name, cls in plugins.items():
            options = cls.model_json_schema()
            parts = options.pop("$defs", {})
            if open_:
                options = _opened(options)
                parts = {f"Open{part}": _opened(schema) for part, schema in parts.items()}
            definitions.update(parts)
            short = getattr(cls, "shorthand", None)
            text = [options["properties"].get(short, {"type": "string"})] if short else []
            forms.append(
                {
                    "type": "object",
                    "properties": {name: {"anyOf": [options, *text, {"type": "null"}]}},
                    "required": [name],
                    "additionalProperties": False,
                }
            )
        return forms

    description = schema["properties"]["task"].get("description", "")
    schema["properties"]["task"] = {"anyOf": uses(tasks()), "description": description}
    schema["properties"]["variants"]["additionalProperties"] = {
        "type": "array",
        "items": {"anyOf": uses(steps())},
    }
    step = {"anyOf": uses(steps(), open_=True)}
    definitions["SearchOptions"]["properties"]["steps"]["items"] = {
        "anyOf": [*step["anyOf"], _choice({"anyOf": [step, {"type": "array", "items": step}]})]
    }
    gate = definitions["Gate"]
    schema["properties"]["gates"]["items"] = {"anyOf": [{"type": "string"}, gate]}
    definitions.pop("Use", None)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "workbench recipe"
    return schema


def _choice(values: dict[str, Any]) -> dict[str, Any]:
    """The schema of a search's choice among such values."""
    return {
        "type": "object",
        "properties": {"choice": {"type": "array", "items": values, "minItems": 1}},
        "required": ["choice"],
        "additionalProperties": False,
    }


def _opened(schema: Any) -> Any:
    """A schema of options, at any depth of which a place may be left open."""
    if isinstance(schema, list):
        return [_opened(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _opened(part) for key, part in schema.items() if key != "discriminator"}
    if isinstance(reference := found.get("$ref"), str):
        found["$ref"] = reference.replace("#/$defs/", "#/$defs/Open")
    if isinstance(properties := schema.get("properties"), dict):
        found["properties"] = {key: _open(_opened(part)) for key, part in properties.items()}
    return found


def _open(option: dict[str, Any]) -> dict[str, Any]:
    """The schema of an option that a search may leave open."""
    ends = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    described: dict[str, Any] = {
        key: option[key] for key in ("description", "default") if key in option
    }
    a_range = {
        "type": "object",
        "properties": {"range": ends, "step": {"type": "number"}, "log": {"type": "boolean"}},
        "required": ["range"],
        "additionalProperties": False,
    }
    return {**described, "anyOf": [option, _choice({}), a_range]}
