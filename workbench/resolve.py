"""A recipe held against what there is: steps, task, model, gates. Nothing long has started yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workbench.cost.traffic import Traffic, read_traffic, traffic_in
from workbench.errors import GateError, InputError, RecipeError
from workbench.gates import impossible, parse_gate
from workbench.models import ModelReference, find_model
from workbench.profile_options import ProfileOptions
from workbench.recipe import Recipe, RecipeSource
from workbench.records import Format, Setting
from workbench.steps import Step, make_step, steps
from workbench.tasks import BoundTask, Task, make_task, tasks

Chain = tuple[Step, ...]
SMOKE_SAMPLES = 16


@dataclass(frozen=True)
class Resolved:
    """A recipe whose every name was found and whose every chain fits."""

    source: RecipeSource
    model: ModelReference
    task: BoundTask
    chains: dict[str, Chain]
    profile: ProfileOptions
    traffic: Traffic | None
    smoke: bool

    @property
    def recipe(self) -> Recipe:
        """The recipe itself."""
        return self.source.recipe

    @property
    def name(self) -> str:
        """Name of the run: the recipe's, marked when it is a smoke run."""
        return f"{self.recipe.name}-smoke" if self.smoke else self.recipe.name


def resolve(source: RecipeSource, *, smoke: bool = False) -> Resolved:
    """Find everything that a recipe names and check that it fits together.

    Args:
        source: the recipe.
        smoke: take a tiny random model of the same architecture, few samples and one small cell.

    Raises:
        RecipeError: a step, a chain, a gate, the traffic or a variant name is wrong; names the
            line.
        ModelError, DataError, MissingError: the model or the data cannot be had.
    """
    chains = _chains(source)
    recipe = source.recipe
    task = _task(source)
    _check_gates(source, task)
    traffic = _traffic(source)
    model = _at(source, ("model",), lambda: find_model(recipe.model, folder=source.folder))
    _check_formats(source, chains, "onnx" if model.kind == "onnx" else "torch")
    if smoke:
        limit = min(SMOKE_SAMPLES, task.limit or SMOKE_SAMPLES)
        task = task.model_copy(update={"limit": limit})
    bound = _at(source, ("task",), lambda: task.bind(source.folder))
    _check_steps(source, chains, bound)
    return Resolved(
        source=source,
        model=model.as_smoke() if smoke else model,
        task=bound,
        chains=chains,
        profile=_smoke_profile(recipe.profile) if smoke else recipe.profile,
        traffic=traffic,
        smoke=smoke,
    )


def check(source: RecipeSource) -> None:
    """All of :func:`resolve`'s checks that need neither the model's nor the data's package.

    Raises:
        RecipeError: a step, a task, a chain, a gate or a variant name is wrong.
    """
    chains = _chains(source)
    recipe = source.recipe
    _check_gates(source, _task(source))
    _traffic(source)
    if isinstance(recipe.model, str) and recipe.model.endswith(".onnx"):
        _check_formats(source, chains, "onnx")
    else:
        first: Format = next((chain[0].accepts for chain in chains.values() if chain), "onnx")
        _check_formats(source, chains, first)


def recipe_schema() -> dict[str, Any]:
    """JSON Schema of a recipe, with every step's and task's options, for editors."""
    schema = Recipe.model_json_schema()
    definitions = schema.setdefault("$defs", {})

    def uses(plugins: dict[str, Any]) -> list[dict[str, Any]]:
        forms: list[dict[str, Any]] = [{"enum": sorted(plugins)}]
        for name, cls in plugins.items():
            options = cls.model_json_schema()
            definitions.update(options.pop("$defs", {}))
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
    gate = definitions["Gate"]
    schema["properties"]["gates"]["items"] = {"anyOf": [{"type": "string"}, gate]}
    definitions.pop("Use", None)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "workbench recipe"
    return schema


def _at(source: RecipeSource, place: tuple[str | int, ...], find: Any) -> Any:
    """Call ``find``; a plain InputError becomes one that names the place in the recipe."""
    try:
        return find()
    except RecipeError:
        raise
    except InputError as error:
        placed = source.error(place, error.message, error.hint)
        raise placed from error


def _task(source: RecipeSource) -> Task:
    use = source.recipe.task
    task: Task = _at(source, ("task",), lambda: make_task(use.name, use.options))
    return task


def _traffic(source: RecipeSource) -> Traffic | None:
    written = source.recipe.traffic
    if isinstance(written, str):
        file = source.folder / written
        if not file.is_file():
            raise source.error(("traffic",), f"there is no file {file}.")
        return read_traffic(file)
    return None if written is None else traffic_in(source.source.part("traffic", written))


def _chains(source: RecipeSource) -> dict[str, Chain]:
    return {
        name: tuple(
            _at(
                source,
                ("variants", name, index),
                lambda use=use: make_step(use.name, use.options),
            )
            for index, use in enumerate(uses)
        )
        for name, uses in source.recipe.variants.items()
    }


def _check_steps(source: RecipeSource, chains: dict[str, Chain], task: BoundTask) -> None:
    """What steps need is there: samples to learn from, packages, the files of other models."""
    for name, chain in chains.items():
        for index, step in enumerate(chain):
            place = ("variants", name, index)
            step.check()
            _at(source, place, lambda step=step: step.sources(source.folder))
            if step.uses_training:
                _at(source, place, lambda: task.training_digest)


def _check_formats(source: RecipeSource, chains: dict[str, Chain], first: Format) -> None:
    for name, chain in chains.items():
        current = first
        for index, step in enumerate(chain):
            if step.accepts != current:
                before = f"after '{chain[index - 1].name}'" if index else "for this model"
                exported = any(earlier.makes != earlier.accepts for earlier in chain[:index])
                hint = "Put 'export' before it."
                if step.accepts == "torch":
                    hint = (
                        f"Put '{step.name}' before 'export'."
                        if exported
                        else "The model is ONNX already: leave the step out."
                    )
                raise source.error(
                    ("variants", name, index),
                    f"'{step.name}' takes a {step.accepts} model, but {before} it is {current}.",
                    hint,
                )
            current = step.makes
        if current != "onnx":
            raise source.error(
                ("variants", name),
                "the chain ends with a torch model; only ONNX can be measured and served.",
                "Add 'export'.",
            )


def _check_gates(source: RecipeSource, task: Task) -> None:
    recipe = source.recipe
    for index, gate in enumerate(recipe.gates):
        try:
            parsed = parse_gate(gate.gate)
        except GateError as error:
            raise source.error(("gates", index), error.message, error.hint) from error
        if reason := impossible(parsed, _cells(recipe.profile), task.figures):
            raise source.error(("gates", index), reason)
        for name in gate.variants or ():
            if name not in recipe.variants:
                raise source.error(
                    ("gates", index),
                    f"the gate names the variant '{name}', which does not exist.",
                    f"There is: {', '.join(recipe.variants)}.",
                )
            if name == recipe.baseline:
                raise source.error(
                    ("gates", index),
                    f"the gate names '{name}', the baseline that the others are held against.",
                    "Name the other variants, or leave `variants` out.",
                )


def _cells(profile: ProfileOptions) -> list[Setting]:
    """All cells that a profile can have, whatever axes the model turns out to have."""
    return [
        Setting(batch=batch, sequence=sequence, threads=threads, device=device)
        for device in profile.devices
        for threads in profile.threads
        for batch in profile.batch
        for sequence in (*profile.sequence, None)
    ]


def _smoke_profile(profile: ProfileOptions) -> ProfileOptions:
    return profile.model_copy(
        update={
            "batch": profile.batch[:1],
            "sequence": profile.sequence[:1],
            "threads": profile.threads[:1],
            "seconds": 0.3,
        }
    )


__all__ = ["Resolved", "check", "recipe_schema", "resolve"]
