"""How the input of a layer becomes 8-bit: smoothing and zero point, chosen on calibration data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.steps._observe import Observed
from workbench.steps._rounding import round_weight

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

STRENGTHS = (0.5, 0.6, 0.7, 0.8, 0.9)
ONE_SIDED_ZEROS = (0, 8, 16, 32)
SYMMETRIC_ZERO = 128
TINY = 1e-12
ONE_SIDED = 0.35
"""Inputs whose calibrated minimum is below this share of their maximum may be one-sided."""
WORTH_A_PASS = 0.95
"""Smoothing costs a pass over the input: it must take this share off the error, or it is left."""


@dataclass(frozen=True)
class Recipe:
    """How the input of one group of layers is quantized per row.

    The row's scale is its largest magnitude over 127 around a zero point of 128; or, for inputs
    that are positive in the main (behind ReLU and GELU), its largest value over ``255 - zero``, but
    never less than lets the ``zero`` steps below zero reach the calibrated minimum.
    """

    zero: int = SYMMETRIC_ZERO
    floor: float = TINY
    strength: float | None = None
    smooth: Array | None = None

    @property
    def symmetric(self) -> bool:
        """Whether both signs have the same range."""
        return self.zero == SYMMETRIC_ZERO

    @property
    def steps(self) -> int:
        """Quantization steps between zero and the row's maximum."""
        return 127 if self.symmetric else 255 - self.zero


def smoothing(amax: Array, weight: Array, strength: float) -> Array:
    """Per-channel divisors of the input that move its outliers into the weight.

    ``amax_x ** strength / amax_w ** (1 - strength)`` with a geometric mean of 1 (SmoothQuant: Xiao
    et al. 2022, arXiv:2211.10438).
    """
    import numpy as np

    inputs = np.maximum(amax, 1e-5)
    weights = np.maximum(np.abs(weight).max(axis=1), 1e-5)
    scales = inputs**strength / weights ** (1 - strength)
    return np.asarray(scales / np.exp(np.log(scales).mean()), np.float32)


def simulate(rows: Array, recipe: Recipe) -> Array:
    """The smoothed rows as the quantized product sees them."""
    import numpy as np

    values = rows / recipe.smooth if recipe.smooth is not None else rows
    peak = (np.abs(values) if recipe.symmetric else values).max(axis=1, keepdims=True)
    step = np.maximum(peak, recipe.floor) / recipe.steps
    integers = np.clip(np.rint(values / step) + recipe.zero, 0, 255)
    return np.asarray((integers - recipe.zero) * step, np.float32)


def choose(
    observed: Sequence[Observed],
    weights: Sequence[Array],
    *,
    top: int,
    smooth: bool,
    weight_share: float,
) -> Recipe:
    """The recipe with the smallest error of the layers' output on the observed rows.

    Args:
        observed: the inputs of the group.
        weights: the group's weights, all with the same input channels.
        top: largest integer of the weights.
        smooth: whether smoothing may be used.
        weight_share: how much of the weights' rounding error counts: rounding that is compensated
            leaves less of it than the nearest rounding that is simulated here.
    """
    import numpy as np

    rows = np.concatenate([o.sample for o in observed])
    amax = np.max([o.amax for o in observed], axis=0)
    low = min(float(o.low.min()) for o in observed)
    high = max(float(o.high.max()) for o in observed)
    weight = np.concatenate(weights, axis=1)
    exact = rows @ weight

    def error(recipe: Recipe) -> float:
        scaled = weight * recipe.smooth[:, None] if recipe.smooth is not None else weight
        smoothed = rows / recipe.smooth if recipe.smooth is not None else rows
        from_input = simulate(rows, recipe) @ scaled - exact
        from_weight = smoothed @ round_weight(scaled, top=top).restore() - exact
        return float(np.square(from_input).mean() + weight_share * np.square(from_weight).mean())

    def candidates() -> Iterator[Recipe]:
        yield Recipe()
        if high > 0 and -low < ONE_SIDED * high:
            for zero in ONE_SIDED_ZEROS:
                yield Recipe(zero, max(-low * (255 - zero) / zero, TINY) if zero else TINY)

    best, least = min(((r, error(r)) for r in candidates()), key=lambda pair: pair[1])
    if not smooth:
        return best
    for strength in STRENGTHS:
        recipe = Recipe(
            0 if low >= 0 else SYMMETRIC_ZERO, TINY, strength, smoothing(amax, weight, strength)
        )
        found = error(recipe)
        if found < least * (WORTH_A_PASS if best.smooth is None else 1.0):
            best, least = recipe, found
    return best
