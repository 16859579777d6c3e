"""Texts and pairs of texts become token ids, padded to the longest of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnx_server.checks import Feed
from onnx_server.errors import BadRequest, InvalidModel
from onnx_server.manifest import Manifest

MADE = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


class TextPreprocessor:
    """The model's own ``tokenizer.json``, set to truncate and to pad as the manifest says."""

    kind = "text"

    def __init__(self, manifest: Manifest) -> None:
        options = manifest.preprocess.options if manifest.preprocess else {}
        unknown = [tensor.name for tensor in manifest.inputs if tensor.name not in MADE]
        if unknown:
            raise InvalidModel(
                f"Input '{unknown[0]}' cannot be made from text; a tokenizer makes "
                f"{', '.join(MADE)}."
            )
        self._columns = [(t.name, MADE[t.name], t.dtype) for t in manifest.inputs]
        fixed = next((t.shape[1] for t in manifest.inputs if len(t.shape) == 2), None)
        self._tokenizer = _read(manifest, options, fixed if isinstance(fixed, int) else None)

    def __call__(self, samples: Sequence[Any]) -> Feed:
        """Token ids ``[samples, tokens]`` for each input of the model."""
        for sample in samples:
            if not isinstance(sample, str) and not _is_pair(sample):
                raise BadRequest(
                    "The model reads texts, or pairs of texts, but got "
                    f"{type(sample).__name__} in row {samples.index(sample)}."
                )
        try:
            encoded = self._tokenizer.encode_batch_fast(list(samples))
        except Exception as error:  # tokenizers raises plain Exception
            raise BadRequest(f"The text cannot be tokenized: {error}.") from None
        return {
            name: np.asarray([getattr(row, attribute) for row in encoded], dtype)
            for name, attribute, dtype in self._columns
        }


def _is_pair(sample: object) -> bool:
    return (
        isinstance(sample, tuple)
        and len(sample) == 2
        and isinstance(sample[0], str)
        and isinstance(sample[1], str)
    )


def _read(manifest: Manifest, options: dict[str, Any], length: int | None) -> Any:
    try:
        from tokenizers import Tokenizer  # an extra
    except ImportError:
        raise InvalidModel(
            "The model reads texts, which needs the package tokenizers: install onnx-server[text]."
        ) from None
    name = str(options.get("tokenizer", "tokenizer.json"))
    path = (manifest.folder / name).resolve()
    if not path.is_relative_to(manifest.folder.resolve()):
        raise InvalidModel("The tokenizer lies outside the model's folder.")
    if not path.is_file():
        raise InvalidModel(f"The model's tokenizer '{name}' is missing.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception
        raise InvalidModel(f"'{name}' cannot be read as a tokenizer: {error}.") from None
    longest = int(options["max_length"])
    kept = tokenizer.padding or {}
    tokenizer.enable_truncation(min(longest, length or longest))
    tokenizer.enable_padding(
        direction=kept.get("direction", "right"),
        pad_id=int(options.get("pad_id", 0)),
        pad_type_id=kept.get("pad_type_id", 0),
        pad_token=str(options.get("pad_token", "[PAD]")),
        length=length,
    )
    return tokenizer
