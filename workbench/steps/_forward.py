"""Calling a torch module as its exported graph is called: by input name, first output, pooled."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.errors import StepError
from workbench.records import Manifest
from workbench.steps._pooling import pool

if TYPE_CHECKING:
    import numpy as np

    Feed = dict[str, np.ndarray]


def tensors_of(feed: Feed) -> dict[str, Any]:
    """A feed as torch tensors, by input name."""
    import torch

    return {name: torch.from_numpy(value) for name, value in feed.items()}


def caller(module: Any, manifest: Manifest) -> Callable[[dict[str, Any]], Any]:
    """What calls a module with tensors by input name and gives its raw output."""
    accepted = inspect.signature(module.forward).parameters
    order = [spec.name for spec in manifest.signature.inputs]

    def call(tensors: dict[str, Any]) -> Any:
        try:
            if all(name in accepted for name in tensors):
                return module(**tensors)
            return module(*(tensors[name] for name in order))
        except Exception as error:  # the model's code may raise anything
            shapes = ", ".join(f"{k} {v.dtype}{list(v.shape)}" for k, v in tensors.items())
            raise StepError(
                f"The model's forward fails on a real input ({shapes}): {reason_of(error)}",
                hint="Compare the inputs that the recipe states with those of forward.",
            ) from error

    return call


def forward(module: Any, manifest: Manifest) -> Callable[[dict[str, Any]], Any]:
    """What gives a module's first output, pooled where the model pools: tensors → float tensor."""
    call = caller(module, manifest)
    pooling = manifest.source.pooling if manifest.source else None

    def run(tensors: dict[str, Any]) -> Any:
        first = first_output(call(tensors))
        return first if pooling is None else pool(first, tensors["attention_mask"], pooling)

    return run


def first_output(output: Any) -> Any:
    """The first tensor of what a module returns: a tensor, a tuple, a dict, nested."""
    import torch

    while not isinstance(output, torch.Tensor):
        values = list(output.values()) if isinstance(output, dict) else list(output)
        output = values[0]
    return output


def reason_of(error: BaseException) -> str:
    """The sentence of an error's chain that speaks of the model."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    for item in reversed(chain):
        lines = [line.strip() for line in str(item).splitlines() if line.strip()]
        if lines:
            return f"{type(item).__name__}: {lines[0][:300]}"
    return type(error).__name__
