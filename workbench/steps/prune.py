"""Prune a torch model: whole channels, heads and layers, or single weights."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workbench.artifact import Artifact
from workbench.errors import MissingError
from workbench.records import Account, Format, Manifest, Skipped
from workbench.steps import Step, StepContext
from workbench.steps._importance import Importance
from workbench.steps._sparse import prunable, zero_smallest, zero_two_of_four, zeros_of
from workbench.steps._training_options import TrainingOptions
from workbench.torch_modules import hold_zeros, load_torch, save_torch


class Target(BaseModel):
    """What may remain, as shares of the model that comes in; all of them must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parameters: float | None = Field(None, gt=0, lt=1, description="Of the parameters.")
    macs: float | None = Field(None, gt=0, lt=1, description="Of the multiply-accumulates.")
    latency: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Of the latency, measured on the recipe's profile after export: the median "
        "over its cells.",
    )

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("give at least one of parameters, macs and latency")
        return self


class Prune(Step):
    """Remove what matters least.

    - ``structured``: channels, neurons and attention heads are removed for good, wherever they are
      read, to a ``target``. How much the output suffers from each layer is measured first, so that
      the budget goes where it costs least, and the weights that are left are fitted to make up for
      what went (He et al. 2017, arXiv:1707.06168); ``rounds`` with training in between get
      further. Every runtime is faster by it.
    - ``layers``: whole layers are removed; of the candidates the ones without which the output
      changes least.
    - ``unstructured``: single weights become zero. Dense runtimes gain no speed from it and the
      ONNX file is as large; only the compressed archive is smaller.
    - ``2:4``: two of every four weights become zero: for GPUs with sparse tensor cores, and an
      engine that uses them; on a CPU as ``unstructured``.

    Zeros of ``unstructured`` and ``2:4`` hold through later training.
    """

    name: ClassVar[str] = "prune"
    accepts: ClassVar[Format] = "torch"
    makes: ClassVar[Format] = "torch"
    shorthand: ClassVar[str | None] = "method"
    seconds: ClassVar[float] = 60.0

    method: Literal["structured", "layers", "unstructured", "2:4"] = Field(
        "structured", description="What is removed."
    )
    target: Target | None = Field(None, description="structured: what may remain.")
    importance: Importance = Field(
        "activation",
        description="structured: what a channel counts by: its weights, the first-order change of "
        "the task's loss (needs labels), or the energy it brings to the layers that read it.",
    )
    compensate: bool = Field(
        True,
        description="structured: fit the weights that are left to the layers' outputs on "
        "calibration data, by least squares.",
    )
    rounds: int = Field(
        1, ge=1, description="structured: in so many parts, trained after each but the last."
    )
    finetune: TrainingOptions | None = Field(
        None, description="structured: how to train between rounds, by the labels where the "
        "training samples have any, else to give the outputs of the model that came in."
    )  # fmt: skip
    multiple: int = Field(
        8, ge=1, description="structured: channels are removed in so many at a time: kernels "
        "compute them in groups."
    )  # fmt: skip
    samples: int = Field(
        128, gt=0, description="structured, layers: calibration samples to use at most."
    )
    keep: int | tuple[int, ...] | None = Field(
        None, description="layers: how many to keep, or which (from 0)."
    )
    of: str | None = Field(
        None, description="layers: path of the list of layers; none: the model's longest."
    )
    sparsity: float = Field(0.5, gt=0, lt=1, description="unstructured: share of zeros.")
    scope: Literal["global", "layer"] = Field(
        "global", description="unstructured: the smallest of the model, or of every layer."
    )
    exclude: tuple[str, ...] = Field(
        (), description="Layers to leave alone: names or patterns such as 'encoder.layer.0.*'."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.method == "structured" and self.target is None:
            raise ValueError("`structured` needs a `target`, such as {parameters: 0.5}")
        if self.method == "layers" and self.keep is None:
            raise ValueError("`layers` needs `keep`: how many layers, or which")
        if self.rounds > 1 and self.finetune is None:
            raise ValueError("`rounds` need `finetune`: without training one round does the same")
        if self.finetune is not None and self.rounds == 1:
            raise ValueError(
                "`finetune` is between rounds, of which there is one; put a step `finetune` or "
                "`distill` after this one, or raise `rounds`"
            )
        return self

    @property
    def uses_data(self) -> bool:
        """Sensitivities are measured on calibration data."""
        return self.method in ("structured", "layers")

    @property
    def uses_training(self) -> bool:
        """Between rounds it learns; Taylor importance needs the loss."""
        structured = self.method == "structured"
        return structured and (self.finetune is not None or self.importance == "taylor")

    @property
    def uses_bench(self) -> bool:
        """A target on latency is measured."""
        return self.target is not None and self.target.latency is not None

    def check(self) -> None:
        """``structured`` needs torch-pruning."""
        if self.method == "structured" and find_spec("torch_pruning") is None:
            raise MissingError(
                "Structured pruning needs the package torch-pruning.",
                hint="Type: pip install 'workbench[prune]'",
            )

    def apply(
        self, source: Artifact, target: Path, context: StepContext
    ) -> tuple[Manifest, Account]:
        """Prune ``source``; see :class:`Step`.

        Raises:
            StepError: the target leaves a layer empty, the tracer cannot follow the model, a
                pattern names no layer.
        """
        if self.method == "structured":
            from workbench.steps._structured import prune_structured

            return prune_structured(self, source, target, context)
        if self.method == "layers":
            from workbench.steps._drop_layers import drop_layers

            return drop_layers(self, source, target, context)
        return self._zeros(source, target)

    def _zeros(self, source: Artifact, target: Path) -> tuple[Manifest, Account]:
        module = load_torch(source.path, source.manifest)
        weights = prunable(module, self.exclude)
        skipped: dict[str, str] = {}
        if self.method == "2:4":
            skipped = zero_two_of_four(weights)
        else:
            zero_smallest(weights, self.sparsity, per_layer=self.scope == "layer")
        done = {name: weight for name, weight in weights.items() if name not in skipped}
        zeros = sum(int((weight == 0).sum()) for weight in done.values())
        count = sum(parameter.numel() for parameter in module.parameters())
        where = (
            "only engines for sparse tensor cores are faster by it"
            if self.method == "2:4"
            else "dense runtimes are no faster by it, only the compressed archive is smaller"
        )
        manifest = hold_zeros(save_torch(module, source, target), done)
        return manifest, Account(
            summary=f"{zeros / count:.0%} of {count / 1e6:.3g} M parameters are zero: {where}.",
            changed={"weights set to zero": zeros},
            skipped=tuple(Skipped(name=name, reason=reason) for name, reason in skipped.items()),
            choices={
                "sparsity": {name: round(zeros_of(weight), 4) for name, weight in done.items()}
            },
        )
