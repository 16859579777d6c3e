"""Classification: is the right class among the first?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from workbench.artifact import Artifact
from workbench.datasets import Label, Split
from workbench.errors import DataError
from workbench.plugins import did_you_mean
from workbench.records import Quality, Worst
from workbench.tasks import WORST, Task
from workbench.tasks._classes import flipped, margins, name_of, places
from workbench.tasks._stats import cosines, mcnemar_p, paired_share_difference, wilson

if TYPE_CHECKING:
    import numpy as np


class Classification(Task):
    """Accuracy: the share of samples whose label is the highest score, or among the five highest.

    The first output holds one score per class, ``[batch, classes]``. Labels are class indices, or
    class names; names are matched with the model's own, or numbered in alphabetical order.
    """

    name: ClassVar[str] = "classification"
    figures: ClassVar[tuple[str, ...]] = (
        *("quality", "cosine_mean", "cosine_min", "label_agreement"),
    )
    data: str = Field(description="A data set with labels, or a path.")
    top: Literal[1, 5] = Field(1, description="Among how many first classes the label must be.")

    def require(self, samples: Split) -> None:
        """Every sample needs a label."""
        if samples.labels is None:
            raise DataError(
                f"The data '{self.data}' have no labels.",
                hint="Add a column 'label' (in .npz: y), or use the task 'agreement'.",
            )

    def require_model(self, samples: Split, artifact: Artifact) -> None:
        """The model must give a score for every class that occurs."""
        outputs = artifact.manifest.signature.outputs
        classes = outputs[0].shape[-1] if outputs and outputs[0].shape else None
        if outputs and (len(outputs[0].shape) != 2 or classes == 1):
            raise DataError(
                f"The model's output {outputs[0]} is not one score per class, [batch, classes]."
            )
        known = classes if isinstance(classes, int) else None
        self._indices(samples, artifact.manifest.labels, known)

    def targets(self, samples: Split, labels: Sequence[str] | None) -> np.ndarray | None:
        """Class indices, int64 ``[samples]``; none where the samples have no labels."""
        return None if samples.labels is None else self._indices(samples, labels, None)

    def loss(self, output: Any, targets: Any) -> Any:
        """Cross entropy of logits, float ``[batch, classes]``, with class indices ``[batch]``."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(output, targets)

    def judge(
        self,
        samples: Split,
        outputs: np.ndarray,
        reference: np.ndarray | None,
        labels: Sequence[str] | None,
    ) -> Quality:
        """Accuracy and its paired difference; whose label flipped against the baseline's."""
        import numpy as np

        if outputs.ndim != 2 or outputs.shape[1] < 2:
            raise DataError(f"Outputs of shape {list(outputs.shape)} are no scores per class.")
        wanted = self._indices(samples, labels, outputs.shape[1])
        right = places(outputs, wanted) < self.top
        quality = Quality(
            metric="accuracy" if self.top == 1 else f"top-{self.top} accuracy",
            score=wilson(int(right.sum()), len(right)),
            samples=len(right),
        )
        chosen = outputs.argmax(1)
        if reference is None:
            wrong = np.flatnonzero(~right)
            sure = margins(outputs)
            worst = wrong[np.argsort(-sure[wrong], kind="stable")][:WORST]
            return quality.model_copy(
                update={
                    "worst": tuple(
                        Worst(
                            sample=samples.name_of(int(i)),
                            value=float(sure[i]),
                            detail=f"{name_of(chosen[i], labels)} instead of "
                            f"{name_of(wanted[i], labels)}, by this margin",
                        )
                        for i in worst
                    )
                }
            )
        before = places(reference, wanted) < self.top
        gained, lost = int((right & ~before).sum()), int((before & ~right).sum())
        cosine = cosines(outputs, reference)
        return quality.model_copy(
            update={
                "difference": paired_share_difference(gained, lost, len(right)),
                "agreement": {
                    "label_agreement": float((chosen == reference.argmax(1)).mean()),
                    "mcnemar_p": mcnemar_p(gained, lost),
                    "cosine_mean": float(cosine.mean()),
                    "cosine_min": float(cosine.min()),
                },
                "worst": flipped(samples, outputs, reference, labels, wanted),
            }
        )

    def _indices(
        self, samples: Split, names: Sequence[str] | None, classes: int | None
    ) -> np.ndarray:
        """Class index of each sample, int64 ``[samples]``.

        Raises:
            DataError: a label names no class of the model.
        """
        import numpy as np

        labels: Sequence[Label] = samples.labels or ()
        if all(isinstance(label, int) for label in labels):
            indices = np.array(labels, np.int64)
        else:
            order = list(names) if names else sorted({str(label) for label in labels})
            place = {name: index for index, name in enumerate(order)}
            unknown = next((str(label) for label in labels if str(label) not in place), None)
            if unknown is not None:
                raise DataError(
                    f"The data's label '{unknown}' is no class of the model.",
                    hint=did_you_mean(unknown, order) if len(order) < 50 else None,
                )
            indices = np.array([place[str(label)] for label in labels], np.int64)
        if classes is not None and indices.max() >= classes:
            raise DataError(
                f"The data have a label {indices.max()}, but the model scores {classes} classes."
            )
        return indices
