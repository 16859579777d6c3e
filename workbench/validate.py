"""Is what a step made a model that works, and how far is it from its parent?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import ModelError, StepError
from workbench.onnx_file import read_onnx
from workbench.records import Parity, Signature
from workbench.runtime import open_session, runtime_reason, signature_of

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime

    Feed = dict[str, np.ndarray]


def validate(
    child: Path, parent: Path | None, feeds: Sequence[Feed], *, tolerance: float | None
) -> Parity | None:
    """Check an ONNX file as a user would meet it: it is valid, loads, runs, keeps its signature.

    Args:
        child: the file that a step made.
        parent: the file it was made from; none when that was no ONNX file.
        feeds: real inputs.
        tolerance: largest absolute output difference that the step promises; none: no promise.

    Returns:
        The distance to the parent, or none without one.

    Raises:
        StepError: the file is invalid, fails on a real input, changed the signature, gives NaN, or
            breaks the step's promise.
    """
    try:
        read_onnx(child)
        session = open_session(child)
    except ModelError as error:
        raise StepError(f"The step made a file that cannot be used: {error.message}") from error
    if parent is None:
        for feed in feeds:
            _outputs(session, feed)
        return None
    original = open_session(parent)
    _same_signature(signature_of(session), signature_of(original))
    return _compare(session, original, feeds, tolerance)


def _same_signature(child: Signature, parent: Signature) -> None:
    """Names and dtypes must be the same, and no dynamic axis of an input may have become fixed."""

    def named(signature: Signature) -> list[tuple[str, str]]:
        return [(s.name, s.dtype) for s in (*signature.inputs, *signature.outputs)]

    if named(child) != named(parent):
        raise StepError(
            f"The step changed the model's signature from {named(parent)} to {named(child)}."
        )
    for own, given in zip(child.inputs, parent.inputs, strict=True):
        fixed = [
            before
            for now, before in zip(own.shape, given.shape, strict=False)
            if isinstance(before, str) and isinstance(now, int)
        ]
        if fixed or len(own.shape) != len(given.shape):
            raise StepError(f"The step changed the input {given} to {own}.")


def _compare(
    session: onnxruntime.InferenceSession,
    original: onnxruntime.InferenceSession,
    feeds: Sequence[Feed],
    tolerance: float | None,
) -> Parity | None:
    """The largest difference over all outputs, and the smallest cosine of any sample of one."""
    import numpy as np

    worst, cosine, samples = 0.0, 1.0, 0
    for feed in feeds:
        pairs = zip(_outputs(session, feed), _outputs(original, feed), strict=True)
        for got, wanted in pairs:
            if got.shape != wanted.shape:
                raise StepError(f"The step's model gives {got.shape}, its parent {wanted.shape}.")
            worst = max(worst, float(np.abs(got - wanted).max()))
            a, b = got.reshape(len(got), -1), wanted.reshape(len(wanted), -1)
            norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
            cosine = min(cosine, float(((a * b).sum(1) / np.maximum(norms, 1e-12)).min()))
        samples += len(next(iter(feed.values())))
    if samples == 0:
        return None
    within = None if tolerance is None else worst <= tolerance
    if within is False:
        raise StepError(
            f"The step's result differs from its parent by {worst:.2e}, over its own "
            f"tolerance {tolerance:.2e}."
        )
    return Parity(
        max_abs=worst, cosine_min=cosine, samples=samples, tolerance=tolerance, within=within
    )


def _outputs(session: onnxruntime.InferenceSession, feed: Feed) -> list[np.ndarray]:
    """All numeric outputs as float64, each with at least one axis."""
    import numpy as np

    names = {node.name for node in session.get_inputs()}
    try:
        outputs = session.run(None, {name: v for name, v in feed.items() if name in names})
    except Exception as error:  # onnxruntime raises many unrelated types
        raise StepError(f"The model fails on a real input: {runtime_reason(error)}") from error
    arrays = [np.atleast_1d(output) for output in outputs if isinstance(output, np.ndarray)]
    values = [np.asarray(a, dtype=np.float64) for a in arrays if a.dtype.kind in "fiub"]
    if not all(np.isfinite(value).all() for value in values):
        raise StepError(
            "The model gives NaN or infinity on a real input.",
            hint="A value overflows the smaller type: exclude its nodes.",
        )
    return values
