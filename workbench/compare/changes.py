"""What is not the same in two runs: recipe, model, data, versions and machine, by key path.

Steps are compared by what they did with, the full options that a run records, so that a default
that changed with the version shows too. They are matched by name, in order: a step that was put in
between does not shift the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from workbench.compare.records import Aspect, Change
from workbench.compare.sources import Source, same_files
from workbench.machine import same_outputs
from workbench.records import Machine, StepRecord

MACHINE = ("cpu", "isa", "cores", "gpu", "governor", "instance_type", "system", "python")
"""Fields of the machine that are compared; its load is of the moment and no change."""

_HERE = ("name", "description", "model", "task", "variants")
"""Keys of a recipe that are told elsewhere, or say nothing of what is measured."""

Flat = tuple[str, Any, Any]
_ABSENT = object()


def changes(before: Source, after: Source, pairs: Sequence[tuple[str, str]]) -> tuple[Change, ...]:
    """What changed from one run to another.

    Args:
        before: the reference.
        after: the run that is compared with it.
        pairs: names of the variants that are compared, in ``before`` and in ``after``.
    """
    found = [
        *_of(after, Aspect.RECIPE, _recipe(before, after, pairs)),
        *_of(after, Aspect.MODEL, _model(before, after)),
        *_of(after, Aspect.DATA, _data(before, after)),
    ]
    one, other = before.run.machine, after.run.machine
    found += _of(after, Aspect.VERSIONS, differences(one.versions, other.versions, ""))
    here, there = (_machine(source.run.machine) for source in (before, after))
    found += _of(after, Aspect.MACHINE, differences(here, there, ""))
    return tuple(found)


def _machine(machine: Machine) -> dict[str, Any]:
    """Its fields; memory in GiB, as the bytes that a kernel leaves differ from boot to boot."""
    memory = f"{machine.memory_bytes / 2**30:.0f} GiB"
    return {**{key: getattr(machine, key) for key in MACHINE}, "memory": memory}


def _of(after: Source, aspect: Aspect, found: Iterator[Flat]) -> Iterator[Change]:
    for key, one, other in found:
        kind = "added" if one is _ABSENT else "removed" if other is _ABSENT else "changed"
        yield Change(
            run=after.label,
            aspect=aspect,
            kind=kind,
            key=key,
            before=None if one is _ABSENT else one,
            after=None if other is _ABSENT else other,
        )


def differences(before: Any, after: Any, path: str) -> Iterator[Flat]:
    """The leaves of two JSON values that differ: key path, value before, value after.

    Mappings are compared key by key; none, a key that is not there and an empty mapping are alike.
    Lists are leaves: their order means something.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            inner = f"{path}.{key}" if path else str(key)
            one, other = before.get(key), after.get(key)
            yield from differences(
                _ABSENT if one in (None, {}) else one, _ABSENT if other in (None, {}) else other,
                inner,
            )  # fmt: skip
    elif before is not after and _plain(before) != _plain(after):
        yield path, before, after


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _recipe(before: Source, after: Source, pairs: Sequence[tuple[str, str]]) -> Iterator[Flat]:
    one, other = before.run.recipe, after.run.recipe
    yield from differences(
        {key: value for key, value in one.items() if key not in (*_HERE, "gates")},
        {key: value for key, value in other.items() if key not in (*_HERE, "gates")},
        "",
    )
    yield from _gates(one.get("gates") or (), other.get("gates") or ())
    if before.baseline.name != after.baseline.name:
        yield "variants (which is the baseline)", before.baseline.name, after.baseline.name
    for name, partner in pairs:
        yield from _steps(before, name, after, partner)
    if before.variant is None and after.variant is None:
        for source, partner_run in ((before, after), (after, before)):
            for result in source.run.variants:
                if partner_run.result(result.name) is None:
                    steps = " → ".join(record.step for record in result.lineage)
                    ends = (steps, _ABSENT) if source is before else (_ABSENT, steps)
                    yield f"variants.{result.name}", *ends


def _gates(before: Sequence[Any], after: Sequence[Any]) -> Iterator[Flat]:
    """Gates are a set: their order means nothing."""
    for gate in before:
        if gate not in after:
            yield "gates", _gate_text(gate), _ABSENT
    for gate in after:
        if gate not in before:
            yield "gates", _ABSENT, _gate_text(gate)


def _gate_text(gate: Any) -> str:
    if not isinstance(gate, Mapping):
        return str(gate)
    only = gate.get("variants")
    return f"{gate.get('gate')} ({', '.join(map(str, only))})" if only else str(gate.get("gate"))


def _steps(before: Source, name: str, after: Source, partner: str) -> Iterator[Flat]:
    one, other = before.result(name), after.result(partner)
    assert one is not None
    assert other is not None
    path = f"variants.{name}" if name == partner else f"variants.{name} → {partner}"
    olds, news = list(one.lineage), list(other.lineage)
    keys_old, keys_new = _keys(olds), _keys(news)
    matcher = SequenceMatcher(a=[s.step for s in olds], b=[s.step for s in news], autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            for i, j in zip(range(a, b), range(c, d), strict=True):
                yield from differences(olds[i].options, news[j].options, f"{path}.{keys_new[j]}")
            continue
        for i in range(a, b):
            yield f"{path}.{keys_old[i]}", _written(before, name, i, olds), _ABSENT
        for j in range(c, d):
            yield f"{path}.{keys_new[j]}", _ABSENT, _written(after, partner, j, news)


def _keys(steps: Sequence[StepRecord]) -> list[str]:
    """The step's name, numbered from the second of its kind on: ``quantize``, ``quantize#2``."""
    seen: Counter[str] = Counter()
    keys = []
    for record in steps:
        seen[record.step] += 1
        number = seen[record.step]
        keys.append(record.step if number == 1 else f"{record.step}#{number}")
    return keys


def _written(source: Source, name: str, index: int, steps: Sequence[StepRecord]) -> Any:
    """A step as the recipe wrote it, which is shorter than all its options; else those."""
    variants = source.run.recipe.get("variants")
    written = variants.get(name) if isinstance(variants, Mapping) else None
    if isinstance(written, list) and len(written) == len(steps):
        return written[index]
    return {steps[index].step: steps[index].options}


def _model(before: Source, after: Source) -> Iterator[Flat]:
    yield from differences(before.run.recipe.get("model"), after.run.recipe.get("model"), "model")
    if same_files(before, before.baseline.name, after, after.baseline.name) is False:
        ours, theirs = (str(s.digest(s.baseline.name))[:12] for s in (before, after))
        yield "files of the baseline", f"sha256 {ours}", f"sha256 {theirs}"


def _data(before: Source, after: Source) -> Iterator[Flat]:
    yield from differences(task_of(before.run.recipe), task_of(after.run.recipe), "task")
    if samples_of(before) != samples_of(after):
        yield "samples", samples_of(before), samples_of(after)
    elif (scores := _scores_of_one_model(before, after)) is not None:
        yield "score of the same baseline files", *scores


def task_of(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's task as name and options; an option that is given by itself is ``data``."""
    written = recipe.get("task")
    if not isinstance(written, Mapping):
        return {"name": written}
    [(name, options)] = written.items() if len(written) == 1 else [(None, dict(written))]
    if isinstance(options, Mapping):
        return {"name": name, **options}
    return {"name": name, "data": options}


def samples_of(source: Source) -> int | None:
    """How many samples quality was judged on."""
    measured = source.baseline.measurement
    return measured.quality.samples if measured and measured.quality else None


def _scores_of_one_model(before: Source, after: Source) -> tuple[float, float] | None:
    """The scores of the one baseline where they differ though machine and runtime agree.

    Then the data cannot have been the same, whatever the recipe calls them.
    """
    alike = same_outputs(before.run.machine, after.run.machine)
    if not alike or not same_files(before, before.baseline.name, after, after.baseline.name):
        return None
    scores = baseline_score(before), baseline_score(after)
    if scores[0] is None or scores[1] is None or scores[0] == scores[1]:
        return None
    return scores[0], scores[1]


def baseline_score(source: Source) -> float | None:
    """The score of a run's baseline on its task, or none."""
    measured = source.baseline.measurement
    quality = measured.quality if measured else None
    return quality.score.value if quality and quality.score else None
