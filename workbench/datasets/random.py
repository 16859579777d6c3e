"""Random: 256 generated inputs that follow the model's signature; 128 more to calibrate.

They show how far two models are apart, and nothing about how good either is: real data are better.
"""

from __future__ import annotations

from workbench.datasets import Dataset, Split

EVALUATION, CALIBRATION = 256, 128


class Seed(int):
    """An input yet to be made for a model: the number it is made from."""


def load() -> Dataset:
    """Seeds, of which a task makes inputs once it knows the model."""
    seeds = [Seed(n) for n in range(EVALUATION + CALIBRATION)]
    ids = [f"random {n}" for n in range(EVALUATION + CALIBRATION)]
    return Dataset(
        name="random",
        licence="none",
        source="Generated from the model's signature.",
        evaluation=Split(seeds[:EVALUATION], ids=ids[:EVALUATION]),
        calibration=Split(seeds[EVALUATION:], ids=ids[EVALUATION:]),
    )
