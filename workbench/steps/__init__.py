"""Steps: each file here is one transformation of a model. A step knows no recipe.

A step is a frozen pydantic class: its fields are its options (YAML schema, ``--help`` and docs in
one), ``accepts`` and ``makes`` state the formats, and ``apply`` does the work.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from workbench.artifact import Artifact
from workbench.datasets import TrainingSet
from workbench.errors import StepError
from workbench.plugins import Plugin, make_plugin, plugins
from workbench.records import Account, Format, Latency, Machine, Manifest, Quality

if TYPE_CHECKING:
    import numpy as np

    Feed = dict[str, np.ndarray]


class Bench:
    """What a step may measure while it chooses: the runner's own measurements.

    The base refuses, for a step that is applied without a runner. ``figures`` are what the task
    gives: ``quality`` and agreements; none: not known before something is judged.
    """

    figures: tuple[str, ...] | None = None

    def quality(self, artifact: Artifact, reference: Artifact) -> Quality:
        """An ONNX artifact's quality on the task's evaluation samples, paired with a reference's.

        Raises:
            StepError: nothing can be measured here.
        """
        raise StepError("There is no task here to judge the quality by.")

    def latency(
        self, models: Mapping[str, Path], baseline: str, *, quick: bool = False
    ) -> Mapping[str, tuple[Latency, ...]]:
        """Latencies of ONNX files by name, measured interleaved on the recipe's profile.

        ``quick`` takes fewer rounds, in one process: for an order, not for a figure.

        Raises:
            StepError: nothing can be measured here.
        """
        raise StepError("There is no profile here to measure the latency on.")

    def cost(
        self, artifacts: Mapping[str, Artifact], latencies: Mapping[str, tuple[Latency, ...]]
    ) -> Mapping[str, float]:
        """US dollars a month of the cheapest hosting option under the recipe's traffic, by name.

        ``latencies`` are what :meth:`latency` gave under these names. Without artifacts it only
        says whether there is a traffic.

        Raises:
            StepError: nothing can be priced here.
            InputError: the recipe has no traffic, or no option serves it.
        """
        raise StepError("There is no traffic here to price.")


@dataclass(frozen=True)
class StepContext:
    """What a step may use beside its input.

    ``calibration`` yields feeds (input name → array with a leading batch axis) made from the
    task's calibration split for the given artifact; ``training`` gives the samples to learn from.
    ``progress`` takes the done and the total part of the work, ``say`` what it is at.
    ``model`` is the recipe's model as it came, ``folder`` what relative paths start at.
    ``scratch`` is a folder that outlives a killed run, for checkpoints; it goes when the step is
    done. ``array`` gives the array of a key, made when the store has it not.
    """

    machine: Machine
    calibration: Callable[[Artifact], Iterator[Feed]]
    progress: Callable[[float, float], None] = field(default=lambda done, total: None)
    say: Callable[[str], None] = field(default=lambda text: None)
    training: Callable[[Artifact], TrainingSet] | None = None
    bench: Bench = field(default_factory=Bench)
    model: Artifact | None = None
    folder: Path = field(default_factory=Path)
    scratch: Path | None = None
    array: Callable[[str, Callable[[], np.ndarray]], np.ndarray] = field(
        default=lambda key, make: make()
    )

    def training_set(self, artifact: Artifact) -> TrainingSet:
        """The samples to learn from, as the artifact takes them.

        Raises:
            StepError: there are none here.
            DataError: the task's data hold none.
        """
        if self.training is None:
            raise StepError("There is no task here whose data could be learned from.")
        return self.training(artifact)


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
    def uses_training(self) -> bool:
        """Whether the result depends on the task's training data."""
        return False

    @property
    def keeps_shapes(self) -> bool:
        """Whether it changes values of weights only: size and speed are those without it."""
        return False

    @property
    def uses_bench(self) -> bool:
        """Whether the result depends on what is measured: the evaluation data, the profile."""
        return False

    def check(self) -> None:
        """Refuse, before anything long begins, what this machine lacks for the step.

        Raises:
            MissingError: a package is not installed; says what to type.
        """

    def sources(self, folder: Path) -> dict[str, str]:
        """Digests of what the result depends on beside the parent, such as another model's files.

        Args:
            folder: what a relative path is relative to.

        Raises:
            WorkbenchError: it cannot be found.
        """
        return {}

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
