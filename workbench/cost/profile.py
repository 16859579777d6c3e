"""What is known of a variant as a service: latency by batch and threads, memory, load time.

From a run directory, or from a YAML or JSON file of the same fields that somebody wrote by hand.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError

from workbench.errors import InputError
from workbench.records import Record, Run, VariantResult
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
    gpu: str | None = None
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
    found = [_of_variant(run, variant) for variant in run.variants if variant.measurement]
    found = [profile for profile in found if profile is not None]
    if not found:
        raise InputError(f"The run '{run.name}' has no latency.", hint="Run it again with profile.")
    return found  # type: ignore[return-value]


def _of_variant(run: Run, variant: VariantResult) -> ServiceProfile | None:
    measurement = variant.measurement
    assert measurement is not None
    cells = [cell for cell in measurement.latency if cell.setting.device == "cpu"]
    if not cells:
        return None
    footprint = measurement.footprint
    points = tuple(
        Point(
            batch=cell.setting.batch,
            sequence=cell.setting.sequence,
            threads=cell.setting.threads,
            mean_ms=cell.mean_ms,
            p50_ms=cell.p50_ms.value,
            p99_ms=cell.p99_ms.value if cell.p99_ms else None,
        )
        for cell in cells
    )
    return ServiceProfile(
        name=variant.name,
        baseline=variant.baseline,
        cpu=run.machine.cpu,
        isa=run.machine.isa,
        cores=run.machine.cores,
        measured=run.measured,
        latency=points,
        memory_bytes=footprint.peak_memory_bytes,
        model_bytes=footprint.model_bytes,
        load_s=footprint.load_ms.value / 1000 if footprint.load_ms else None,
        integer=any("int8" in str(step.options) for step in variant.lineage),
    )
