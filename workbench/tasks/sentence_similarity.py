"""Sentence similarity: do cosines of embeddings rise and fall with what people say?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from workbench.artifact import Artifact
from workbench.datasets import Split
from workbench.errors import DataError
from workbench.records import Quality, Worst
from workbench.tasks import WORST, Task
from workbench.tasks._stats import (
    cosines,
    pair_interval,
    pearson,
    same_nearest,
    spearman,
    unit_rows,
)

if TYPE_CHECKING:
    import numpy as np


class SentenceSimilarity(Task):
    """Correlation of the cosines of sentence embeddings with similarity scores given by people.

    The interval comes from drawing the texts anew (not the pairs, which share texts); the
    difference to the baseline from the same draws.
    """

    name: ClassVar[str] = "sentence-similarity"
    figures: ClassVar[tuple[str, ...]] = (
        *("quality", "cosine_mean", "cosine_min", "nearest_neighbour"),
    )
    data: str = Field("lee", description="A data set with scored pairs, or a path.")
    metric: Literal["pearson", "spearman"] = Field(
        "pearson", description="Spearman is for scores with few ties."
    )

    def require(self, samples: Split) -> None:
        """Pairs with scores are needed, at least three, and not all the same."""
        if samples.pairs is None:
            raise DataError(
                f"The data '{self.data}' have no scored pairs.",
                hint="Give columns text_a, text_b and score, or a data set such as 'lee'.",
            )
        scores = samples.pairs.scores
        if len(scores) < 3 or scores.min() == scores.max():
            raise DataError(
                f"The data '{self.data}' have {len(scores)} pairs with "
                f"{len(set(scores.tolist()))} different scores: too few for a correlation.",
                hint=None if self.limit is None else "Raise the task's limit.",
            )

    def require_model(self, samples: Split, artifact: Artifact) -> None:
        """The model must give one vector per text."""
        outputs = artifact.manifest.signature.outputs
        if outputs and len(outputs[0].shape) != 2:
            raise DataError(
                f"The model's output {outputs[0]} is no embedding [batch, size] of a sentence.",
                hint="Export the model with pooling.",
            )

    def judge(
        self,
        samples: Split,
        outputs: np.ndarray,
        reference: np.ndarray | None,
        labels: Sequence[str] | None,
    ) -> Quality:
        """Correlation with human scores; cosine to the baseline; whose nearest text changed."""
        import numpy as np

        if outputs.ndim != 2:
            raise DataError(f"Outputs of shape {list(outputs.shape)} are no sentence embeddings.")
        pairs = samples.pairs
        if pairs is None:
            raise DataError(f"The data '{self.data}' have no scored pairs.")

        def similarity(embeddings: np.ndarray) -> np.ndarray:
            unit = unit_rows(embeddings)
            return np.asarray((unit[pairs.left] * unit[pairs.right]).sum(1), np.float64)

        score, difference = pair_interval(
            spearman if self.metric == "spearman" else pearson,
            pairs.scores,
            similarity(outputs),
            None if reference is None else similarity(reference),
            pairs.left,
            pairs.right,
        )
        quality = Quality(metric=self.metric, score=score, samples=len(samples))
        if reference is None:
            return quality
        cosine, same = cosines(outputs, reference), same_nearest(outputs, reference)
        return quality.model_copy(
            update={
                "difference": difference,
                "agreement": {
                    "cosine_mean": float(cosine.mean()),
                    "cosine_min": float(cosine.min()),
                    "nearest_neighbour": float(same.mean()),
                },
                "worst": tuple(
                    Worst(
                        sample=samples.name_of(int(i)),
                        value=float(cosine[i]),
                        detail="cosine to the baseline"
                        + ("" if same[i] else "; its nearest text changed"),
                    )
                    for i in np.argsort(cosine, kind="stable")[:WORST]
                ),
            }
        )
