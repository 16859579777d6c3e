"""An inference pipeline: each model's outputs must be what the next one takes (C26)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from workbench.errors import InputError
from workbench.packaging.sources import Source
from workbench.records import TensorSpec

LEAST, MOST = 2, 15
"""Containers of a pipeline, by the hosting contract's clause C26."""
BETWEEN = {"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "application/x-npy"}
"""Environment of all but the last container: the platform hands on the answer's own format, and
.npy is what the next server reads without a name."""


def check_pipeline(sources: Sequence[Source]) -> None:
    """Whether the models fit together in this order.

    Raises:
        InputError: too few or too many, or one does not take what the one before it gives.
    """
    if not LEAST <= len(sources) <= MOST:
        raise InputError(
            f"A pipeline has {LEAST} to {MOST} containers, not {len(sources)}.",
            hint="Add the next stage with --add RUN:VARIANT.",
        )
    for before, after in pairwise(sources):
        given = before.artifact.manifest.signature.outputs
        taken = after.artifact.manifest.signature.inputs
        why = _misfit(given, taken)
        if after.artifact.manifest.preprocess is not None:
            why = f"it reads {after.artifact.manifest.preprocess.kind}, not tensors"
        if why:
            raise InputError(
                f"'{after.name}' cannot follow '{before.name}' in a pipeline: {why}.",
                hint="Stages of a pipeline hand on one tensor, of the same type and shape.",
            )


def _misfit(given: Sequence[TensorSpec], taken: Sequence[TensorSpec]) -> str:
    if len(given) != 1 or len(taken) != 1:
        return f"{len(given)} outputs go to {len(taken)} inputs"
    output, wanted = given[0], taken[0]
    if output.dtype != wanted.dtype:
        return f"{output} goes to {wanted}"
    sizes = zip(output.shape, wanted.shape, strict=False)
    clash = any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in sizes)
    if clash or len(output.shape) != len(wanted.shape):
        return f"{output} goes to {wanted}"
    return ""
