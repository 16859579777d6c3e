"""The gates of a check: the recipe's, those of a ``gates.yaml``, and the usual ones.

::

    gates:
      - latency.p50 <= 1.05 * previous
      - {gate: quality >= previous - 0.5%, variants: [int8], name: quality, reason: agreed in May}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from workbench.check.sides import Side
from workbench.errors import GateError, InputError, RecipeError
from workbench.gates import AGREEMENT, ParsedGate, impossible, parse_gate
from workbench.plugins import did_you_mean, telling_fault
from workbench.recipe import Gate
from workbench.records import Setting
from workbench.run_directory import RUN_FILE
from workbench.yaml_source import YamlSource, read_yaml

USUAL = ("latency.p50 <= 1.05 * previous", "size <= 1.01 * previous")
"""Held against an earlier run where no gate speaks of one; files differ by some bytes of metadata
without being another model."""
USUAL_QUALITY = "quality >= previous - 0.5%"


class StatedGate(Gate):
    """A gate of a gates file: the recipe's form, with a name and a reason."""

    name: str | None = Field(None, description="What reports call it; none: the gate itself.")
    reason: str | None = Field(None, description="Why it is there; shown where it fails.")


def _stated(value: object) -> object:
    return {"gate": value} if isinstance(value, str) else value


class GatesFile(BaseModel):
    """``gates.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gates: list[Annotated[StatedGate, BeforeValidator(_stated)]] = Field(
        min_length=1, description="Bounds on measurements, of the baseline or an earlier run."
    )


@dataclass(frozen=True, eq=False)
class PlacedGate:
    """A gate with the variants that it is judged for, and where it is written."""

    parsed: ParsedGate
    variants: tuple[str, ...]
    name: str
    reason: str | None = None
    file: str | None = None
    line: int | None = None
    usual: bool = False


def collect_gates(
    now: Side, file: Path | None, previous: Side | None, chosen: Sequence[str] = ()
) -> tuple[list[PlacedGate], list[str]]:
    """All gates of a check, and notes about those that nobody wrote.

    Args:
        now: the run that is checked.
        file: a gates file.
        previous: the earlier run.
        chosen: variants to judge; none: all.

    Raises:
        RecipeError: a gate of the file is wrong; names the line.
        GateError: a gate speaks of ``previous`` and no earlier run is given.
        InputError: a chosen variant does not exist.
    """
    names = [variant.name for variant in now.run.variants]
    for name in chosen:
        if name not in names:
            raise InputError(f"{now.path} has no variant '{name}'.", hint=did_you_mean(name, names))
    placed = [*_of_recipe(now), *(_of_file(now, file) if file else [])]
    notes: list[str] = []
    if previous is None:
        for gate in placed:
            if gate.parsed.bound.reference == "previous":
                raise GateError(
                    f"{_where(gate)}'{gate.parsed.text}' speaks of an earlier run; none is given.",
                    hint="Give it: --baseline RUN, a run directory or its run.json.",
                )
    elif not any(gate.parsed.bound.reference == "previous" for gate in placed):
        usual = [*USUAL, *([USUAL_QUALITY] if _has_quality(now) else [])]
        placed += [_usual(now, text) for text in usual]
        notes.append(f"No gate speaks of previous; the usual ones were taken: {'; '.join(usual)}.")
    if chosen:
        placed = [_only(gate, chosen) for gate in placed]
    return [gate for gate in placed if gate.variants], notes


def read_gates(file: Path) -> tuple[GatesFile, YamlSource]:
    """Read a gates file.

    Raises:
        RecipeError: anything is wrong; names file and line.
    """
    source = read_yaml(file)
    if not isinstance(source.data, dict):
        raise RecipeError(
            "a gates file is a mapping.", file=file, line=1, hint="Write 'gates:' above the list."
        )
    try:
        return GatesFile.model_validate(source.data), source
    except ValidationError as error:
        raise _explain(error, source) from error


def _explain(error: ValidationError, source: YamlSource) -> RecipeError:
    fault = telling_fault(error)
    place = tuple(fault["loc"])
    hint = None
    if fault["type"] == "extra_forbidden":
        known = GatesFile if len(place) == 1 else StatedGate
        message, hint = "there is no such key.", did_you_mean(str(place[-1]), known.model_fields)
    elif fault["type"] == "missing":
        message = "this key is missing."
    else:
        message = f"{fault['msg'].removeprefix('Value error, ')}."
    key = ".".join(map(str, place)) or None
    return RecipeError(message, file=source.file, line=source.line(place), key=key, hint=hint)


def _of_file(now: Side, file: Path) -> list[PlacedGate]:
    found, source = read_gates(file)
    gates = [_place(now, gate, source, ("gates", i)) for i, gate in enumerate(found.gates)]
    for index, gate in enumerate(gates):
        if not now.run.smoke and (reason := impossible(gate.parsed, _grid(now), _figures(now))):
            raise _wrong(source, ("gates", index), reason)
    return gates


def _of_recipe(now: Side) -> list[PlacedGate]:
    """The gates that ``run.json`` holds; their lines are those of the copy of the recipe."""
    try:
        written = [StatedGate.model_validate(_stated(g)) for g in now.run.recipe.get("gates", ())]
    except ValidationError as error:
        raise InputError(f"{now.file}: the recipe's gates cannot be read: {error}") from error
    copy = now.file.parent / "recipe.yaml"
    source = YamlSource(now.file, None, {})
    if copy.is_file() and now.file.name == RUN_FILE:
        read = read_yaml(copy)
        if isinstance(read.data, dict) and read.data.get("gates") == now.run.recipe.get("gates"):
            source = read
    return [_place(now, gate, source, ("gates", i)) for i, gate in enumerate(written)]


def _place(
    now: Side, gate: StatedGate, source: YamlSource, place: tuple[str | int, ...]
) -> PlacedGate:
    try:
        parsed = parse_gate(gate.gate)
    except GateError as error:
        raise _wrong(source, place, error.message, error.hint) from error
    known = [variant.name for variant in now.run.variants]
    for name in gate.variants or ():
        if name not in known:
            message = f"the gate names the variant '{name}', which this run does not have."
            raise _wrong(source, place, message, did_you_mean(name, known))
        if name == now.baseline.name and parsed.bound.reference == "baseline":
            message = f"the gate names '{name}', the baseline that the others are held against."
            hint = "Name the other variants, or leave `variants` out."
            raise _wrong(source, place, message, hint)
    return PlacedGate(
        parsed=parsed,
        variants=_variants(now, gate, parsed),
        name=gate.name or gate.gate,
        reason=gate.reason,
        file=str(source.file),
        line=source.line(place),
    )


def _wrong(
    source: YamlSource, place: tuple[str | int, ...], message: str, hint: str | None = None
) -> RecipeError:
    key = ".".join(map(str, place))
    return RecipeError(message, file=source.file, line=source.line(place), key=key, hint=hint)


def _variants(now: Side, gate: Gate, parsed: ParsedGate) -> tuple[str, ...]:
    """Those named; else all but the baseline, which only an earlier run says anything about."""
    if gate.variants is not None:
        return gate.variants
    others = tuple(v.name for v in now.run.variants if not v.baseline)
    return others or ((now.baseline.name,) if parsed.bound.reference == "previous" else ())


def _usual(now: Side, text: str) -> PlacedGate:
    parsed = parse_gate(text)
    variants = _variants(now, Gate(gate=text), parsed)
    return PlacedGate(parsed, variants, text, file=str(now.file), usual=True)


def _only(gate: PlacedGate, chosen: Sequence[str]) -> PlacedGate:
    """A gate for the chosen variants; a usual one for the baseline too, if that is chosen."""
    return replace(gate, variants=tuple(n for n in chosen if gate.usual or n in gate.variants))


def _where(gate: PlacedGate) -> str:
    place = ":".join(str(part) for part in (gate.file, gate.line) if part is not None)
    return f"{place}: " if place else ""


def _grid(now: Side) -> list[Setting]:
    return [
        cell.setting
        for variant in now.run.variants
        if variant.measurement
        for cell in variant.measurement.latency
    ]


def _figures(now: Side) -> list[str]:
    """What the task gave of quality and agreement in this run."""
    agreement = {
        name
        for variant in now.run.variants
        if variant.measurement and variant.measurement.quality
        for name in variant.measurement.quality.agreement
    }
    return [*(["quality"] if _has_quality(now) else []), *(n for n in AGREEMENT if n in agreement)]


def _has_quality(now: Side) -> bool:
    return any(
        variant.measurement and variant.measurement.quality and variant.measurement.quality.score
        for variant in now.run.variants
    )
