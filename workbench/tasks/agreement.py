"""Agreement: how far from the baseline, where nobody has said what is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from workbench.datasets import Split
from workbench.records import Quality, Worst
from workbench.tasks import WORST, Task
from workbench.tasks._classes import flipped
from workbench.tasks._stats import cosines, same_nearest

if TYPE_CHECKING:
    import numpy as np


class Agreement(Task):
    """Closeness of the outputs to the baseline's, on any inputs or on generated ones.

    There is no score: gate on ``cosine_min``, ``label_agreement`` and the like. Figures are taken
    over the first output of every sample.
    """

    name: ClassVar[str] = "agreement"
    figures: ClassVar[tuple[str, ...]] = (
        *("cosine_mean", "cosine_min", "max_abs", "mean_abs"),
        *("label_agreement", "nearest_neighbour"),
    )
    data: str = Field("random", description="Any data set or path; 'random' generates inputs.")
    classes: bool | None = Field(
        None,
        description="Whether outputs are scores of classes, whose highest can flip; left out: "
        "they are when they are [batch, classes] and not vectors of length 1.",
    )

    def judge(
        self,
        samples: Split,
        outputs: np.ndarray,
        reference: np.ndarray | None,
        labels: Sequence[str] | None,
    ) -> Quality:
        """Output differences, cosines, flipped labels and changed neighbours."""
        import numpy as np

        quality = Quality(metric="agreement", samples=len(samples))
        if reference is None:
            return quality
        gap = np.abs(outputs.astype(np.float64) - reference).reshape(len(outputs), -1)
        agreement = {"max_abs": float(gap.max()), "mean_abs": float(gap.mean())}
        worst: tuple[Worst, ...] = ()
        if gap.shape[1] > 1:
            cosine = cosines(outputs, reference)
            agreement |= {"cosine_mean": float(cosine.mean()), "cosine_min": float(cosine.min())}
            order, value, what = cosine, cosine, "cosine to the baseline"
        else:
            order, value, what = -gap[:, 0], gap[:, 0], "difference to the baseline"
        if self._are_classes(reference, labels):
            agreement["label_agreement"] = float((outputs.argmax(1) == reference.argmax(1)).mean())
            worst = flipped(samples, outputs, reference, labels)
        elif len(outputs) > 2 and gap.shape[1] > 1:
            agreement["nearest_neighbour"] = float(same_nearest(outputs, reference).mean())
        worst += tuple(
            Worst(sample=samples.name_of(int(i)), value=float(value[i]), detail=what)
            for i in np.argsort(order, kind="stable")[: WORST - len(worst)]
        )
        return quality.model_copy(update={"agreement": agreement, "worst": worst})

    def _are_classes(self, reference: np.ndarray, labels: Sequence[str] | None) -> bool:
        import numpy as np

        if reference.ndim != 2 or reference.shape[1] < 2:
            return False
        if self.classes is not None or labels:
            return bool(self.classes if self.classes is not None else labels)
        if np.all(reference >= 0) and np.allclose(reference.sum(1), 1, atol=1e-2):
            return True  # probabilities, however sure
        return not np.allclose(np.linalg.norm(reference, axis=1), 1, atol=1e-2)
