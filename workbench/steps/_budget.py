"""Where to take channels away: measured damage against what each set of channels saves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from workbench.errors import StepError
from workbench.steps._channels import Channels, makers, readers
from workbench.steps._compensate import restore, silence
from workbench.steps._forward import forward, tensors_of
from workbench.steps._importance import unit_scores

if TYPE_CHECKING:
    import numpy as np

    from workbench.records import Manifest

    Feed = dict[str, np.ndarray]

LEVELS = (0.25, 0.5, 0.75, 0.9)
"""Shares of a layer's channels that are silenced to measure its sensitivity."""


@dataclass(frozen=True)
class Sensitivity:
    """What it costs to remove the least important part of one set of channels.

    ``order`` are its units, the least important first; ``damage`` the relative squared error of
    the model's output when the share ``at`` of them is gone.
    """

    item: Channels
    order: tuple[int, ...]
    at: tuple[float, ...]
    damage: tuple[float, ...]
    parameters: float
    macs: float

    def damage_of(self, share: float) -> float:
        """The damage at a share, interpolated; it never falls."""
        points = [(0.0, 0.0)]
        for at, damage in zip(self.at, self.damage, strict=True):
            points.append((at, max(damage, points[-1][1])))
        points.append((1.0, max(1.0, 2 * points[-1][1])))
        for (left, low), (right, high) in pairwise(points):
            if share <= right:
                return low + (high - low) * (share - left) / (right - left)
        return points[-1][1]

    def doomed(self, units: int) -> list[int]:
        """The channels of the least important units."""
        return self.item.indices(self.order[:units])


@dataclass
class Size:
    """Parameters and multiply-accumulates of one sample."""

    parameters: int
    macs: int
    positions: dict[Any, float] = field(default_factory=dict, repr=False)
    """By layer with weights: how often a weight is used for one sample of the feed."""


def size_of(module: Any, manifest: Manifest, feed: Feed) -> Size:
    """Count a module's parameters and the MACs of its convolutions and linear layers."""
    import torch

    batch = len(next(iter(feed.values())))
    positions: dict[Any, float] = {}

    def hook(layer: Any, inputs: Any, output: Any) -> None:
        channels = layer.weight.shape[0] if not getattr(layer, "transposed", False) else 1
        used = output.numel() / batch / channels
        positions[layer] = positions.get(layer, 0.0) + used

    kinds = (torch.nn.Linear, torch.nn.modules.conv._ConvNd)
    hooks = [m.register_forward_hook(hook) for m in module.modules() if isinstance(m, kinds)]
    try:
        with torch.inference_mode():
            forward(module, manifest)(tensors_of(feed))
    finally:
        for each in hooks:
            each.remove()
    macs = sum(layer.weight.numel() * used for layer, used in positions.items())
    return Size(sum(p.numel() for p in module.parameters()), round(macs), positions)


def sensitivities(
    module: Any,
    manifest: Manifest,
    found: Sequence[Channels],
    scores: Mapping[str, Any],
    feeds: Sequence[Feed],
    moments: dict[Any, Any],
    size: Size,
    say: Callable[[int, int], None],
) -> list[Sensitivity]:
    """Silence more and more of each set of channels, alone, and see what becomes of the output.

    Args:
        module: the module, put back as it was.
        manifest: how to call it.
        found: its channels.
        scores: importance per channel, by name.
        feeds: calibration feeds.
        moments: of the inputs of layers, with which the rest is fitted anew; empty: it is not.
        size: of the module.
        say: told how many sets are done, and of how many.

    Raises:
        StepError: the model's outputs are all zero.
    """
    import torch

    run = forward(module, manifest)
    batches = [tensors_of(feed) for feed in feeds]
    with torch.inference_mode():
        exact = [run(batch) for batch in batches]
    scale = sum(float(output.double().square().sum()) for output in exact)
    if not scale:
        raise StepError("The model's output is zero on all calibration data.")
    result = []
    for number, item in enumerate(found):
        units = unit_scores(item, scores[item.name])
        order = tuple(sorted(range(item.units), key=units.__getitem__))
        at, damage = [], []
        for level in LEVELS:
            count = min(item.units - 1, round(level * item.units))
            if count < 1 or count / item.units in at:
                continue
            held = silence([(item, item.indices(order[:count]))], moments)
            with torch.inference_mode():
                error = sum(
                    float((run(batch) - output).double().square().sum())
                    for batch, output in zip(batches, exact, strict=True)
                )
            restore(held)
            at.append(count / item.units)
            damage.append(error / scale)
        saved = _savings(item, size)
        result.append(Sensitivity(item, order, tuple(at), tuple(damage), *saved))
        say(number + 1, len(found))
    return result


def allocate(
    table: Sequence[Sensitivity],
    measure: Callable[[dict[str, int]], Mapping[str, float]],
    targets: Mapping[str, float],
    total: Size,
) -> dict[str, int]:
    """How many units to take from each set, so that the targets hold at the least damage.

    Each set takes what is best at a price per saving (Lagrange); the price rises until the targets
    hold, which ``measure`` says of the real thing. As damage may rise in jumps, the last bit is
    taken unit by unit, the least damage per saving first.

    Args:
        table: the sensitivities.
        measure: what remains (``parameters``, ``macs``) of the model when so many units are taken.
        targets: shares of the original that may remain.
        total: the original.

    Raises:
        StepError: the targets do not hold even when every set keeps one unit.
    """
    whole = {"parameters": total.parameters, "macs": total.macs}
    savings = {
        row.item.name: sum(
            {"parameters": row.parameters, "macs": row.macs}[name] / whole[name] for name in targets
        )
        / row.item.units
        for row in table
    }

    def taken(price: float) -> dict[str, int]:
        chosen = {}
        for row in table:
            costs = [
                row.damage_of(count / row.item.units) - price * savings[row.item.name] * count
                for count in range(row.item.units)
            ]
            chosen[row.item.name] = costs.index(min(costs))
        return chosen

    def holds(counts: dict[str, int]) -> bool:
        left = measure(counts)
        return all(left[name] <= share * whole[name] for name, share in targets.items())

    least = {row.item.name: row.item.units - 1 for row in table}
    if not holds(least):
        left = measure(least)
        reached = ", ".join(f"{left[name] / whole[name]:.1%} of the {name}" for name in targets)
        raise StepError(
            "The target would leave a layer empty: with one channel or head left everywhere, "
            f"{reached} remain.",
            hint="Raise the target, exclude less, or remove whole layers first.",
        )
    low, high = 0.0, 1e-6
    while not holds(taken(high)):
        low, high = high, high * 8
        if high > 1e12:
            return least
    for _ in range(12):
        middle = (low * high) ** 0.5 if low else high / 8
        low, high = (low, middle) if holds(taken(middle)) else (middle, high)
    path = _path(table, savings, taken(low), taken(high))
    first, last = 0, len(path) - 1  # the last one holds
    while last - first > 1:
        middle_step = (first + last) // 2
        if holds(path[middle_step]):
            last = middle_step
        else:
            first = middle_step
    return path[last]


def _path(
    table: Sequence[Sensitivity],
    savings: Mapping[str, float],
    start: dict[str, int],
    end: dict[str, int],
) -> list[dict[str, int]]:
    """From one choice to a larger one, a unit at a time, the least damage per saving first."""
    path = [start]
    while any(path[-1][name] < count for name, count in end.items()):
        now = path[-1]

        def slope(row: Sensitivity, now: dict[str, int] = now) -> float:
            count, units = now[row.item.name], row.item.units
            more = row.damage_of((count + 1) / units) - row.damage_of(count / units)
            return more / max(savings[row.item.name], 1e-12)

        open_rows = [row for row in table if now[row.item.name] < end[row.item.name]]
        name = min(open_rows, key=slope).item.name
        path.append({**now, name: now[name] + 1})
    return path


def _savings(item: Channels, size: Size) -> tuple[float, float]:
    """Parameters and MACs that go with all of the channels: where they are made and read."""
    parameters = macs = 0.0
    for layer in makers(item):
        parameters += layer.weight.numel()
        macs += layer.weight.numel() * size.positions.get(layer, 0.0)
    for layer, columns in readers(item, range(item.width)):
        count = layer.weight[:, columns].numel()
        parameters += count
        macs += count * size.positions.get(layer, 0.0)
    return parameters, macs
