"""Turning float weights into integers: scales, rounding to nearest or compensated, packing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

Rounding = Literal["compensated", "nearest"]
COMPENSATED_ROWS = 4096
"""Weights with more input channels are rounded to nearest: the inverse would take minutes."""

_DAMPING = 0.01
_PANEL = 64


@dataclass(frozen=True)
class Rounded:
    """Integers (as float-free int8) and scales; ``values * scales`` is the weight again.

    ``scales`` has one row per block of input channels: shape (blocks, outputs).
    """

    values: Array
    scales: Array

    @property
    def block(self) -> int:
        """Input channels that share a scale."""
        return -(-len(self.values) // len(self.scales))

    def restore(self) -> Array:
        """The weight that the integers stand for."""
        import numpy as np

        rows = np.repeat(self.scales, self.block, axis=0)[: len(self.values)]
        return np.asarray(self.values * rows, np.float32)


def scales_of(weight: Array, top: int, block: int | None, *, per_channel: bool = True) -> Array:
    """Scales such that the largest weight of each group becomes ``top``: (blocks, outputs)."""
    import numpy as np

    size = block or len(weight)
    starts = range(0, len(weight), size)
    largest = np.stack([np.abs(weight[start : start + size]).max(axis=0) for start in starts])
    if not per_channel:
        largest = np.full_like(largest, largest.max())
    scales = largest / top
    scales[scales < np.finfo(np.float32).tiny] = 1.0
    return scales.astype(np.float32)


def round_weight(
    weight: Array,
    *,
    top: int,
    block: int | None = None,
    per_channel: bool = True,
    gram: Array | None = None,
) -> Rounded:
    """Round a weight of shape (inputs, outputs) to integers in ``[-top, top]``.

    Args:
        weight: float32; outputs are the last axis.
        top: largest integer, 127 for 8 bits and 7 for 4.
        block: input channels that share a scale; none: all of them.
        per_channel: a scale per output channel; else one for all.
        gram: ``X.T @ X`` of the layer's calibrated inputs. With it each rounding error is made up
            for in the channels that follow (GPTQ: Frantar et al. 2022, arXiv:2210.17323), which
            minimises the error of the layer's output and not that of its weights.
    """
    import numpy as np

    scales = scales_of(weight, top, block, per_channel=per_channel)
    rows = np.repeat(scales, block or len(weight), axis=0)[: len(weight)]
    if gram is None or len(weight) > COMPENSATED_ROWS:
        values = np.clip(np.rint(weight / rows), -top, top)
    else:
        values = _compensated(weight, rows, top, gram)
    return Rounded(values.astype(np.int8), scales)


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


def _compensated(weight: Array, rows: Array, top: int, gram: Array) -> Array:
    import numpy as np

    count = len(weight)
    diagonal = np.diag(gram)
    order = np.argsort(-diagonal, kind="stable")  # the channels that matter most come first
    curvature = gram[np.ix_(order, order)].astype(np.float64)
    mean = float(diagonal.mean()) or 1.0
    curvature[np.diag_indices(count)] += _DAMPING * mean
    upper = np.linalg.cholesky(np.linalg.inv(curvature)).T.astype(np.float32)
    left = weight[order].astype(np.float32)
    steps = rows[order]
    values = np.empty_like(left)
    for start in range(0, count, _PANEL):
        stop = min(start + _PANEL, count)
        panel = left[start:stop]
        errors = np.empty_like(panel)
        inner = upper[start:stop, start:stop]
        for row in range(stop - start):
            step = steps[start + row]
            rounded = np.clip(np.rint(panel[row] / step), -top, top)
            values[start + row] = rounded
            errors[row] = (panel[row] - rounded * step) / inner[row, row]
            panel[row + 1 :] -= np.outer(inner[row, row + 1 :], errors[row])
        left[stop:] -= upper[start:stop, stop:].T @ errors
    return np.asarray(values[np.argsort(order)])
