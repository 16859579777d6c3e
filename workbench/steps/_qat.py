"""Quantization-aware training: int8 rounding is simulated while a model is trained.

Weights of Conv and Linear are rounded as ``quantize: static-int8`` rounds them (symmetric int8, a
scale per output channel: the largest weight over 127), their inputs as uint8 with ranges that are
a moving average of what was seen. Gradients pass through the rounding unchanged where a value is
in range (straight-through; Jacob et al. 2018, arXiv:1712.05877). What is kept are the float
weights, which the quantize step then rounds to the same grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

AVERAGE = 0.95
"""How much of a range's moving average stays at each batch."""


@contextmanager
def simulated_int8(module: Any) -> Iterator[int]:
    """While entered, the module's Conv and Linear layers compute with rounded values.

    Yields:
        How many layers are simulated.
    """
    import torch
    from torch.nn.utils import parametrize

    kinds = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d, torch.nn.Linear)
    layers = [part for part in module.modules() if isinstance(part, kinds)]
    ranges = [_Range() for _ in layers]
    hooks = [
        layer.register_forward_pre_hook(seen.hook)
        for layer, seen in zip(layers, ranges, strict=True)
    ]
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", _round_weights(), unsafe=True)
    try:
        yield len(layers)
    finally:
        for hook in hooks:
            hook.remove()
        for layer in layers:
            original = layer.parametrizations.weight.original.detach().clone()
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
            layer.weight.data.copy_(original)


def _round_weights() -> Any:
    import torch

    class RoundWeights(torch.nn.Module):  # type: ignore[misc]  # torch is not read by mypy
        def forward(self, weight: Any) -> Any:
            scale = weight.detach().abs().flatten(1).amax(1).clamp(min=1e-8) / 127
            zero = torch.zeros_like(scale, dtype=torch.int32)
            return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -127, 127)

        def right_inverse(self, weight: Any) -> Any:
            return weight

    return RoundWeights()


class _Range:
    """The moving range of one layer's input."""

    def __init__(self) -> None:
        self.low: float | None = None
        self.high = 0.0

    def hook(self, layer: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        import torch

        data, *rest = inputs
        low, high = (float(v) for v in torch.aminmax(data.detach()))
        low, high = min(0.0, low), max(0.0, high)
        if self.low is None:
            self.low, self.high = low, high
        elif layer.training:
            self.low = AVERAGE * self.low + (1 - AVERAGE) * low
            self.high = AVERAGE * self.high + (1 - AVERAGE) * high
        scale = max((self.high - self.low) / 255, 1e-8)
        zero = min(255, max(0, round(-self.low / scale)))
        return (torch.fake_quantize_per_tensor_affine(data, scale, zero, 0, 255), *rest)
