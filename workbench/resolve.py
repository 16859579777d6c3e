"""A recipe held against what there is: steps, task, model, gates. Nothing long has started yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from workbench.cost.traffic import Traffic, read_traffic, traffic_in
from workbench.errors import GateError, InputError, RecipeError
from workbench.gates import impossible, parse_gate
from workbench.models import ModelReference, find_model
from workbench.objectives import (
    COST,
    Objective,
    objective_impossible,
    parse_constraint,
    parse_objective,
)
from workbench.plugins import telling_fault
from workbench.profile_options import ProfileOptions
from workbench.recipe import NamedUse, Recipe, RecipeSource, Use
from workbench.recipe_schema import recipe_schema
from workbench.records import Format, Setting
from workbench.search_options import Space, SpaceError
from workbench.steps import Step, make_step
from workbench.tasks import BoundTask, Task, make_task

Chain = tuple[Step, ...]
SMOKE_SAMPLES = 16
LOOKED_AT = 2000
"""Combinations of a search that are looked at to tell a value that never fits."""


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
    first: Format = "onnx" if model.kind == "onnx" else "torch"
    _check_formats(source, chains, first)
    _check_search(source, task, first)
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
    task = _task(source)
    _check_gates(source, task)
    _traffic(source)
    if isinstance(recipe.model, str) and recipe.model.endswith(".onnx"):
        first: Format = "onnx"
    else:
        first = next((chain[0].accepts for chain in chains.values() if chain), "onnx")
    _check_formats(source, chains, first)
    _check_search(source, task, first)


def with_variants(resolved: Resolved, variants: Mapping[str, Sequence[Use]]) -> Resolved:
    """A resolved recipe with other variants; model and data are not looked up again.

    Raises:
        RecipeError: a chain does not fit together, or lacks what it needs.
        MissingError: a package that a step needs is not installed.
    """
    uses = {name: list(chain) for name, chain in variants.items()}
    recipe = resolved.recipe.model_copy(update={"variants": uses})
    source = resolved.source.model_copy(update={"recipe": recipe})
    chains = _chains(source)
    _check_formats(source, chains, "onnx" if resolved.model.kind == "onnx" else "torch")
    _check_steps(source, chains, resolved.task)
    return replace(resolved, source=source, chains=chains)


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


def _check_search(source: RecipeSource, task: Task, first: Format) -> None:
    """The `search:` block, if there is one: every value fits somewhere, every figure is given."""
    recipe, search = source.recipe, source.recipe.search
    if search is None:
        return
    for index, text in enumerate(search.objectives):
        place: tuple[str | int, ...] = ("search", "objectives", index)
        objective: Objective = _at(source, place, lambda text=text: parse_objective(text))
        if reason := objective_impossible(objective, _cells(recipe.profile), task.figures):
            raise source.error(place, reason)
        if objective.name == COST and recipe.traffic is None:
            hint = "Give it one: traffic: {requests: 1M}"
            raise source.error(place, "the recipe has no traffic to price.", hint)
        if text in search.objectives[:index]:
            raise source.error(place, f"'{text}' stands here twice.")
    for index, text in enumerate(search.constraints):
        place = ("search", "constraints", index)
        parsed = _at(source, place, lambda text=text: parse_constraint(text))
        if reason := impossible(parsed, _cells(recipe.profile), task.figures):
            raise source.error(place, reason)
    try:
        space = Space(search.steps)
        for at, use in space.uses():
            _check_open_step(space.of_step(at, use), use, at)
    except SpaceError as error:
        at = ("search", "steps", *error.place)
        raise source.error(at, error.message, error.hint) from error
    _check_open_chains(source, space, first)


def open_steps(space: Space) -> Iterator[Step]:
    """Every valid step that a search's chains may hold, as far as they are looked at."""
    for place, use in space.uses():
        own = space.of_step(place, use)
        drawn = (
            [use] if own is None else [own.draw(v).steps[0] for v in own.combinations(LOOKED_AT)]
        )
        for one in drawn:
            with suppress(SpaceError):
                yield _drawn_step(one, place)


def _check_open_step(space: Space | None, use: Any, place: tuple[str | int, ...]) -> None:
    """A step of a search; each value that is open in it makes a valid step with some others."""
    if space is None:
        _drawn_step(use, place)
        return
    fitting: set[tuple[str, Any]] = set()
    faults: dict[tuple[str, Any], SpaceError] = {}
    for values in space.combinations(LOOKED_AT):
        drawn = space.draw(values)
        try:
            _drawn_step(drawn.steps[0], place)
            fitting.update(drawn.knobs.items())
        except SpaceError as error:
            faults |= {pair: error for pair in drawn.knobs.items() if pair not in faults}
    if fitting and space.listed > LOOKED_AT:
        return  # a value may fit with others that were not looked at
    for knob in space.knobs:
        for value in knob.values:
            if (knob.name, value) in faults and (knob.name, value) not in fitting:
                fault = faults[knob.name, value]
                raise SpaceError((*place, *knob.place[1:]), fault.message, hint=fault.hint)


def _drawn_step(use: Any, place: tuple[str | int, ...]) -> Step:
    try:
        named: Use = TypeAdapter(NamedUse).validate_python(use)
        return make_step(named.name, named.options)
    except ValidationError as error:
        message = telling_fault(error)["msg"].removeprefix("Value error, ")
        raise SpaceError(place, f"{message}.") from error
    except InputError as error:
        raise SpaceError(place, error.message, hint=error.hint) from error


def _check_open_chains(source: RecipeSource, space: Space, first: Format) -> None:
    """Some chain fits together; what the first that does not lacks is told where none does."""
    fault: RecipeError | None = None
    for values in space.combinations(LOOKED_AT):
        try:
            chain = tuple(_drawn_step(use, ()) for use in space.draw(values).steps)
            _check_formats(source, {"search": chain}, first)
        except SpaceError:
            continue
        except RecipeError as error:
            fault = fault or error
            continue
        return
    if space.listed > LOOKED_AT:
        return  # others may fit
    told = f"no chain of it fits: {fault.plain}" if fault else "no chain of it fits."
    raise source.error(("search", "steps"), told, fault.hint if fault else None)


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


__all__ = ["Resolved", "check", "open_steps", "recipe_schema", "resolve", "with_variants"]
