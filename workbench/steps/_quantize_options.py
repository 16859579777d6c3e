"""The options of the quantize step, which its schemes read."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from workbench.steps import Step
from workbench.steps._auto_budget import parse_within

Scheme = Literal["dynamic-int8", "weight-only", "static-int8", "float16", "bfloat16", "auto"]
Goal = Literal["size", "latency", "cost"]


class QuantizeOptions(Step):
    """What is quantized, and how."""

    model_config = ConfigDict(serialize_by_alias=True)  # `for` is no name in Python

    scheme: Scheme = Field(description="What is stored and computed in fewer bits.")
    bits: Literal[8, 4] = Field(8, description="weight-only: bits per weight.")
    block: int | None = Field(
        None,
        ge=8,
        description="weight-only: input channels that share a scale. None: the whole channel for "
        "8 bits and 32 for 4; kernels take 128 and 32.",
    )
    compute: Literal["load", "kernel"] = Field(
        "load", description="weight-only: decode once at load, or in kernels at each call."
    )
    per_channel: bool = Field(True, description="A scale per output channel; else one per weight.")
    activations: Literal["per-token", "per-tensor"] = Field(
        "per-token", description="dynamic-int8: a scale per row of the input, or one for all."
    )
    smooth: bool | None = Field(
        None,
        description="dynamic-int8: move outlier channels into the weights where it helps. None: "
        "for per-token.",
    )
    rounding: Literal["compensated", "nearest"] = Field(
        "compensated",
        description="dynamic-int8, weight-only, static-int8: how weights are rounded.",
    )
    embeddings: bool = Field(True, description="Store embedding tables in fewer bits too.")
    exclude: tuple[str, ...] = Field(
        (), description="Nodes to leave alone: names, patterns such as '*/layer.0/*', or types."
    )
    weights: Literal["auto", "int8", "uint8"] = Field(
        "auto", description="dynamic-int8, static-int8: type of the weights; auto is int8."
    )
    reduce_range: Literal["auto"] | bool = Field(
        "auto",
        description="dynamic-int8, static-int8: 7-bit weights, so that no kernel saturates; auto: "
        "smaller weights on CPUs without VNNI only.",
    )
    calibrate: Literal["minmax", "entropy", "percentile"] = Field(
        "minmax", description="static-int8: how an activation's range is found."
    )
    bias_correction: bool = Field(
        False,
        description="static-int8: take back what quantization does to the mean of each layer's "
        "outputs, if that brings the model's closer; for calibration data like the real ones.",
    )
    percentile: float = Field(99.99, gt=50, le=100, description="static-int8: for percentile.")
    samples: int = Field(
        256, gt=0, description="Calibration samples to use at most; 4096 tokens are enough."
    )

    within: dict[str, str | float] | None = Field(
        None,
        description="auto: the budget, on the task's metric against the step's input: quality "
        "(-0.5% of its score, or -0.005; the lower end of the paired interval counts), "
        "cosine_mean, cosine_min, nearest_neighbour, label_agreement, max_abs, mean_abs.",
    )
    goal: Goal = Field(
        "size", alias="for", description="auto: what is made least within the budget."
    )

    @model_validator(mode="after")
    def _budget(self) -> Self:
        if self.scheme != "auto":
            if self.within is not None or "goal" in self.model_fields_set:
                raise ValueError(f"within and for are for the scheme auto, not {self.scheme}")
        elif self.within is None:
            raise ValueError("auto needs within, such as {quality: -0.5%}")
        else:
            parse_within(self.within)
        return self

    @model_validator(mode="after")
    def _kernel_block(self) -> Self:
        block = self.block
        if self.compute == "kernel" and block and (block < 16 or block & (block - 1)):
            raise ValueError(f"kernels take a block that is a power of two from 16, not {block}")
        return self

    @property
    def smooths(self) -> bool:
        """Whether dynamic-int8 may smooth its inputs."""
        return self.activations == "per-token" if self.smooth is None else self.smooth

    @property
    def uses_data(self) -> bool:
        """Whether calibration data has a say."""
        if self.scheme == "dynamic-int8":
            return self.smooths or self.rounding == "compensated"
        if self.scheme == "weight-only":
            return self.rounding == "compensated"
        return self.scheme in ("static-int8", "float16", "auto")

    @property
    def uses_bench(self) -> bool:
        """Whether candidates are judged, and timed, while choosing."""
        return self.scheme == "auto"

    @property
    def uses_machine(self) -> bool:
        """Whether the CPU's instruction sets decide on the type of the weights."""
        if self.scheme == "auto":
            return True
        return self.scheme in ("dynamic-int8", "static-int8") and self.reduce_range == "auto"
