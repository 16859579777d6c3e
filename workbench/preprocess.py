"""Raw samples become feeds: what a model's manifest says about its inputs, carried out.

A sample is a text, the path of a file, the content of a file, an image as ``uint8`` pixels, an
array, or a dict of arrays by input name; which of them fit is decided by ``manifest.preprocess``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.artifact import Artifact
from workbench.errors import DataError, ModelError
from workbench.records import (
    BytesPreprocess,
    ImagePreprocess,
    Signature,
    TensorSpec,
    TextPreprocess,
)

if TYPE_CHECKING:
    import numpy as np
    import tokenizers

    Feed = dict[str, np.ndarray]

TEXT_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def make_feed(artifact: Artifact, inputs: Sequence[Any]) -> Feed:
    """One feed for a batch of raw samples, following the artifact's preprocessing and signature.

    - text: ``str`` or the path of a UTF-8 file → token ids, padded to the longest of the batch
      (to the model's length where that is fixed).
    - image: path, encoded bytes or ``uint8`` pixels ``[height, width(, channels)]`` → float NCHW.
    - bytes: path, ``bytes`` or ``str`` → token ids of the first and last bytes.
    - no preprocessing: arrays, which are stacked, or a dict of arrays by input name per sample.

    Returns:
        Input name → array with the samples along the first axis, in the signature's dtypes.

    Raises:
        DataError: the samples cannot be read or do not fit the signature; the message names the
            input, what the model expects and what the data give.
    """
    if not inputs:
        raise DataError("There is no sample to make an input of.")
    preprocess, signature = artifact.manifest.preprocess, artifact.manifest.signature
    match preprocess:
        case TextPreprocess():
            feed = _text_feed(artifact.path, preprocess, signature, inputs)
        case ImagePreprocess():
            feed = {_only_input(signature, "images").name: _image_batch(preprocess, inputs)}
        case BytesPreprocess():
            feed = {_only_input(signature, "file contents").name: _byte_batch(preprocess, inputs)}
        case None:
            feed = _array_feed(signature, inputs)
    return _fit(feed, signature)


def batches(inputs: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Consecutive parts of at most ``size`` samples."""
    for start in range(0, len(inputs), size):
        yield inputs[start : start + size]


# --- text --------------------------------------------------------------------------------------


def _text_feed(
    folder: Path, preprocess: TextPreprocess, signature: Signature, inputs: Sequence[Any]
) -> Feed:
    import numpy as np

    unknown = [spec.name for spec in signature.inputs if spec.name not in TEXT_INPUTS]
    if unknown:
        raise DataError(
            f"Input '{unknown[0]}' cannot be made from text.",
            hint=f"A tokenizer makes {', '.join(TEXT_INPUTS)}.",
        )
    fixed = next((s.shape[1] for s in signature.inputs if len(s.shape) == 2), None)
    length = fixed if isinstance(fixed, int) else None
    tokenizer = read_tokenizer(folder, preprocess, length)
    encoded = tokenizer.encode_batch([_text(item) for item in inputs])
    rows = {
        "input_ids": [item.ids for item in encoded],
        "attention_mask": [item.attention_mask for item in encoded],
        "token_type_ids": [item.type_ids for item in encoded],
    }
    return {spec.name: np.asarray(rows[spec.name], spec.dtype) for spec in signature.inputs}


@lru_cache(maxsize=16)
def _tokenizer(path: Path, preprocess: TextPreprocess, length: int | None) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer

    if not path.is_file():
        raise ModelError(f"The model has no tokenizer: {path} is missing.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception
        raise ModelError(f"{path} cannot be read as a tokenizer: {error}.") from error
    kept = tokenizer.padding or {}
    tokenizer.enable_truncation(min(preprocess.max_length, length or preprocess.max_length))
    tokenizer.enable_padding(
        direction=kept.get("direction", "right"),
        pad_id=preprocess.pad_id,
        pad_type_id=kept.get("pad_type_id", 0),
        pad_token=preprocess.pad_token,
        length=length,
    )
    return tokenizer


def read_tokenizer(
    folder: Path, preprocess: TextPreprocess, length: int | None = None
) -> tokenizers.Tokenizer:
    """The tokenizer of an artifact's folder, set to truncate and to pad; kept for the next call.

    Args:
        folder: where ``preprocess.tokenizer`` lies.
        preprocess: says how long a text may be, and what pads it.
        length: tokens to pad to; none: to the longest of the batch.

    Raises:
        ModelError: there is no tokenizer, or it cannot be read.
    """
    return _tokenizer(folder / preprocess.tokenizer, preprocess, length)


def vocabulary_of(artifact: Artifact) -> int | None:
    """Size of the tokenizer's vocabulary, so that random token ids reach all of the embedding.

    None where the model takes no texts.
    """
    preprocess = artifact.manifest.preprocess
    if preprocess is None or preprocess.kind != "text":
        return None
    return int(read_tokenizer(artifact.path, preprocess).get_vocab_size())


def _text(item: Any) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, Path):
        try:
            return item.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{item} cannot be read as UTF-8 text: {error}.") from error
    raise DataError(f"The model reads texts, but the data give {_describe(item)}.")


# --- images ------------------------------------------------------------------------------------


def _image_batch(preprocess: ImagePreprocess, inputs: Sequence[Any]) -> np.ndarray:
    import numpy as np

    pixels = np.stack([_pixels(item, preprocess) for item in inputs]).astype(np.float32)
    mean, std = (np.asarray(v, np.float32) for v in (preprocess.mean, preprocess.std))
    return np.ascontiguousarray(((pixels - mean) / std).transpose(0, 3, 1, 2))


def _pixels(item: Any, preprocess: ImagePreprocess) -> np.ndarray:
    """``uint8`` pixels ``[height, width, channels]`` of the crop."""
    import numpy as np

    depth = len(preprocess.channels)
    if isinstance(item, np.ndarray):
        item = _checked_pixels(item)
        at_size = item.shape[:2] == preprocess.size and preprocess.resize is None
        if at_size and item.reshape(*item.shape[:2], -1).shape[2] == depth:
            return np.asarray(item.reshape(*preprocess.size, depth))
    image = _opened(item).convert(preprocess.channels)
    if preprocess.resize is not None:
        image = _resized(image, preprocess.resize, preprocess.resample)
    height, width = preprocess.size
    if image.height < height or image.width < width:
        raise DataError(
            f"An image of {image.height} × {image.width} pixels is smaller than the model's "
            f"{height} × {width}.",
            hint="Give larger images, or state `resize` in the model's preprocess.",
        )
    top, left = round((image.height - height) / 2), round((image.width - width) / 2)
    image = image.crop((left, top, left + width, top + height))
    return np.asarray(image, np.uint8).reshape(height, width, depth)


def _checked_pixels(array: np.ndarray) -> np.ndarray:
    import numpy as np

    if (
        array.dtype != np.uint8
        or array.ndim not in (2, 3)
        or array.shape[2:] not in (*((), (1,), (3,), (4,)),)
    ):
        raise DataError(
            f"The model reads images, but the data give {_describe(array)}.",
            hint="Give pixels as uint8 [height, width] or [height, width, channels].",
        )
    return array[:, :, 0] if array.shape[2:] == (1,) else array


def _opened(item: Any) -> Any:
    import numpy as np
    from PIL import Image

    if isinstance(item, np.ndarray):
        return Image.fromarray(item)
    if isinstance(item, bytes):
        source, name = BytesIO(item), "An image"
    elif isinstance(item, str | Path):
        source, name = item, str(item)  # type: ignore[assignment]
    else:
        raise DataError(f"The model reads images, but the data give {_describe(item)}.")
    try:
        image = Image.open(source)
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{name} cannot be read as an image: {error}.") from error
    return image


def _resized(image: Any, shorter: int, resample: str) -> Any:
    """Shorter side to ``shorter``, with antialiasing: torchvision's ``Resize(int)``."""
    from PIL import Image

    scale = shorter / min(image.size)
    size = tuple(shorter if s == min(image.size) else int(s * scale) for s in image.size)
    return image.resize(size, Image.Resampling[resample.upper()])


# --- file contents -----------------------------------------------------------------------------


def _byte_batch(preprocess: BytesPreprocess, inputs: Sequence[Any]) -> np.ndarray:
    import numpy as np

    tokens = np.full((len(inputs), preprocess.begin + preprocess.end), preprocess.padding, np.int32)
    for row, item in zip(tokens, inputs, strict=True):
        first, last = _blocks(item, preprocess.block)
        begin, end = first.lstrip()[: preprocess.begin], last.rstrip()[-preprocess.end :]
        row[: len(begin)] = np.frombuffer(begin, np.uint8)
        row[len(row) - len(end) :] = np.frombuffer(end, np.uint8)
    return tokens


def _blocks(item: Any, block: int) -> tuple[bytes, bytes]:
    """The first and the last ``block`` bytes of a content (the same bytes when it is short)."""
    if isinstance(item, Path):
        try:
            with item.open("rb") as file:
                first = file.read(block)
                file.seek(max(0, item.stat().st_size - block))
                return first, file.read(block)
        except OSError as error:
            raise DataError(f"{item} cannot be read: {error.strerror or error}.") from error
    if isinstance(item, str):
        item = item.encode()
    if not isinstance(item, bytes):
        raise DataError(f"The model reads file contents, but the data give {_describe(item)}.")
    return item[:block], item[-block:]


# --- arrays ------------------------------------------------------------------------------------


def _array_feed(signature: Signature, inputs: Sequence[Any]) -> Feed:
    import numpy as np

    if isinstance(inputs[0], dict):
        names = [spec.name for spec in signature.inputs]
        missing = [n for n in names if any(n not in item for item in inputs)]
        if missing:
            raise DataError(
                f"Input '{missing[0]}' is missing from the data.",
                hint=f"The model wants {', '.join(names)}; the data give {', '.join(inputs[0])}.",
            )
        return {spec.name: _stacked(spec, [item[spec.name] for item in inputs])
                for spec in signature.inputs}  # fmt: skip
    spec = _only_input(signature, "arrays")
    wrong = next((item for item in inputs if not isinstance(item, np.ndarray | np.generic)), None)
    if wrong is not None:
        raise DataError(
            f"Input '{spec.name}' wants arrays, but the data give {_describe(wrong)}.",
            hint="The model states no preprocessing that would turn them into arrays.",
        )
    return {spec.name: _stacked(spec, inputs)}


def _stacked(spec: TensorSpec, rows: Sequence[Any]) -> np.ndarray:
    import numpy as np

    arrays = [np.asarray(row) for row in rows]
    if len({array.shape for array in arrays}) > 1:
        first, other = arrays[0], next(a for a in arrays if a.shape != arrays[0].shape)
        raise DataError(
            f"Input '{spec.name}': samples of one batch differ in shape: "
            f"{list(first.shape)} and {list(other.shape)}.",
            hint="Pad them to one shape, or set the task's batch to 1.",
        )
    return np.stack(arrays)


def _only_input(signature: Signature, what: str) -> TensorSpec:
    if len(signature.inputs) != 1:
        names = ", ".join(spec.name for spec in signature.inputs)
        raise DataError(f"The data give {what} for one input, but the model wants {names}.")
    return signature.inputs[0]


# --- does it fit? ------------------------------------------------------------------------------


def _fit(feed: Feed, signature: Signature) -> Feed:
    """The feed in the signature's dtypes, when every shape fits."""
    sizes: dict[str, int] = {}
    fitted: Feed = {}
    for spec in signature.inputs:
        array = _cast(spec, feed[spec.name])
        fits = array.ndim == len(spec.shape) and all(
            size == (sizes.setdefault(wanted, size) if isinstance(wanted, str) else wanted)
            for wanted, size in zip(spec.shape, array.shape, strict=True)
        )
        if not fits:
            raise _misfit(spec, feed[spec.name])
        fitted[spec.name] = array
    return fitted


def _cast(spec: TensorSpec, array: np.ndarray) -> np.ndarray:
    """The array in the dtype of the input, where no value changes its meaning."""
    import numpy as np

    wanted = np.dtype(spec.dtype)
    if array.dtype == wanted:
        return array
    if array.dtype.kind not in "biuf" or wanted.kind not in "biuf":
        raise _misfit(spec, array)
    cast = array.astype(wanted)
    if wanted.kind in "biu" and not np.array_equal(cast, array):
        raise _misfit(spec, array)
    return cast


def _misfit(spec: TensorSpec, array: np.ndarray) -> DataError:
    wanted = f"{spec.dtype}[{', '.join(map(str, spec.shape))}]"
    given = f"{array.dtype}[{', '.join(map(str, array.shape))}]"
    return DataError(f"Input '{spec.name}' wants {wanted}, but the data give {given}.")


def _describe(item: Any) -> str:
    import numpy as np

    if isinstance(item, np.ndarray):
        return f"an array {item.dtype}{list(item.shape)}"
    if isinstance(item, Path):
        return f"the file {item.name}"
    return f"a {type(item).__name__}"
