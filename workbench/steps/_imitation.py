"""How far a student's outputs are from its teacher's: the losses of distillation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from workbench.errors import StepError
from workbench.records import Manifest

if TYPE_CHECKING:
    import numpy as np

Outputs = Literal["soft", "cosine", "mse", "probabilities"]


def kind_of(outputs: np.ndarray, manifest: Manifest) -> Outputs:
    """The loss that fits a teacher's outputs, float ``[samples, ...]``.

    Unit vectors: cosine. Scores of named classes: soft targets. Values from 0 to 1: probabilities.
    Anything else: mean squared error.
    """
    import numpy as np

    if outputs.ndim == 2 and np.allclose(np.linalg.norm(outputs, axis=1), 1, atol=1e-2):
        return "cosine"
    if outputs.ndim == 2 and manifest.labels and len(manifest.labels) == outputs.shape[1]:
        return "soft"
    if outputs.min() >= 0 and outputs.max() <= 1:
        return "probabilities"
    return "mse"


def output_loss(kind: Outputs, student: Any, teacher: Any, temperature: float) -> Any:
    """The distance of outputs, a torch scalar.

    ``soft``: Kullback-Leibler divergence of the softmax at a temperature, times its square
    (Hinton et al. 2015, arXiv:1503.02531). ``cosine``: 1 - cosine. ``mse``: mean squared error,
    relative to the teacher's mean square. ``probabilities``: binary cross entropy, less what the
    teacher has against itself.

    Raises:
        StepError: the outputs differ in shape.
    """
    from torch.nn import functional

    if student.shape != teacher.shape:
        raise StepError(
            f"The student gives outputs of shape {list(student.shape)}, the teacher "
            f"{list(teacher.shape)}: they cannot be compared.",
            hint="Give a student with the teacher's outputs.",
        )
    if kind == "soft":
        wanted = functional.softmax(teacher / temperature, -1)
        got = functional.log_softmax(student / temperature, -1)
        return functional.kl_div(got, wanted, reduction="batchmean") * temperature**2
    if kind == "cosine":
        cosine = functional.cosine_similarity(student.flatten(1), teacher.flatten(1))
        return (1 - cosine).mean()
    if kind == "probabilities":
        near = teacher.clamp(0, 1)
        got = functional.binary_cross_entropy(student.clamp(1e-6, 1 - 1e-6), near)
        return got - functional.binary_cross_entropy(near.clamp(1e-6, 1 - 1e-6), near)
    return functional.mse_loss(student, teacher) / teacher.square().mean().clamp(min=1e-12)


def hidden_loss(student: list[Any], teacher: list[Any], mask: Any | None) -> Any:
    """Mean squared error of hidden states ``[batch, sequence, width]``, relative to the teacher's.

    Positions that the mask leaves out do not count.

    Raises:
        StepError: the widths differ.
    """
    import torch

    total = torch.zeros(())
    for got, wanted in zip(student, teacher, strict=True):
        if got.shape != wanted.shape:
            raise StepError(
                f"Hidden states of shape {list(got.shape)} cannot be compared with the teacher's "
                f"{list(wanted.shape)}.",
                hint="Set `hidden: 0`: the student's width is another.",
            )
        if mask is not None and got.ndim == 3 and mask.shape == got.shape[:2]:
            got, wanted = got[mask.bool()], wanted[mask.bool()]
        total = total + (got - wanted).square().mean() / wanted.square().mean().clamp(min=1e-12)
    return total / max(1, len(student))
