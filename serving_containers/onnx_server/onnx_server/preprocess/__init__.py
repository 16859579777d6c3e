"""Raw samples become feeds, as the manifest says; one file per kind of sample.

The results are those of the workbench's own preprocessing, bit for bit: a quality that was
measured there is the quality that is served here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from onnx_server.errors import InvalidModel
from onnx_server.manifest import Manifest
from onnx_server.preprocess.contents import ContentPreprocessor
from onnx_server.preprocess.image import ImagePreprocessor
from onnx_server.preprocess.text import TextPreprocessor

Sample = str | tuple[str, str] | bytes


class Preprocessor(Protocol):
    """Makes one feed of a batch of raw samples; may be called from many threads at a time.

    ``kind`` says what it takes: ``text`` (texts and pairs of texts), ``image`` (PNG or JPEG) or
    ``bytes`` (contents of files).
    """

    kind: str

    def __call__(self, samples: Sequence[Sample]) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
        """Input name → array with the samples along the first axis.

        Raises:
            BadRequest: a sample that is not of the kind, or cannot be read.
        """
        ...


KINDS: dict[str, Callable[[Manifest], Preprocessor]] = {
    "text": TextPreprocessor,
    "image": ImagePreprocessor,
    "bytes": ContentPreprocessor,
}


def make_preprocessor(manifest: Manifest) -> Preprocessor | None:
    """What the manifest asks for; none when the model takes only arrays.

    Raises:
        InvalidModel: an unknown kind, options that are missing or wrong, a tokenizer that cannot
            be read, or a package that is not installed (the message says which extra to install).
    """
    if manifest.preprocess is None:
        return None
    kind = manifest.preprocess.kind
    if kind not in KINDS:
        raise InvalidModel(f"Preprocessing '{kind}' is not known; there is {', '.join(KINDS)}.")
    try:
        return KINDS[kind](manifest)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidModel(
            f"The {kind} preprocessing of the manifest is wrong: {type(error).__name__}: {error}."
        ) from None
