"""What is known of a variant as a service: latency by batch and threads, memory, load time.

From a run directory, or from a YAML or JSON file of the same fields that somebody wrote by hand.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError

from workbench.errors import InputError
from workbench.records import Latency, Record, Run, VariantResult
from workbench.yaml_source import read_yaml


class Point(Record):
    """Latency of one batch; milliseconds. A percentile is none where it was not measured."""

    batch: PositiveInt = 1
    sequence: PositiveInt | None = None
    threads: PositiveInt = 1
    mean_ms: PositiveFloat
    p50_ms: PositiveFloat | None = None
    p99_ms: PositiveFloat | None = None


class ServiceProfile(Record):
    """One variant, measured on one machine; ``isa`` are its instruction sets (``avx512``)."""

    name: str
    baseline: bool = False
    cpu: str = Field(description="Name of the CPU it was measured on, or of a cloud's instance.")
    isa: tuple[str, ...] = ()
    cores: PositiveInt
    gpu: str | None = Field(None, description="What computed; none: the CPU did.")
    measured: str = Field(description="When: ISO 8601.")
    latency: tuple[Point, ...] = Field(min_length=1)
    memory_bytes: PositiveInt | None = Field(None, description="Peak of a process that runs it.")
    model_bytes: PositiveInt | None = None
    load_s: PositiveFloat | None = Field(None, description="Loading the model, without the server.")
    integer: bool = Field(False, description="Whether it computes in int8 (its gain needs VNNI).")

    def points(self, sequence: int | None = None) -> tuple[Point, ...]:
        """The points of one sequence length, by default the longest that was measured.

        Raises:
            InputError: that length was not measured.
        """
        lengths = sorted({p.sequence for p in self.latency}, key=lambda s: s or 0)
        wanted = lengths[-1] if sequence is None else sequence
        found = tuple(p for p in self.latency if p.sequence == wanted)
        if not found:
            known = ", ".join(str(length) for length in lengths)
            raise InputError(
                f"{self.name} has no latency at sequence length {wanted}.",
                hint=f"There is {known}.",
            )
        return found

    def alone(self, sequence: int | None = None) -> Point:
        """The point of one request by itself: the smallest batch, on the fewest threads.

        Raises:
            InputError: that length was not measured.
        """
        return min(self.points(sequence), key=lambda point: (point.batch, point.threads))


def profiles_of(path: Path) -> list[ServiceProfile]:
    """The profiles in a run directory, or in a YAML or JSON file (one, or a list of them).

    Raises:
        InputError: nothing that can be priced; the message says which field of which file.
    """
    if path.is_dir():
        from workbench.run_directory import load_run

        return profiles_of_run(load_run(path))
    source = read_yaml(path)
    items = source.data if isinstance(source.data, list) else [source.data]
    try:
        return [ServiceProfile.model_validate(item) for item in items]
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {place}: {first['msg']}.") from None


def profiles_of_run(run: Run) -> list[ServiceProfile]:
    """The variants of a run that were measured.

    Raises:
        InputError: none was.
    """
    measured = (variant for variant in run.variants if variant.measurement)
    found = [profile for variant in measured for profile in _of_variant(run, variant)]
    if not found:
        raise InputError(f"The run '{run.name}' has no latency.", hint="Run it again with profile.")
    return found


def _of_variant(run: Run, variant: VariantResult) -> list[ServiceProfile]:
    """What was measured on the CPU, and apart from it what was measured on the GPU."""
    assert variant.measurement is not None
    cells = variant.measurement.latency
    on_cpu, on_gpu = (
        tuple(_point(cell) for cell in cells if cell.setting.device == device)
        for device in ("cpu", "cuda")
    )
    found = [_profile(run, variant, on_cpu)] if on_cpu else []
    if on_gpu:
        # Memory and load time were measured on the CPU: the former is the host's there too.
        other = {
            "name": f"{variant.name} (gpu)",
            "gpu": run.machine.gpu or "a GPU whose name was not recorded",
            "baseline": variant.baseline and not on_cpu,
            "load_s": None,
        }
        found.append(_profile(run, variant, on_gpu).model_copy(update=other))
    return found


def _profile(run: Run, variant: VariantResult, points: tuple[Point, ...]) -> ServiceProfile:
    assert variant.measurement is not None
    footprint = variant.measurement.footprint
    return ServiceProfile(
        name=variant.name,
        baseline=variant.baseline,
        cpu=run.machine.instance_type or run.machine.cpu,
        isa=run.machine.isa,
        cores=run.machine.cores,
        measured=run.measured,
        latency=points,
        memory_bytes=footprint.peak_memory_bytes,
        model_bytes=footprint.model_bytes,
        load_s=footprint.load_ms.value / 1000 if footprint.load_ms else None,
        integer=any("int8" in f"{step.options} {step.account.changed}" for step in variant.lineage),
    )


def _point(cell: Latency) -> Point:
    return Point(
        batch=cell.setting.batch,
        sequence=cell.setting.sequence,
        threads=cell.setting.threads,
        mean_ms=cell.mean_ms,
        p50_ms=cell.p50_ms.value,
        p99_ms=cell.p99_ms.value if cell.p99_ms else None,
    )
