"""Inputs where there are no data: made from seeds, in what the model's preprocessing takes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.artifact import Artifact
from workbench.errors import DataError
from workbench.preprocess import read_tokenizer
from workbench.records import BytesPreprocess, ImagePreprocess, Signature, TextPreprocess
from workbench.runtime import open_session, random_feed

if TYPE_CHECKING:
    import numpy as np

LENGTH = 32
"""Size of a dynamic axis other than the batch."""

BOUNDS = (1000, 256, 128, 64, 32, 16, 8, 4, 2)
"""Tried as the bound of integer inputs until the model takes them: its vocabulary is not known."""


def generate(artifact: Artifact, seeds: Sequence[int]) -> list[Any]:
    """One raw input per seed: the same for every artifact with the same inputs.

    Texts are 4 to 47 tokens of the model's own vocabulary; images are smooth noise; file contents
    are 64 to 4,095 printable bytes; arrays follow the signature, with integers below the largest
    bound that the model takes.

    Raises:
        DataError: an input has no batch axis.
        ModelError: no feed can be made for the signature.
    """
    import numpy as np

    match artifact.manifest.preprocess:
        case TextPreprocess() as preprocess:
            tokenizer = read_tokenizer(artifact.path, preprocess)
            size = tokenizer.get_vocab_size()
            return [_text(np.random.default_rng(seed), tokenizer, size) for seed in seeds]
        case ImagePreprocess() as preprocess:
            return [_image(np.random.default_rng(seed), preprocess) for seed in seeds]
        case BytesPreprocess():
            return [_content(np.random.default_rng(seed)) for seed in seeds]
        case None:
            signature = artifact.manifest.signature
            high = _bound(artifact) if artifact.manifest.format == "onnx" else BOUNDS[2]
            return [_arrays(signature, seed, high) for seed in seeds]


def _text(random: np.random.Generator, tokenizer: Any, size: int) -> str:
    ids = random.integers(0, size, int(random.integers(4, 48))).tolist()
    return str(tokenizer.decode(ids, skip_special_tokens=True))


def _image(random: np.random.Generator, preprocess: ImagePreprocess) -> np.ndarray:
    """``uint8`` pixels ``[height, width, channels]``: 8 × 8 random colours, blended."""
    import numpy as np
    from PIL import Image

    depth = len(preprocess.channels)
    height, width = preprocess.size
    least = max(height, width, preprocess.resize or 0)
    colours = random.integers(0, 256, (8, 8, depth), np.uint8)
    image = Image.fromarray(colours if depth > 1 else colours[:, :, 0])
    return np.asarray(image.resize((least, least), Image.Resampling.BICUBIC), np.uint8)


def _content(random: np.random.Generator) -> bytes:
    import numpy as np

    return random.integers(32, 127, int(random.integers(64, 4096)), np.uint8).tobytes()


def _arrays(signature: Signature, seed: int, high: int) -> dict[str, np.ndarray]:
    """Arrays of one sample by input name, without the batch axis."""
    scalar = next((spec.name for spec in signature.inputs if not spec.shape), None)
    if scalar is not None:
        raise DataError(f"Input '{scalar}' has no batch axis: no samples can be made for it.")
    feed = random_feed(signature, _sizes(signature), seed=seed, high=high)
    return {name: array[0] for name, array in feed.items()}


def _sizes(signature: Signature) -> dict[str, int]:
    batch = {str(spec.shape[0]) for spec in signature.inputs if spec.shape}
    return {axis: 1 if axis in batch else LENGTH for axis in signature.axes}


def _bound(artifact: Artifact) -> int:
    """Exclusive bound of random integers."""
    specs = artifact.manifest.signature.inputs
    if not any("int" in spec.dtype and len(spec.shape) > 0 for spec in specs):
        return BOUNDS[0]
    return _accepted(artifact.model_path, artifact.manifest.signature)


@lru_cache(maxsize=16)
def _accepted(path: Path, signature: Signature) -> int:
    session = open_session(path)
    for bound in BOUNDS:
        feed = random_feed(signature, _sizes(signature), high=bound)
        for name, array in feed.items():
            if "int" in str(array.dtype) and "mask" not in name and "token_type" not in name:
                array[...] = bound - 1  # the largest token must be known
        try:
            session.run(None, feed)
        except Exception:  # onnxruntime raises many unrelated types; the next bound is tried
            continue
        return bound
    return BOUNDS[-1]
