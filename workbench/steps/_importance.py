"""How much each channel matters: by its weights, by the loss, by what goes through it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from workbench.errors import StepError
from workbench.steps._channels import Channels, readers
from workbench.steps._forward import forward, tensors_of

if TYPE_CHECKING:
    import numpy as np

    from workbench.records import Manifest
    from workbench.steps._training import Loss

    Feed = dict[str, np.ndarray]

Importance = Literal["magnitude", "taylor", "activation"]
TAYLOR_BATCH = 32


def by_magnitude(found: Sequence[Channels]) -> dict[str, Any]:
    """The squared norm of all weights that go with a channel, relative to the layer's mean.

    torch-pruning's group importance (Fang et al. 2023, arXiv:2301.12900).
    """
    import torch_pruning

    score = torch_pruning.importance.GroupMagnitudeImportance(p=2)
    return {item.name: score(item.group).double() for item in found}


def by_taylor(
    module: Any, found: Sequence[Channels], loss: Loss, positions: Sequence[int]
) -> dict[str, Any]:
    """First-order change of the loss when a channel goes (Molchanov et al. 2019, 1906.10771).

    Args:
        module: the module.
        found: its channels.
        loss: the task's loss at some training samples.
        positions: samples to take the gradient on.
    """
    import torch_pruning

    module.zero_grad(set_to_none=True)
    for start in range(0, len(positions), TAYLOR_BATCH):
        loss(positions[start : start + TAYLOR_BATCH]).backward()
    score = torch_pruning.importance.GroupTaylorImportance()
    scores = {item.name: score(item.group).double().abs() for item in found}
    module.zero_grad(set_to_none=True)
    return scores


def by_activation(
    module: Any, manifest: Manifest, found: Sequence[Channels], feeds: Iterable[Feed]
) -> dict[str, Any]:
    """The energy that a channel brings to the layers that read it, on calibration data.

    That is the mean square of each input channel times the squared norm of the weights that read
    it (as in Sun et al. 2023, arXiv:2306.11695, with whole channels in the place of weights).

    Raises:
        StepError: there are no calibration data.
    """
    import torch

    layers = {layer for item in found for layer, _ in readers(item, range(item.width))}
    power: dict[Any, Any] = {}
    hooks = [layer.register_forward_hook(_gather(power)) for layer in layers]
    run, count = forward(module, manifest), 0
    try:
        with torch.inference_mode():
            for feed in feeds:
                run(tensors_of(feed))
                count += 1
    finally:
        for hook in hooks:
            hook.remove()
    if not count:
        raise StepError("The importance `activation` needs calibration data.")
    scores = {}
    for item in found:
        total = torch.zeros(item.width, dtype=torch.float64)
        for layer, columns in readers(item, range(item.width)):
            if layer not in power:
                continue
            weight = layer.weight.detach().double().transpose(0, 1).flatten(1).square().sum(1)
            energy = (power[layer] * weight)[columns]
            total += energy.reshape(item.width, -1).sum(1)
        scores[item.name] = total
    return scores


def _gather(power: dict[Any, Any]) -> Any:
    def hook(layer: Any, inputs: Any, output: Any) -> None:
        data = inputs[0].detach().double()
        axis = 1 if layer.weight.ndim > 2 else data.ndim - 1
        axes = [a for a in range(data.ndim) if a != axis]
        power[layer] = power.get(layer, 0) + data.square().sum(axes)

    return hook


def unit_scores(item: Channels, scores: Any) -> list[float]:
    """One score per unit: the sum over its channels."""
    return [float(v) for v in scores.reshape(item.units, item.unit).sum(1)]
