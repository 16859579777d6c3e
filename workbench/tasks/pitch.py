"""Pitch: is the fundamental frequency found, within half a semitone?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from workbench.artifact import Artifact
from workbench.datasets import Split
from workbench.errors import DataError
from workbench.records import Quality, Worst
from workbench.tasks import WORST, Task
from workbench.tasks._stats import cosines, mcnemar_p, paired_share_difference, wilson

if TYPE_CHECKING:
    import numpy as np

BINS, CENTS_PER_BIN = 360, 20.0
FIRST_BIN = 1997.3794084376191
"""Cents of bin 0, as CREPE's authors wrote it in their code (core.py, ``to_local_average_cents``):
31.70 Hz, half a semitone below C1."""

AROUND = 4
"""Bins on either side of the highest that the pitch is averaged over (likewise)."""

BLUR_CENTS = 25.0
"""Standard deviation of the targets: Kim et al. 2018, arXiv:1802.06182, equation 3."""


def to_cents(bins: np.ndarray) -> np.ndarray:
    """The pitch that CREPE's outputs mean, in cents above 10 Hz, float64 ``[samples]``.

    The mean of the bins' cents within four bins of the highest, weighted by the outputs
    (equation 2 of the paper, over the neighbours only, as its authors' code does).

    Args:
        bins: outputs from 0 to 1, float ``[samples, 360]``. All 0: bin 0.
    """
    import numpy as np

    highest = bins.argmax(1)
    near = highest[:, None] + np.arange(-AROUND, AROUND + 1)
    inside = (near >= 0) & (near < BINS)
    weights = np.take_along_axis(bins, near.clip(0, BINS - 1), 1).astype(np.float64) * inside
    total = weights.sum(1)
    offset = ((near - highest[:, None]) * weights).sum(1) / np.where(total > 0, total, 1.0)
    return np.asarray(FIRST_BIN + CENTS_PER_BIN * (highest + offset))


def to_bins(cents: np.ndarray) -> np.ndarray:
    """The outputs to learn for pitches in cents ``[samples]``, float32 ``[samples, 360]``.

    A bell of standard deviation 25 cents around the pitch, 1 at its top (equation 3).
    """
    import numpy as np

    centres = FIRST_BIN + CENTS_PER_BIN * np.arange(BINS)
    distance = centres - np.asarray(cents, np.float64)[:, None]
    return np.exp(-0.5 * (distance / BLUR_CENTS) ** 2).astype(np.float32)


class Pitch(Task):
    """Raw pitch accuracy (RPA50): the share of frames whose pitch is found within 50 cents.

    The first output holds CREPE's 360 pitch bins, ``[batch, 360]``, each from 0 to 1, 20 cents
    apart. Labels are whole cents above 10 Hz: 1200 · log2(f / 10 Hz). ``label_agreement`` is the
    share of frames whose pitch is that near the baseline's.
    """

    name: ClassVar[str] = "pitch"
    figures: ClassVar[tuple[str, ...]] = (
        *("quality", "cosine_mean", "cosine_min", "label_agreement"),
    )
    data: str = Field("tones", description="A data set of frames with cents as labels, or a path.")
    tolerance_cents: float = Field(
        50.0, gt=0, description="How far from the label still counts as found."
    )

    def require(self, samples: Split) -> None:
        """Every sample needs a label within the bins."""
        if samples.labels is None:
            raise DataError(
                f"The data '{self.data}' have no labels.",
                hint="Give the pitch in whole cents above 10 Hz (in .npz: y).",
            )
        self._cents(samples)

    def require_model(self, samples: Split, artifact: Artifact) -> None:
        """The model must give CREPE's bins."""
        outputs = artifact.manifest.signature.outputs
        if outputs and (len(outputs[0].shape) != 2 or outputs[0].shape[1] != BINS):
            raise DataError(
                f"The model's output {outputs[0]} is not one score per pitch bin, [batch, {BINS}]."
            )

    def targets(self, samples: Split, labels: Sequence[str] | None) -> np.ndarray | None:
        """A bell around each label's bin, float32 ``[samples, 360]``; none without labels."""
        return None if samples.labels is None else to_bins(self._cents(samples))

    def loss(self, output: Any, targets: Any) -> Any:
        """Binary cross entropy of bins ``[batch, 360]`` (equation 4 of the paper)."""
        from torch.nn.functional import binary_cross_entropy

        return binary_cross_entropy(output.clamp(1e-6, 1 - 1e-6), targets)

    def judge(
        self,
        samples: Split,
        outputs: np.ndarray,
        reference: np.ndarray | None,
        labels: Sequence[str] | None,
    ) -> Quality:
        """Raw pitch accuracy and its paired difference; the pitches that are furthest off."""
        import numpy as np

        if outputs.ndim != 2 or outputs.shape[1] != BINS:
            raise DataError(f"Outputs of shape {list(outputs.shape)} are not {BINS} pitch bins.")
        wanted, found = self._cents(samples), to_cents(outputs)
        off = np.abs(found - wanted)
        right = off <= self.tolerance_cents
        quality = Quality(
            metric=f"RPA{self.tolerance_cents:g}",
            score=wilson(int(right.sum()), len(right)),
            samples=len(right),
        )
        if reference is None:
            worst = np.argsort(-off, kind="stable")[:WORST]
            return quality.model_copy(
                update={"worst": _named(samples, worst, off, "cents off the label")}
            )
        theirs = to_cents(reference)
        before = np.abs(theirs - wanted) <= self.tolerance_cents
        gained, lost = int((right & ~before).sum()), int((before & ~right).sum())
        apart, cosine = np.abs(found - theirs), cosines(outputs, reference)
        worst = np.argsort(-np.where(before, off, 0), kind="stable")[:WORST]
        return quality.model_copy(
            update={
                "difference": paired_share_difference(gained, lost, len(right)),
                "agreement": {
                    "label_agreement": float((apart <= self.tolerance_cents).mean()),
                    "mcnemar_p": mcnemar_p(gained, lost),
                    "cosine_mean": float(cosine.mean()),
                    "cosine_min": float(cosine.min()),
                },
                "worst": _named(
                    samples,
                    worst[before[worst] & ~right[worst]],
                    off,
                    "cents off the label, which the baseline found",
                ),
            }
        )

    def _cents(self, samples: Split) -> np.ndarray:
        """The labels, float64 ``[samples]``.

        Raises:
            DataError: one is no number, or outside CREPE's bins.
        """
        import numpy as np

        last = FIRST_BIN + CENTS_PER_BIN * (BINS - 1)
        for position, label in enumerate(samples.labels or ()):
            if not isinstance(label, int) or not FIRST_BIN <= label <= last:
                raise DataError(
                    f"{samples.name_of(position)} has the label {label!r}: a pitch is wanted, in "
                    f"whole cents above 10 Hz, from {FIRST_BIN:.0f} to {last:.0f}.",
                    hint="1200 · log2(f / 10 Hz): 440 Hz are 6551.",
                )
        return np.array(samples.labels, np.float64)


def _named(samples: Split, places: np.ndarray, off: np.ndarray, detail: str) -> tuple[Worst, ...]:
    return tuple(
        Worst(sample=samples.name_of(int(i)), value=float(off[i]), detail=detail) for i in places
    )
