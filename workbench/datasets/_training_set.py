"""What a step learns from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Samples to learn from, as one artifact takes them; none of them is ever evaluated.

    ``feed`` makes the feed of some samples (positions → input name → array, samples along the
    first axis). ``targets`` holds what the model should give for each sample, along the first
    axis, or none where the samples are not labelled; ``loss`` takes the model's first output and
    the targets of a batch as torch tensors and gives a scalar. ``hashes`` are the contents'
    SHA-256, so that a part can be held out that is the same on every machine; ``sizes`` their
    rough sizes (a text's characters), so that batches can hold samples of a size.
    """

    feed: Callable[[Sequence[int]], dict[str, np.ndarray]]
    hashes: Sequence[str]
    digest: str
    sizes: Sequence[int]
    targets: np.ndarray | None = None
    loss: Callable[[Any, Any], Any] | None = None

    def __len__(self) -> int:
        return len(self.hashes)

    def held_out(self, share: float) -> tuple[list[int], list[int]]:
        """Positions to learn from and to validate on; copies of a sample stay together.

        Args:
            share: of the distinct contents to hold out, those with the smallest hashes.
        """
        from workbench.datasets._split import split_by_hash

        validation, training = split_by_hash(self.hashes, share)
        return training, validation
