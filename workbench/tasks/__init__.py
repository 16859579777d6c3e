"""Tasks: each file here says what quality is: which data, which metric, how close to the baseline.

A task is a frozen pydantic class whose fields are its options. ``bind`` loads the data; the bound
task gives calibration and evaluation feeds for any artifact and judges outputs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

import workbench.datasets
import workbench.preprocess
from workbench.artifact import Artifact, digest
from workbench.datasets import Dataset, Split, TrainingSet, load_dataset
from workbench.datasets.random import Seed
from workbench.errors import DataError, ModelError, StepError, TooLargeError
from workbench.plugins import (
    Plugin,
    code_digest,
    make_plugin,
    plugins,
    sources_digest,
)
from workbench.preprocess import batches, make_feed
from workbench.records import Quality
from workbench.runtime import open_session, runtime_reason

if TYPE_CHECKING:
    import numpy as np

    Feed = dict[str, np.ndarray]

WORST = 5
"""How many of the worst samples are listed."""


class Task(Plugin):
    """Base of all tasks."""

    name: ClassVar[str]
    shorthand: ClassVar[str | None] = "data"
    figures: ClassVar[tuple[str, ...]]
    """Measurements that gates may name: ``quality`` where there is a score, and agreements."""
    data: str = Field(description="Name of a data set, or a path relative to the recipe.")
    training: str | None = Field(
        None, description="Data to learn from, named as `data` is; none: the training part of it."
    )
    limit: int | None = Field(
        None, gt=0, description="At most so many samples for each of the data's parts."
    )
    batch: int = Field(16, gt=0, description="Samples per call while evaluating.")
    calibration_samples: int = Field(128, gt=0, description="At most so many for calibration.")

    def bind(self, folder: Path) -> BoundTask:
        """The task with its data loaded.

        Args:
            folder: what a relative path in ``data`` is relative to.

        Raises:
            DataError: there are no such data, or they lack what the task needs.
            MissingError: a package is not installed.
        """
        dataset = self.load(folder)
        bound = BoundTask(self, dataset)
        if not len(bound.samples):
            raise DataError(f"The data '{self.data}' hold no sample to evaluate.")
        self.require(bound.samples)
        return bound

    def load(self, folder: Path) -> Dataset:
        """The data set that ``data`` names, with all of ``training`` to learn from.

        Raises:
            DataError: a sample to learn from is one that is evaluated.
        """
        dataset = load_dataset(self.data, folder=folder)
        if self.training is None:
            return dataset
        return replace(dataset, training=load_dataset(self.training, folder=folder).joined())

    def require(self, samples: Split) -> None:
        """Refuse data that lack what the task needs, such as labels.

        Raises:
            DataError: says what is lacking.
        """

    def require_model(self, samples: Split, artifact: Artifact) -> None:
        """Refuse a model whose outputs cannot be judged on these samples.

        Raises:
            DataError: says what does not fit.
        """

    def inputs(self, artifact: Artifact, samples: Split) -> Sequence[Any]:
        """The raw inputs of samples for an artifact; generated where the data are seeds."""
        if not isinstance(samples.inputs[0], Seed):
            return samples.inputs
        from workbench.tasks._generate import generate

        return generate(artifact, samples.inputs)

    def targets(self, samples: Split, labels: Sequence[str] | None) -> np.ndarray | None:
        """What a model should give for each sample, samples along the first axis; none: unknown.

        Args:
            samples: samples to learn from.
            labels: the class names of the model, where it has any.
        """
        return None

    def loss(self, output: Any, targets: Any) -> Any:
        """How far the first output of a batch is from its targets: torch tensors → a scalar."""
        raise NotImplementedError(f"{self.name} has targets, but no loss")

    @abstractmethod
    def judge(
        self,
        samples: Split,
        outputs: np.ndarray,
        reference: np.ndarray | None,
        labels: Sequence[str] | None,
    ) -> Quality:
        """Quality of outputs; the arguments are those of :meth:`BoundTask.judge`."""


@dataclass(frozen=True, eq=False)
class BoundTask:
    """A task and its data."""

    task: Task
    dataset: Dataset

    @cached_property
    def samples(self) -> Split:
        """The samples that are evaluated: the evaluation split within the task's limit."""
        return self.dataset.evaluation.limited(self.task.limit)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all that can change a figure: data, options, code, library versions."""
        options = self.task.model_dump(mode="json", exclude={"data", "training"})
        return digest(
            {
                "task": self.task.name,
                "options": options,
                "data": self.dataset.digest,
                "code": [code_digest(type(self.task)), _sources()],
                "versions": [version("tokenizers"), version("pillow"), version("numpy")],
            }
        )

    @cached_property
    def training_digest(self) -> str:
        """SHA-256 over all that can change what is learned."""
        return digest([self.digest, self._training.described()])

    @property
    def _training(self) -> Split:
        training = self.dataset.training
        if training is None or not len(training):
            raise DataError(
                f"The data '{self.task.data}' hold no sample to learn from.",
                hint="Name some with the task's option `training`.",
            )
        return training.limited(self.task.limit)

    def training_set(self, artifact: Artifact) -> TrainingSet:
        """The samples to learn from, as an artifact takes them.

        Raises:
            DataError: there are none.
        """
        samples = self._training
        inputs = self.task.inputs(artifact, samples)
        targets = self.task.targets(samples, artifact.manifest.labels)
        return TrainingSet(
            feed=lambda positions: make_feed(artifact, [inputs[i] for i in positions]),
            hashes=samples.hashes,
            digest=self.training_digest,
            sizes=[len(item) if isinstance(item, str) else 0 for item in inputs],
            targets=targets,
            loss=None if targets is None else self.task.loss,
        )

    def check(self, artifact: Artifact) -> None:
        """Check that the data fit the artifact, on one sample of them.

        Raises:
            DataError: a sample cannot be read, or does not match the signature; names the input,
                what the model expects and what the data give.
        """
        make_feed(artifact, self.task.inputs(artifact, self.samples.take([0])))
        self.task.require_model(self.samples, artifact)

    def calibration(self, artifact: Artifact, batch: int = 8) -> Iterator[Feed]:
        """Feeds of the calibration split for an artifact (a fixed batch axis overrules ``batch``).

        Raises:
            DataError: there are no calibration samples, or they do not fit.
        """
        bounds = [self.task.calibration_samples, self.task.limit]
        samples = self.dataset.calibration.limited(min(b for b in bounds if b is not None))
        if not len(samples):
            raise DataError(f"The data '{self.task.data}' hold no sample to calibrate with.")
        yield from self._feeds(artifact, samples, batch)

    def evaluation(self, artifact: Artifact) -> Iterator[Feed]:
        """Feeds of the evaluated samples, in their order.

        The batch axis of a model may be fixed: the last feed is then filled up with copies of the
        last sample.
        """
        yield from self._feeds(artifact, self.samples, self.task.batch)

    def outputs(
        self,
        artifact: Artifact,
        *,
        threads: int = 0,
        progress: Callable[[float, float], None] = lambda done, total: None,
    ) -> np.ndarray:
        """The first output of an ONNX artifact for every evaluated sample.

        Outputs per token are zero where the attention mask is, and filled up with zeros to the
        longest sample.

        Args:
            artifact: an ONNX artifact.
            threads: of the runtime; 0 lets it choose.
            progress: is told the samples done and the samples in all.

        Returns:
            float32 ``[samples, ...]``.

        Raises:
            DataError: the data do not fit the artifact, or its output has no row per sample.
            ModelError: the runtime fails, or an output is NaN or infinite (StepError when a step
                has made the artifact from a model that was exported).
            TooLargeError: too little memory.
        """
        import numpy as np

        session = open_session(artifact.model_path, threads=threads)
        name = session.get_outputs()[0].name
        total, rows, done = len(self.samples), [], 0
        for feed in self.evaluation(artifact):
            size = len(next(iter(feed.values())))
            output = _run(session, name, feed, artifact)
            if output.ndim == 0 or len(output) != size:
                raise DataError(
                    f"Output '{name}' has shape {list(output.shape)} for {size} samples: "
                    "it has no row per sample."
                )
            mask = feed.get("attention_mask")
            if mask is not None and output.ndim > 2 and output.shape[:2] == mask.shape:
                output = output * mask.reshape(*mask.shape, *[1] * (output.ndim - 2))
            kept = min(size, total - done)
            rows.append(output[:kept].astype(np.float32))
            done += kept
            progress(done, total)
        outputs = _joined(rows)
        self._refuse_nonfinite(outputs, name, artifact)
        return outputs

    def judge(
        self,
        outputs: np.ndarray,
        reference: np.ndarray | None,
        labels: Sequence[str] | None = None,
    ) -> Quality:
        """How good outputs are, and how close to the baseline's.

        Args:
            outputs: what :meth:`outputs` gave for the artifact, float32 ``[samples, ...]``.
            reference: what it gave for the baseline; none for the baseline itself.
            labels: the class names of the model (``manifest.labels``), where it has any: data
                that name their classes are matched with them.

        Raises:
            DataError: the outputs cannot be judged on these data.
        """
        if len(outputs) != len(self.samples):
            raise DataError(f"{len(outputs)} outputs for {len(self.samples)} samples.")
        if reference is not None and reference.shape != outputs.shape:
            raise DataError(
                f"Outputs of shape {list(outputs.shape)} cannot be compared with the baseline's "
                f"{list(reference.shape)}."
            )
        return self.task.judge(self.samples, outputs, reference, labels)

    def _feeds(self, artifact: Artifact, samples: Split, batch: int) -> Iterator[Feed]:
        inputs = self.task.inputs(artifact, samples)
        fixed = next((s.shape[0] for s in artifact.manifest.signature.inputs if s.shape), None)
        size = fixed if isinstance(fixed, int) else batch
        for part in batches(inputs, size):
            missing = size - len(part) if isinstance(fixed, int) else 0
            yield make_feed(artifact, [*part, *[part[-1]] * missing])

    def _refuse_nonfinite(self, outputs: np.ndarray, name: str, artifact: Artifact) -> None:
        import numpy as np

        bad = np.flatnonzero(~np.isfinite(outputs.reshape(len(outputs), -1)).all(1))
        if not len(bad):
            return
        message = (
            f"Output '{name}' is NaN or infinite for {len(bad)} of {len(outputs)} samples "
            f"(the first: {self.samples.name_of(int(bad[0]))})."
        )
        made_by = [record.step for record in artifact.manifest.lineage]
        if len(made_by) > 1:
            raise StepError(f"{message} The last step was {made_by[-1]}.")
        raise ModelError(message, hint="The model's weights may hold NaN.")


def tasks() -> dict[str, type[Task]]:
    """All tasks by name."""
    return plugins("workbench.tasks", Task)


def make_task(name: str, options: dict[str, Any] | str | None) -> Task:
    """The task of a name with its options (a plain string names the data).

    Raises:
        InputError: no such task, or a wrong option; the message names the nearest right one.
    """
    task: Task = make_plugin(tasks(), name, options, "task")
    return task


def _run(session: Any, name: str, feed: Feed, artifact: Artifact) -> np.ndarray:
    import numpy as np

    try:
        return np.asarray(session.run([name], feed)[0])
    except MemoryError as error:
        raise TooLargeError(f"Not enough memory to run {artifact.model_path}.") from error
    except Exception as error:  # onnxruntime raises many unrelated types
        reason = runtime_reason(error)
        if "bad_alloc" in reason or "Failed to allocate" in reason:
            raise TooLargeError(f"Not enough memory to run {artifact.model_path}.") from error
        raise ModelError(f"{artifact.model_path} cannot be run: {reason}") from error


def _joined(rows: list[np.ndarray]) -> np.ndarray:
    """One array of all rows; the other axes are filled up with zeros to the largest."""
    import numpy as np

    if len({part.shape[1:] for part in rows}) == 1:
        return np.concatenate(rows)
    if len({part.ndim for part in rows}) > 1:
        raise DataError("The model's output changes its rank between batches.")
    shape = np.max([part.shape[1:] for part in rows], axis=0)
    joined = np.zeros((sum(map(len, rows)), *shape), np.float32)
    start = 0
    for part in rows:
        joined[(slice(start, start + len(part)), *map(slice, part.shape[1:]))] = part
        start += len(part)
    return joined


def _sources() -> str:
    """Digest of the code that turns data into feeds and outputs.

    What one named data set loads is in its digest already, so that another one's code is none of
    its business.
    """
    data = Path(workbench.datasets.__file__).parent
    shared = [*sorted(data.glob("_*.py")), data / "random.py"]
    return sources_digest([Path(__file__), Path(workbench.preprocess.__file__), *shared])


__all__ = ["WORST", "BoundTask", "Task", "make_task", "tasks"]
