"""Where a distilled student comes from: layers of the model, another model, or what comes in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workbench.artifact import Artifact, seal
from workbench.models import ModelReference, find_model
from workbench.recipe import FactoryModel
from workbench.steps._layers import layer_list, spread
from workbench.torch_modules import load_torch, save_torch
from workbench.torch_structure import keep_children


class Student(BaseModel):
    """The smaller model: some layers of the one that comes in, or another one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: int | tuple[int, ...] | None = Field(
        None, description="How many layers to keep, spread evenly, or which (from 0)."
    )
    of: str | None = Field(
        None, description="Path of the list of layers; none: the model's longest."
    )
    model: str | FactoryModel | None = Field(
        None, description="Another model, as a recipe's `model` names one."
    )
    weights: Literal["random", "trained"] = Field(
        "random", description="model: whether it starts from its weights or anew."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.layers is None) == (self.model is None):
            raise ValueError("give either `layers` or `model`")
        return self

    def reference(self, folder: Path) -> ModelReference | None:
        """The other model, or none."""
        return None if self.model is None else find_model(self.model, folder=folder)

    def make(self, source: Artifact, folder: Path, place: Path, seed: int) -> Artifact:
        """The student before it has learned anything.

        Args:
            source: the model that comes in.
            folder: what relative paths start at.
            place: an empty folder for it.
            seed: of random weights.

        Raises:
            StepError: there are no such layers.
            ModelError: the other model cannot be had.
        """
        reference = self.reference(folder)
        if reference is None:
            module, kept, path = self.shortened(source)
            return seal(place, save_torch(module, source, place, kept={path: kept}))
        manifest = reference.materialize(place)
        update: dict[str, Any] = {"lineage": ()}
        if manifest.preprocess is None:
            update["preprocess"] = source.manifest.preprocess
            update["labels"] = manifest.labels or source.manifest.labels
        student = seal(place, manifest.model_copy(update=update))
        return student

    def shortened(self, source: Artifact) -> tuple[Any, tuple[int, ...], str]:
        """The model with some layers only, which they are, and the path of their list."""
        module = load_torch(source.path, source.manifest)
        path, total = layer_list(module, self.of)
        assert self.layers is not None
        kept = spread(self.layers, total) if isinstance(self.layers, int) else self.layers
        keep_children(module, path, kept)
        return module, kept, path


def start_anew(module: Any, seed: int) -> None:
    """Random weights, by each layer's own rule."""
    import torch

    torch.manual_seed(seed)
    for part in module.modules():
        reset = getattr(part, "reset_parameters", None)
        if callable(reset):
            reset()
