"""Steps: each file here is one transformation of a model. A step knows no recipe.

A step is a frozen pydantic class: its fields are its options (YAML schema, ``--help`` and docs in
one), ``accepts`` and ``makes`` state the formats, and ``apply`` does the work.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from workbench.artifact import Artifact
from workbench.plugins import Plugin, make_plugin, plugins
from workbench.records import Account, Format, Machine, Manifest

if TYPE_CHECKING:
    import numpy as np

    Feed = dict[str, np.ndarray]


@dataclass(frozen=True)
class StepContext:
    """What a step may use beside its input.

    ``calibration`` yields feeds (input name → array with a leading batch axis) made from the
    task's calibration split for the given artifact. ``progress`` takes the done and
    the total part of the work.
    """

    machine: Machine
    calibration: Callable[[Artifact], Iterator[Feed]]
    progress: Callable[[float, float], None] = field(default=lambda done, total: None)


class Step(Plugin):
    """Base of all steps."""

    name: ClassVar[str]
    accepts: ClassVar[Format]
    makes: ClassVar[Format]
    seconds: ClassVar[float] = 5.0
    """A first guess of the duration, for the time left; replaced by what was measured."""

    @property
    def uses_data(self) -> bool:
        """Whether the result depends on the task's calibration data."""
        return False

    @property
    def uses_machine(self) -> bool:
        """Whether the result depends on the instruction sets of this machine."""
        return False

    @property
    def tolerance(self) -> float | None:
        """Largest absolute output difference to the parent that this step promises, if it does."""
        return None

    @abstractmethod
    def apply(
        self, source: Artifact, target: Path, context: StepContext
    ) -> tuple[Manifest, Account]:
        """Transform ``source`` into the files of ``target``, an empty folder.

        Returns the new manifest (without files and lineage: the runner seals it) and the account
        of what was done.

        Raises:
            StepError: the model cannot be transformed; nothing else may escape for bad models.
        """


def steps() -> dict[str, type[Step]]:
    """All steps by name."""
    return plugins("workbench.steps", Step)


def make_step(name: str, options: dict[str, Any] | str | None) -> Step:
    """The step of a name with its options (a plain string sets the shorthand option).

    Raises:
        InputError: no such step, or a wrong option; the message names the nearest right one.
    """
    step: Step = make_plugin(steps(), name, options, "step")
    return step
