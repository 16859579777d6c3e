"""The options of steps that train, and the one of them that says how."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from workbench.steps._augment import Augment


class TrainingOptions(BaseModel):
    """How weights are trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(10, gt=0, description="Passes over the training samples, at most.")
    learning_rate: float = Field(1e-3, gt=0, description="The largest of the schedule.")
    batch: int = Field(32, gt=0, description="Samples per step of the optimizer.")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="SGD has a momentum of 0.9.")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="How the learning rate falls, after a warm-up over the first 5 %."
    )
    weight_decay: float = Field(0.01, ge=0, description="Decoupled for adamw.")
    clip: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    validation: float = Field(
        0.1,
        gt=0,
        lt=0.9,
        description="Share of the training samples that is held out; the weights that do best on "
        "it are kept. The evaluation samples are never looked at.",
    )
    patience: int = Field(
        3, gt=0, description="Stop after so many epochs without a better validation loss."
    )
    minutes: float | None = Field(
        None, gt=0, description="Stop after the epoch in which so many minutes have passed."
    )
    freeze: tuple[str, ...] = Field(
        (), description="Parameters to leave alone: names or patterns, such as 'embeddings.*'."
    )
    augment: Augment | None = Field(
        None, description="Move, turn and scale training images at random, validation ones never."
    )
    seed: int = Field(0, ge=0, description="Of the order of the samples and of dropout.")
