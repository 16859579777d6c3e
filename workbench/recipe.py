"""A recipe: the YAML file that says which model is shrunk how, and what must hold of the result."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from workbench.errors import InputError, RecipeError
from workbench.plugins import explain, nearest, telling_fault
from workbench.profile_options import ProfileOptions
from workbench.search_options import SearchOptions
from workbench.yaml_source import YamlSource, parse_value, read_yaml

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Use(_Part):
    """A step or task by name, with its options: ``export`` or ``{quantize: {bits: 8}}``."""

    name: str
    options: dict[str, Any] | str | None = None

    def as_written(self) -> str | dict[str, Any]:
        """As a recipe writes it."""
        return self.name if self.options is None else {self.name: self.options}


def _use(value: Any) -> Any:
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict) and len(value) == 1:
        [(name, options)] = value.items()
        return {"name": name, "options": options}
    if isinstance(value, dict) and set(value) == {"name", "options"}:
        return value
    raise ValueError("write a name, or one name with its options as in {quantize: {bits: 8}}")


NamedUse = Annotated[Use, BeforeValidator(_use)]


class TensorInput(_Part):
    """An input of a model that a factory builds."""

    name: str = Field(description="Name of the forward method's argument.")
    dtype: Literal[
        "float32", "float16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"
    ] = Field("float32", description="numpy dtype name.")
    shape: tuple[int | str, ...] = Field(description="Sizes; a name makes the axis dynamic.")


class FactoryModel(_Part):
    """A torch module built by a function, with its weights."""

    factory: str = Field(description="module:function, or file.py:function beside the recipe.")
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="Keyword arguments of the function."
    )
    checkpoint: str | None = Field(
        None, description="A .safetensors or .pt state dict, read with weights_only=True."
    )
    inputs: tuple[TensorInput, ...] = Field(description="The inputs of forward, in order.")


class Gate(_Part):
    """A bound that must hold: for all variants but the baseline, or for those that are named."""

    gate: str = Field(description="Such as: quality >= baseline - 0.5%")
    variants: tuple[str, ...] | None = Field(None, description="Which variants; none: all.")


def _gate(value: Any) -> Any:
    return {"gate": value} if isinstance(value, str) else value


class Recipe(_Part):
    """A model, the task that says what quality is, the variants, and the gates."""

    name: str = Field(pattern=NAME, description="Name of the run directory.")
    description: str = Field("", description="One sentence for `workbench recipes list`.")
    model: str | FactoryModel = Field(
        description="A name under models/, a Hugging Face folder or id, an .onnx file, a factory."
    )
    task: NamedUse = Field(description="What quality is: a task's name, or {name: {options}}.")
    variants: dict[str, list[NamedUse]] = Field(
        min_length=1, description="Name: list of steps. The first variant is the baseline."
    )
    profile: ProfileOptions = Field(
        default_factory=ProfileOptions, description="The grid on which latency is measured."
    )
    gates: list[Annotated[Gate, BeforeValidator(_gate)]] = Field(
        default_factory=list, description="Bounds on measurements; CI fails on them."
    )
    traffic: str | dict[str, Any] | None = Field(
        None, description="What is to be priced: a traffic file, or its keys, as {requests: 2M}."
    )
    search: SearchOptions | None = Field(
        None, description="Chains for `workbench search` to try; the other commands pass over it."
    )

    @field_validator("variants")
    @classmethod
    def _names(cls, variants: dict[str, list[Use]]) -> dict[str, list[Use]]:
        for name in variants:
            if not re.match(NAME, name):
                raise ValueError(f"'{name}' is no name: use letters, digits, dots, - and _")
        return variants

    def as_written(self) -> dict[str, Any]:
        """The recipe as YAML data that reads back as the same recipe, defaults left out."""
        data: dict[str, Any] = self.model_dump(mode="json", exclude_defaults=True)
        data["task"] = self.task.as_written()
        data["variants"] = {
            name: [use.as_written() for use in uses] for name, uses in self.variants.items()
        }
        return data

    @property
    def baseline(self) -> str:
        """Name of the first variant."""
        return next(iter(self.variants))


class RecipeSource(_Part):
    """A recipe with the file that it came from, for errors found later."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    recipe: Recipe
    source: YamlSource

    @property
    def folder(self) -> Path:
        """Relative paths in the recipe start here."""
        return self.source.file.parent

    def error(
        self, place: tuple[str | int, ...], message: str, hint: str | None = None
    ) -> RecipeError:
        """A RecipeError at a place of the file."""
        return RecipeError(
            message,
            file=self.source.file,
            line=self.source.line(place),
            key=".".join(map(str, place)) or None,
            hint=hint,
        )


def load_recipe(
    file: Path, *, overrides: tuple[str, ...] = (), only: tuple[str, ...] = ()
) -> RecipeSource:
    """Read and validate a recipe.

    Args:
        file: the YAML file.
        overrides: ``key.path=value`` with a YAML value, applied before validation.
        only: variants to keep; the baseline always stays.

    Raises:
        RecipeError: anything is wrong; it names file, line, key and, for a misspelt key, the
            nearest right one.
    """
    source = read_yaml(file)
    if not isinstance(source.data, dict):
        raise RecipeError("a recipe is a mapping of keys.", file=file, line=1)
    data = copy.deepcopy(source.data)
    for override in overrides:
        _override(data, override)
    if only:
        _keep(data, only, file)
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        raise _explain(error, source) from error
    return RecipeSource(recipe=recipe, source=source)


def _override(data: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise RecipeError(f"--set {override}: write key.path=value.")
    value = parse_value(text)
    *parents, last = path.split(".")
    node: Any = data
    for key in parents:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise RecipeError(f"--set {path}: '{key}' is no mapping in this recipe.")
    node[last] = value


def _keep(data: dict[str, Any], only: tuple[str, ...], file: Path) -> None:
    variants = data.get("variants")
    if not isinstance(variants, dict) or not variants:
        return
    for name in only:
        if name not in variants:
            close = nearest(name, variants)
            raise RecipeError(
                f"--only {name}: there is no such variant.",
                file=file,
                hint=f"Did you mean '{close}'?" if close else f"There is: {', '.join(variants)}.",
            )
    baseline = next(iter(variants))
    data["variants"] = {n: steps for n, steps in variants.items() if n == baseline or n in only}
    for gate in data.get("gates") or []:
        if isinstance(gate, dict) and isinstance(gate.get("variants"), list):
            gate["variants"] = [name for name in gate["variants"] if name in data["variants"]]


_MODELS: dict[str, type[BaseModel]] = {
    "profile": ProfileOptions,
    "gates": Gate,
    "search": SearchOptions,
}


def _explain(error: ValidationError, source: YamlSource) -> RecipeError:
    """The first fault as a RecipeError: what, where, and the nearest right key."""
    first = telling_fault(error)
    place = tuple(part for part in first["loc"] if part != "FactoryModel")
    key = ".".join(map(str, place))
    hint = None
    if first["type"] == "extra_forbidden":
        unknown = str(place[-1])
        fields = _fields(place)
        close = nearest(unknown, fields)
        message = "there is no such key."
        hint = f"Did you mean '{close}'?" if close else f"Keys are: {', '.join(fields)}."
    elif first["type"] == "missing":
        message = "this key is missing."
    else:
        message = first["msg"].removeprefix("Value error, ")
        shown = repr(first["input"])
        message += f" (got {shown})." if len(shown) < 80 else "."
    return RecipeError(message, file=source.file, line=source.line(place), key=key, hint=hint)


def _fields(place: tuple[str | int, ...]) -> list[str]:
    if len(place) == 1:
        return list(Recipe.model_fields)
    if place[0] == "model":
        return list((TensorInput if len(place) > 2 else FactoryModel).model_fields)
    return list(_MODELS.get(str(place[0]), Use).model_fields)


def profile_options(data: dict[str, Any]) -> ProfileOptions:
    """A profile from the command line's options.

    Raises:
        InputError: a value is wrong.
    """
    try:
        return ProfileOptions.model_validate(data)
    except ValidationError as error:
        raise InputError(explain(error, ProfileOptions)) from error
