"""Fine-tune a torch model on the task's labelled training samples."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from workbench.artifact import Artifact
from workbench.datasets import TrainingSet
from workbench.errors import StepError
from workbench.records import Account, Format, Manifest
from workbench.steps import Step, StepContext
from workbench.steps._augment import Augment
from workbench.steps._forward import forward, tensors_of
from workbench.steps._qat import simulated_int8
from workbench.steps._training import Loss, train
from workbench.steps._training_options import TrainingOptions
from workbench.torch_modules import load_torch, save_torch


class Finetune(TrainingOptions, Step):
    """Train the weights on the task's training split, with its labels.

    What is kept are the weights that do best on a part of the training split that is held out for
    it; the evaluation split is never looked at. Zeros of a sparse model stay zeros. A training
    that is killed goes on from its last checkpoint, at most half a minute back.

    ``qat: int8`` rounds weights and activations to int8 while it trains (Jacob et al. 2018,
    arXiv:1712.05877), so that the weights learn to bear what ``quantize: static-int8`` does next.
    """

    name: ClassVar[str] = "finetune"
    accepts: ClassVar[Format] = "torch"
    makes: ClassVar[Format] = "torch"
    seconds: ClassVar[float] = 120.0

    qat: Literal["int8"] | None = Field(
        None, description="Simulate this rounding of weights and activations while training."
    )

    @property
    def uses_training(self) -> bool:
        """It learns."""
        return True

    @property
    def keeps_shapes(self) -> bool:
        """It changes the weights only."""
        return True

    def apply(
        self, source: Artifact, target: Path, context: StepContext
    ) -> tuple[Manifest, Account]:
        """Train ``source``; see :class:`Step`.

        Raises:
            StepError: there are no labels, or the loss is not finite from the start.
        """
        learned = context.training_set(source)
        module = load_torch(source.path, source.manifest)
        loss = label_loss(module, source.manifest, learned, self.augment)
        parts = learned.held_out(self.validation)
        with simulated_int8(module) if self.qat else nullcontext(0) as simulated:
            history = train(
                module, source.manifest, parts, loss, self, context, sizes=learned.sizes
            )
        manifest = save_torch(module, source, target)
        return manifest, Account(
            summary=f"{len(parts[0])} samples, {history.summary}",
            changed={"layers trained with simulated int8": simulated} if simulated else {},
            choices={
                "samples": len(parts[0]),
                "validated_on": len(parts[1]),
                **history.choices(),
            },
        )


def label_loss(
    module: Any, manifest: Manifest, learned: TrainingSet, augment: Augment | None = None
) -> Loss:
    """The task's loss of a module on some training samples, augmented while it is in training.

    Raises:
        StepError: the samples have no labels.
    """
    import torch

    if learned.targets is None or learned.loss is None:
        raise StepError(
            "The training samples have no labels that the task could learn from.",
            hint="Use the step `distill`, which learns from the model itself.",
        )
    run, measure = forward(module, manifest), learned.loss
    targets = torch.from_numpy(learned.targets)

    def loss(positions: Sequence[int]) -> Any:
        tensors = tensors_of(learned.feed(positions))
        if augment is not None and module.training:
            tensors = augment.apply(tensors)
        return measure(run(tensors), targets[list(positions)])

    return loss
