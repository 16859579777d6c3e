"""Single weights set to zero: by magnitude over the model or per layer, and 2 of every 4."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from workbench.errors import StepError
from workbench.plugins import did_you_mean

SMALL = 1024
"""Layers with fewer weights are left alone: there is nothing to gain."""
FOUR = 4


def prunable(module: Any, exclude: Sequence[str]) -> dict[str, Any]:
    """The weights of convolutions, linear layers and embeddings, by parameter name.

    Raises:
        StepError: a pattern names no layer, or there is no weight to prune.
    """
    import torch

    kinds = (torch.nn.Linear, torch.nn.modules.conv._ConvNd, torch.nn.Embedding)
    layers = {name: part for name, part in module.named_modules() if isinstance(part, kinds)}
    for pattern in exclude:
        if not any(fnmatchcase(name, pattern) for name in layers):
            raise StepError(f"'{pattern}' names no layer.", hint=did_you_mean(pattern, layers))
    found = {
        f"{name}.weight": part.weight
        for name, part in layers.items()
        if part.weight.numel() >= SMALL and not any(fnmatchcase(name, p) for p in exclude)
    }
    if not found:
        raise StepError("The model has no layer whose weights could be set to zero.")
    return found


def zero_smallest(weights: dict[str, Any], sparsity: float, *, per_layer: bool) -> None:
    """Set the smallest weights to zero, in place: exactly ``floor(sparsity × count)`` of them.

    Args:
        weights: float tensors by name.
        sparsity: share to set to zero.
        per_layer: in every layer the same share; else the smallest of the model, relative to
            nothing (global magnitude: Han et al. 2015, arXiv:1506.02626).
    """
    import torch

    with torch.no_grad():
        for group in [[w] for w in weights.values()] if per_layer else [list(weights.values())]:
            flat = torch.cat([weight.abs().flatten() for weight in group])
            doomed = torch.zeros_like(flat, dtype=torch.bool)
            doomed[flat.argsort(stable=True)[: int(sparsity * len(flat))]] = True
            start = 0
            for weight in group:
                part = doomed[start : start + weight.numel()].reshape(weight.shape)
                weight.masked_fill_(part, 0.0)
                start += weight.numel()


def zero_two_of_four(weights: dict[str, Any]) -> dict[str, str]:
    """Set the two smallest of every four weights along a layer's inputs to zero, in place.

    This is what sparse tensor cores compute at twice the rate (Mishra et al. 2021,
    arXiv:2104.08378).

    Returns:
        The weights left alone, and why.
    """
    import torch

    skipped = {}
    with torch.no_grad():
        for name, weight in weights.items():
            matrix = weight.flatten(1)
            if matrix.shape[1] % FOUR:
                skipped[name] = f"{matrix.shape[1]} inputs are no multiple of four"
                continue
            fours = matrix.reshape(len(matrix), -1, FOUR)
            smallest = fours.abs().argsort(dim=-1, stable=True)[..., :2]
            weight.copy_(fours.scatter(-1, smallest, 0.0).reshape(weight.shape))
    return skipped


def zeros_of(weight: Any) -> float:
    """The share of a tensor's values that are zero."""
    return float((weight == 0).float().mean())
