"""Turning float weights into integers: scales, rounding to nearest or compensated, packing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

Rounding = Literal["compensated", "nearest"]
COMPENSATED_ROWS = 4096
"""Weights with more input channels are rounded to nearest: factoring would take minutes."""

FOUR_BITS = 7
"""The largest 4-bit integer."""

SHARES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
"""Of the scale that clips nothing: what 4-bit blocks try."""

_DAMPING = 0.01
_PANEL = 64


@dataclass(frozen=True)
class Feedback:
    """How a rounding error in one input channel is made up for in those after it.

    ``order`` are the input channels, those that matter most first; ``upper`` is strictly upper
    triangular in that order.
    """

    order: Array
    upper: Array


@dataclass(frozen=True)
class Rounded:
    """int8 values and their scales: together the weight again.

    ``scales`` has one row per ``block`` of input channels, of which the last may be short: shape
    (blocks, outputs).
    """

    values: Array
    scales: Array
    block: int

    def restore(self) -> Array:
        """The weight that the integers stand for."""
        import numpy as np

        rows = np.repeat(self.scales, self.block, axis=0)[: len(self.values)]
        return np.asarray(self.values * rows, np.float32)


def scales_of(weight: Array, top: int, block: int | None, *, per_channel: bool = True) -> Array:
    """Scales such that the largest weight of each group becomes an end: (blocks, outputs).

    With 4 bits the largest weight becomes -8, the end that is further out, by a scale of its sign:
    that spares an eighth of the step. Of that scale and smaller ones, which clip the largest
    weights, each block takes the one with the least squared error.
    """
    import numpy as np

    size = block or len(weight)
    blocks = [weight[start : start + size] for start in range(0, len(weight), size)]
    highest = np.stack([part.max(axis=0) for part in blocks])
    lowest = np.stack([part.min(axis=0) for part in blocks])
    if not per_channel:
        highest, lowest = np.full_like(highest, highest.max()), np.full_like(lowest, lowest.min())
    furthest = np.where(highest > -lowest, highest, lowest)
    scales = furthest / -8 if top == FOUR_BITS else np.abs(furthest) / top
    scales[np.abs(scales) < np.finfo(np.float32).tiny] = 1.0
    if top == FOUR_BITS and per_channel:
        scales = np.stack([_least_error(*pair) for pair in zip(blocks, scales, strict=True)])
    return scales.astype(np.float32)


def _least_error(block: Array, scale: Array) -> Array:
    """Of a block's 4-bit scales, one per output, the share of each that rounds it best."""
    import numpy as np

    best, least = scale, np.full(scale.shape, np.inf)
    for share in SHARES:
        tried = scale * share
        rounded = np.clip(np.rint(block / tried), -8, FOUR_BITS) * tried
        error = np.square(rounded - block).sum(axis=0)
        best, least = np.where(error < least, tried, best), np.minimum(error, least)
    return best


def round_weight(
    weight: Array,
    *,
    top: int,
    block: int | None = None,
    per_channel: bool = True,
    feedback: Feedback | None = None,
) -> Rounded:
    """Round a weight of shape (inputs, outputs) to integers up to ``top``.

    Args:
        weight: float32; outputs are the last axis.
        top: largest integer: 127 for 8 bits (down to -127), 7 for 4 (down to -8).
        block: input channels that share a scale; none: all of them.
        per_channel: a scale per output channel; else one for all.
        feedback: how each rounding error is made up for in the channels that follow; none: each
            weight is rounded to nearest.
    """
    import numpy as np

    scales = scales_of(weight, top, block, per_channel=per_channel)
    rows = np.repeat(scales, block or len(weight), axis=0)[: len(weight)]
    if feedback is None:
        values = np.clip(np.rint(weight / rows), _bottom(top), top)
    else:
        values = _compensated(weight, rows, top, feedback)
    return Rounded(values.astype(np.int8), scales, block or len(weight))


def round_to(weight: Array, steps: Array, *, top: int, feedback: Feedback) -> Array:
    """Compensated integers, as floats, of a weight (inputs, outputs) whose steps are given.

    Args:
        weight: float32.
        steps: the weight of one integer step, of the weight's shape.
        top: largest integer; the least is its negative (-8 for 7).
        feedback: how each rounding error is made up for in the channels that follow.
    """
    return _compensated(weight, steps, top, feedback)


def feedback_of(gram: Array) -> Feedback:
    """The feedback that minimises the error of a layer's output, and not that of its weights.

    This is GPTQ (Frantar et al. 2022, arXiv:2210.17323) in its form without an inverse: with
    ``gram = (I + U) D (I + U).T``, U strictly upper triangular, row k is rounded after
    ``U[:k, k].T @ errors[:k]`` is added (Chee et al. 2023, arXiv:2307.13304, theorem 6).

    Args:
        gram: ``X.T @ X`` of the layer's calibrated inputs.
    """
    import numpy as np

    count = len(gram)
    diagonal = np.diag(gram)
    order = np.argsort(-diagonal, kind="stable")
    curvature = gram[np.ix_(order, order)].astype(np.float64)
    curvature[np.diag_indices(count)] += _DAMPING * (float(diagonal.mean()) or 1.0)
    factor = np.linalg.cholesky(curvature[::-1, ::-1])[::-1, ::-1]
    return Feedback(order, np.triu(factor / np.diag(factor), 1).astype(np.float32))


def pack_nibbles(values: Array) -> Array:
    """Two 4-bit integers in [-8, 7] per byte: the first half of the rows low, the second high.

    An odd number of rows is filled up with a row of zeros.
    """
    import numpy as np

    shifted = (values.astype(np.int16) + 8).astype(np.uint8)
    if len(shifted) % 2:
        shifted = np.concatenate([shifted, np.full_like(shifted[:1], 8)])
    low, high = np.split(shifted, 2)
    return np.asarray(low | (high << 4), np.uint8)


def unpack_nibbles(packed: Array, rows: int) -> Array:
    """The integers that :func:`pack_nibbles` packed."""
    import numpy as np

    both = np.concatenate([packed & 15, packed >> 4])[:rows]
    return (both.astype(np.int16) - 8).astype(np.int8)


def _bottom(top: int) -> int:
    return -8 if top == FOUR_BITS else -top


def _compensated(weight: Array, rows: Array, top: int, feedback: Feedback) -> Array:
    import numpy as np

    order, upper, bottom = feedback.order, feedback.upper, _bottom(top)
    count = len(weight)
    wanted = weight[order].astype(np.float32)
    steps = rows[order]
    values = np.empty_like(wanted)
    errors = np.empty_like(wanted)
    for start in range(0, count, _PANEL):
        stop = min(start + _PANEL, count)
        panel = wanted[start:stop] + upper[:start, start:stop].T @ errors[:start]
        for row in range(start, stop):
            step = steps[row]
            values[row] = np.clip(np.rint(panel[row - start] / step), bottom, top)
            errors[row] = wanted[row] - values[row] * step
            panel[row - start + 1 :] += np.outer(upper[row, row + 1 : stop], errors[row])
    return np.asarray(values[np.argsort(order)])
