"""Distil: a smaller student learns to answer as its teacher, the recipe's model, does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from workbench.artifact import Artifact, digest
from workbench.datasets import TrainingSet
from workbench.errors import StepError
from workbench.records import Account, Format, Manifest
from workbench.steps import Step, StepContext
from workbench.steps._forward import first_output, forward, tensors_of
from workbench.steps._imitation import Outputs, hidden_loss, kind_of, output_loss
from workbench.steps._layers import layer_list
from workbench.steps._student import Student, start_anew
from workbench.steps._training import Loss, batches_of, train
from workbench.steps._training_options import TrainingOptions
from workbench.torch_modules import load_torch, save_torch

if TYPE_CHECKING:
    import numpy as np

TEACHER_BATCH = 32


class Distill(TrainingOptions, Step):
    """Train a student to give the teacher's outputs on the task's training samples.

    The teacher is the recipe's model as it came. The student is some of its layers, another
    model, or, without ``student``, the model that comes in: a pruned one, say. Labels are not
    needed; where there are any, ``labels`` is the weight of the task's own loss (1: learn without
    a teacher).

    The teacher's outputs are computed once and kept in the store; those of augmented samples,
    which are new each time, when they are needed.
    """

    name: ClassVar[str] = "distill"
    accepts: ClassVar[Format] = "torch"
    makes: ClassVar[Format] = "torch"
    seconds: ClassVar[float] = 300.0

    student: Student | None = Field(None, description="The smaller model; none: what comes in.")
    outputs: Literal["auto"] | Outputs = Field(
        "auto",
        description="How outputs are compared: soft targets for classes, cosine for unit vectors, "
        "probabilities, or mean squared error. auto looks at the teacher's.",
    )
    temperature: float = Field(2.0, gt=0, description="soft: of both softmaxes.")
    labels: float = Field(0.0, ge=0, le=1, description="Weight of the labels against the teacher.")
    hidden: float = Field(
        0.0,
        ge=0,
        description="Weight of the hidden states after each layer that the student keeps; only for "
        "a student of `layers`.",
    )

    @model_validator(mode="after")
    def _hidden_needs_layers(self) -> Self:
        if self.hidden and (self.student is None or self.student.layers is None):
            raise ValueError("`hidden` compares layers: it needs a student of `layers`")
        return self

    @property
    def uses_training(self) -> bool:
        """It learns."""
        return True

    @property
    def keeps_shapes(self) -> bool:
        """Whether the student is the model that comes in."""
        return self.student is None

    def sources(self, folder: Path) -> dict[str, str]:
        """The student's files, where it is another model."""
        reference = self.student.reference(folder) if self.student else None
        return {"student": reference.key()} if reference else {}

    def apply(
        self, source: Artifact, target: Path, context: StepContext
    ) -> tuple[Manifest, Account]:
        """Train the student; see :class:`Step`.

        Raises:
            StepError: the student's outputs do not match the teacher's, or there are no labels to
                weigh.
        """
        teacher = context.model or source
        with TemporaryDirectory() as temporary:
            place = Path(temporary)
            student = source
            if self.student is not None:
                student = self.student.make(source, context.folder, place, self.seed)
            module = load_torch(student.path, student.manifest)
            if self.student and self.student.model and self.student.weights == "random":
                start_anew(module, self.seed)
            learned = context.training_set(student)
            lesson = _Lesson(self, teacher, context)
            loss = lesson.loss(module, student, learned)
            parts = learned.held_out(self.validation)
            history = train(
                module, student.manifest, parts, loss, self, context, sizes=learned.sizes
            )
            lesson.end()
            manifest = save_torch(module, student, target)
        smaller, larger = _count(module), _count(load_torch(teacher.path, teacher.manifest))
        return manifest.model_copy(update={"name": source.manifest.name}), Account(
            summary=f"student of {smaller / 1e6:.3g} M parameters, {smaller / larger:.1%} of the "
            f"teacher's; {len(parts[0])} samples, {history.summary}",
            choices={
                "outputs": lesson.kind,
                "labels": self.labels,
                "samples": len(parts[0]),
                "validated_on": len(parts[1]),
                "parameters": smaller,
                "teacher_parameters": larger,
                **history.choices(),
            },
        )


def _count(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class _Lesson:
    """The teacher's side: its outputs, and the loss against them."""

    def __init__(self, options: Distill, teacher: Artifact, context: StepContext) -> None:
        self.options, self.teacher, self.context = options, teacher, context
        self.learned = context.training_set(teacher)
        self.module = load_torch(teacher.path, teacher.manifest)
        for parameter in self.module.parameters():
            parameter.requires_grad_(False)
        self.run = forward(self.module, teacher.manifest)
        self.stored = self._stored()
        chosen = options.outputs
        self.kind: Outputs = kind_of(self.stored, teacher.manifest) if chosen == "auto" else chosen
        self._hooks: list[Any] = []

    def loss(self, module: Any, student: Artifact, learned: TrainingSet) -> Loss:
        """The loss of a student's module on its training set."""
        import torch

        options = self.options
        run = forward(module, student.manifest)
        outputs = torch.from_numpy(self.stored)
        targets = learned.targets
        if options.labels and (targets is None or learned.loss is None):
            raise StepError(
                "`labels` weighs labels, but the training samples have none.",
                hint="Leave `labels` out, or name labelled data with the task's `training`.",
            )
        labels = None if targets is None else torch.from_numpy(targets)
        states = self._watch(module) if options.hidden else None

        def loss(positions: Sequence[int]) -> Any:
            places = list(positions)
            tensors = tensors_of(learned.feed(positions))
            wanted = outputs[places]
            if options.augment is not None and module.training:
                tensors = options.augment.apply(tensors)
                if options.labels < 1:
                    with torch.no_grad():  # what is new each time cannot be kept in the store
                        wanted = self.run(tensors)
            got = run(tensors)
            total = torch.zeros(())
            if options.labels < 1:
                imitated = output_loss(self.kind, got, wanted, options.temperature)
                total = total + (1 - options.labels) * imitated
            if options.labels and labels is not None and learned.loss is not None:
                total = total + options.labels * learned.loss(got, labels[places])
            if states is not None:
                with torch.no_grad():
                    self.run(tensors_of(self.learned.feed(positions)))
                mask = tensors.get("attention_mask")
                total = total + options.hidden * hidden_loss(*states(), mask)
            return total

        return loss

    def end(self) -> None:
        """Let go of the layers."""
        for hook in self._hooks:
            hook.remove()

    def _watch(self, module: Any) -> Callable[[], tuple[list[Any], list[Any]]]:
        """What gives the hidden states of the last call: the student's and the teacher's."""
        assert self.options.student is not None
        path, _ = layer_list(self.module, self.options.student.of)
        _, kept, _ = self.options.student.shortened(self.teacher)
        seen: dict[tuple[str, int], Any] = {}

        def hook(key: tuple[str, int]) -> Callable[..., None]:
            def keep(layer: Any, inputs: Any, output: Any) -> None:
                seen[key] = first_output(output)

            return keep

        own, theirs = module.get_submodule(path), self.module.get_submodule(path)
        for position, original in enumerate(kept):
            self._hooks += [
                own[position].register_forward_hook(hook(("student", position))),
                theirs[original].register_forward_hook(hook(("teacher", position))),
            ]
        count = len(kept)
        return lambda: (
            [seen["student", i] for i in range(count)],
            [seen["teacher", i] for i in range(count)],
        )

    def _stored(self) -> np.ndarray:
        """The teacher's outputs for all training samples, float32 ``[samples, ...]``."""
        key = digest({"teacher": self.teacher.digest, "training": self.learned.digest})
        return self.context.array(key, self._answers)

    def _answers(self) -> np.ndarray:
        import numpy as np
        import torch

        count = len(self.learned)
        order = np.argsort(self.learned.sizes, kind="stable")
        rows: dict[int, np.ndarray] = {}
        with torch.inference_mode():
            for places in batches_of(count, TEACHER_BATCH):
                batch = [int(i) for i in order[places]]
                output = self.run(tensors_of(self.learned.feed(batch))).float().numpy()
                rows |= {i: row.copy() for i, row in zip(batch, output, strict=True)}
                self.context.say(f"the teacher answers {len(rows)} of {count} samples")
        if len({row.shape for row in rows.values()}) > 1:
            raise StepError(
                "The teacher's outputs differ in shape from sample to sample.",
                hint="Distil a model that gives one output per sample, such as a pooled one.",
            )
        return np.stack([rows[i] for i in range(count)]).astype(np.float32)
