"""Scores of classes: the label's place, the margin, and whose class changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.datasets import Split
from workbench.records import Worst
from workbench.tasks import WORST

if TYPE_CHECKING:
    import numpy as np


def places(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the label, int64 ``[samples]``; of equal scores the first wins.

    Args:
        scores: float ``[samples, classes]``.
        labels: int ``[samples]``.
    """
    import numpy as np

    own = np.take_along_axis(scores, labels[:, None], 1)
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    return np.asarray(((scores > own) | ((scores == own) & earlier)).sum(1))


def margins(scores: np.ndarray) -> np.ndarray:
    """Highest minus second highest score of each sample, float ``[samples]``."""
    import numpy as np

    first_two = np.partition(scores, -2, axis=1)[:, -2:]
    return np.asarray(first_two[:, 1] - first_two[:, 0])


def flipped(
    samples: Split,
    outputs: np.ndarray,
    reference: np.ndarray,
    labels: Sequence[str] | None,
    wanted: np.ndarray | None = None,
) -> tuple[Worst, ...]:
    """The samples whose class changed, those first of which the baseline was surest.

    The value is the baseline's margin.
    """
    import numpy as np

    now, before, sure = outputs.argmax(1), reference.argmax(1), margins(reference)
    changed = np.flatnonzero(now != before)
    changed = changed[np.argsort(-sure[changed], kind="stable")][:WORST]

    def detail(i: int) -> str:
        was, became = name_of(before[i], labels), name_of(now[i], labels)
        if wanted is not None and wanted[i] == before[i]:
            was += " (right)"
        if wanted is not None and wanted[i] == now[i]:
            became += " (right)"
        text = f"{was} became {became}"
        return f"{text}; the value is the baseline's margin"

    return tuple(
        Worst(sample=samples.name_of(int(i)), value=float(sure[i]), detail=detail(int(i)))
        for i in changed
    )


def name_of(index: int, labels: Sequence[str] | None) -> str:
    """A class by its name, or its number."""
    return labels[index] if labels and index < len(labels) else f"class {index}"
