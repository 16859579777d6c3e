"""The weights that are left make up for the channels that go: least squares on calibration data.

For a layer ``y = W x`` whose inputs ``x_g`` go, the weights of those that stay become
``W E[x x_sᵀ] E[x_s x_sᵀ]⁻¹``, which gives the layer's output with the least squared error (as He et
al. 2017, arXiv:1707.06168, section 3.1, does it; here for any layer that reads the channels). A
constant input stands for the bias, where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from workbench.steps._channels import Channels, readers
from workbench.steps._forward import forward, tensors_of

if TYPE_CHECKING:
    import numpy as np

    from workbench.records import Manifest

    Feed = dict[str, np.ndarray]

WIDEST = 4096
"""Layers with more inputs (channels times kernel positions) are not refitted."""
IMAGE_WEIGHTS = 4
DAMPING = 1e-3
"""Share of the mean square that is added to the diagonal, so that few samples do not overfit."""


def gather(
    module: Any, manifest: Manifest, found: Sequence[Channels], feeds: Iterable[Feed]
) -> dict[Any, Any]:
    """The second moments of the inputs of all layers that read channels.

    Returns:
        By layer: float64 ``[inputs + 1, inputs + 1]``, the last one being the constant 1.
    """
    import torch

    layers = {layer for item in found for layer, _ in readers(item, range(item.width))}
    moments: dict[Any, Any] = {}
    hooks = [
        layer.register_forward_hook(_hook(moments))
        for layer in layers
        if layer.weight[0].numel() <= WIDEST
        and layer.weight.ndim <= IMAGE_WEIGHTS
        and getattr(layer, "padding_mode", "zeros") == "zeros"
    ]
    run = forward(module, manifest)
    try:
        with torch.inference_mode():
            for feed in feeds:
                run(tensors_of(feed))
    finally:
        for hook in hooks:
            hook.remove()
    return moments


def silence(
    doomed: Iterable[tuple[Channels, Sequence[int]]], moments: dict[Any, Any]
) -> list[tuple[Any, Any]]:
    """Make the layers that read some channels ignore them, and the rest of their weights fit again.

    What the module then computes is what it computes when the channels are removed for good.

    Returns:
        Parameters and what they held, to put back.
    """
    import torch

    gone: dict[Any, list[int]] = {}
    for item, indices in doomed:
        for layer, columns in readers(item, indices):
            gone.setdefault(layer, []).extend(columns)
    held = []
    with torch.no_grad():
        for layer, columns in gone.items():
            if not columns:
                continue
            held.append((layer.weight, layer.weight.detach().clone()))
            if layer in moments:
                if layer.bias is not None:
                    held.append((layer.bias, layer.bias.detach().clone()))
                _refit(layer, moments[layer], sorted(columns))
            layer.weight[:, columns] = 0
    return held


def restore(held: list[tuple[Any, Any]]) -> None:
    """Put parameters back."""
    import torch

    with torch.no_grad():
        for parameter, values in held:
            parameter.copy_(values)


def _refit(layer: Any, moments: Any, columns: list[int]) -> None:
    import torch

    inputs = len(moments) - 1
    each = inputs // layer.weight.shape[1]  # kernel positions
    gone = torch.zeros(inputs + 1, dtype=torch.bool)
    for column in columns:
        gone[column * each : (column + 1) * each] = True
    gone[-1] = layer.bias is None
    stay = (~gone).nonzero().flatten()
    lost = gone.nonzero().flatten()
    kept = moments[stay][:, stay].clone()
    kept.diagonal().add_(DAMPING * kept.diagonal().mean().clamp(min=1e-12))
    factor, failed = torch.linalg.cholesky_ex(kept)
    if failed:
        return
    matrix = layer.weight.detach().double().flatten(1)
    full = torch.cat([matrix, torch.zeros(len(matrix), 1, dtype=torch.float64)], 1)
    # Only what the lost inputs gave is fitted anew, so that nothing lost changes nothing.
    more = torch.cholesky_solve(moments[stay][:, lost] @ full[:, lost].T, factor).T
    full[:, stay] += more
    layer.weight.copy_(full[:, :-1].reshape(layer.weight.shape))
    if layer.bias is not None:
        layer.bias.add_(full[:, -1].to(layer.bias.dtype))


def _hook(moments: dict[Any, Any]) -> Any:
    import torch

    def gather_inputs(layer: Any, inputs: Any, output: Any) -> None:
        rows = _rows(layer, inputs[0].detach())
        rows = torch.cat([rows, torch.ones(len(rows), 1)], 1)
        moments[layer] = moments.get(layer, 0) + (rows.T @ rows).double()

    return gather_inputs


def _rows(layer: Any, data: Any) -> Any:
    """What a layer multiplies its weights with, one row per output position."""
    import torch

    if isinstance(layer, torch.nn.Linear):
        return data.reshape(-1, data.shape[-1])
    axes = data.ndim - 2
    if axes == 1:  # as an image one pixel high
        data = data.unsqueeze(2)
    sizes = {
        name: (value if axes == 2 else (0 if name == "padding" else 1, *value))
        for name in ("padding", "stride", "dilation", "kernel_size")
        for value in [getattr(layer, name)]
    }
    if isinstance(layer.padding, str):  # 'same'
        sides = list(layer._reversed_padding_repeated_twice)
        data = torch.nn.functional.pad(data, [*sides, *[0] * (4 - len(sides))])
        sizes["padding"] = 0
    patches = torch.nn.functional.unfold(data, **sizes)
    return patches.transpose(1, 2).reshape(-1, patches.shape[1])
