"""The ``profile:`` section of a recipe: which latency cells to measure, and for how long."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from workbench.records import Setting, Signature

Device = Literal["cpu", "cuda"]


def _grid_axis(values: tuple[int, ...]) -> tuple[int, ...]:
    if not values:
        raise ValueError("at least one value is needed")
    if any(value < 1 for value in values):
        raise ValueError("only values of 1 and more can be measured")
    if len(set(values)) < len(values):
        raise ValueError("a value stands here twice")
    return tuple(sorted(values))


def _devices(values: tuple[Device, ...]) -> tuple[Device, ...]:
    if not values:
        raise ValueError("at least one device is needed")
    if len(set(values)) < len(values):
        raise ValueError("a device stands here twice")
    return values


GridAxis = Annotated[tuple[int, ...], AfterValidator(_grid_axis)]


class ProfileOptions(BaseModel):
    """Which settings are measured, and how much time each may take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch: GridAxis = Field((1, 8), description="Batch sizes; ignored where the model fixes it.")
    sequence: GridAxis = Field(
        (16, 128), description="Sequence lengths; ignored where the model has no sequence axis."
    )
    threads: GridAxis = Field(
        (1,), description="Threads per model; more than there are cores is skipped."
    )
    devices: Annotated[tuple[Device, ...], AfterValidator(_devices)] = Field(
        ("cpu",), description="Where to run; a device that this machine lacks is skipped."
    )
    axes: dict[str, Annotated[int, Field(gt=0)]] = Field(
        default_factory=dict, description="Sizes of other dynamic axes by name, such as height."
    )
    seconds: float = Field(
        4.0,
        gt=0,
        description="Time for the rounds of one cell, for each artifact, over all processes; "
        "warming up comes on top.",
    )
    min_rounds: int = Field(5, ge=2, description="Rounds that are taken whatever time they need.")
    max_rounds: int = Field(400, ge=2, description="Rounds after which a cell ends.")
    processes: int = Field(
        4,
        ge=1,
        le=20,
        description="Fresh processes that share the rounds. How a model comes to lie in memory "
        "makes it some per cent faster or slower for as long as a process lives; one process "
        "alone would take that for a difference between models.",
    )

    def grid(self, signature: Signature) -> tuple[Setting, ...]:
        """The cells to measure for a model of this signature."""
        fixed = fixed_batch(signature)
        batches = self.batch if fixed is None else (fixed,)
        has_sequence = bool(sequence_axes(signature) - set(self.axes))
        sequences: tuple[int | None, ...] = self.sequence if has_sequence else (None,)
        return tuple(
            Setting(batch=batch, sequence=sequence, threads=threads, device=device)
            for device in self.devices
            for threads in self.threads
            for batch in batches
            for sequence in sequences
        )

    def sizes(self, signature: Signature, setting: Setting) -> dict[str, int]:
        """Size of each dynamic axis of the signature in a cell."""
        return axis_sizes(signature, setting.batch, setting.sequence) | self.axes


def batch_axes(signature: Signature) -> frozenset[str]:
    """Names of the dynamic axes that count samples: those that come first in an input."""
    firsts = (spec.shape[0] for spec in signature.inputs if spec.shape)
    return frozenset(axis for axis in firsts if isinstance(axis, str))


def fixed_batch(signature: Signature) -> int | None:
    """The batch size that the signature fixes, or none where it is dynamic."""
    firsts = {spec.shape[0] for spec in signature.inputs if spec.shape}
    fixed = {axis for axis in firsts if isinstance(axis, int)}
    if not firsts:
        return 1
    return None if firsts - fixed else max(fixed)


def sequence_axes(signature: Signature) -> frozenset[str]:
    """Names of the dynamic axes that count tokens: ``sequence``, ``seq_len``, ``length``, …."""
    others = signature.axes - batch_axes(signature)
    return frozenset(a for a in others if "seq" in a.lower() or "len" in a.lower())


def axis_sizes(signature: Signature, batch: int, sequence: int | None) -> dict[str, int]:
    """Size of each batch and sequence axis of a signature."""
    sizes = dict.fromkeys(batch_axes(signature), batch)
    if sequence is not None:
        sizes |= dict.fromkeys(sequence_axes(signature), sequence)
    return sizes
