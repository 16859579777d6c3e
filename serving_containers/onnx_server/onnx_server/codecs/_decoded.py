"""What formats share: the decoded body, and ways from values and samples to a feed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from onnx_server.checks import check_names, misfit, shown
from onnx_server.errors import BadRequest, UnsupportedMediaType
from onnx_server.manifest import Manifest, Tensor
from onnx_server.preprocess import Preprocessor

Array = np.ndarray[Any, np.dtype[Any]]
Feed = dict[str, Array]

MAX_AXES = 32
NUMBERS: set[type] = {int, float}
BOOLEANS: set[type] = {bool}
TEXTS: set[type] = {str}


@dataclass(slots=True)
class Decoded:
    """A feed by input name, its rows, and the form of the body, which the answer follows.

    Forms: ``instances`` and ``rows`` answer row by row, ``inputs`` by output name.
    """

    feed: Feed
    rows: int
    form: str


def from_samples(samples: Sequence[Any], form: str, preprocessor: Preprocessor) -> Decoded:
    """Raw samples (texts, pairs, bytes) through the model's preprocessing."""
    if not samples:
        raise BadRequest("The request holds no instance.")
    return Decoded(preprocessor(samples), len(samples), form)


def from_arrays(feed: Feed, form: str) -> Decoded:
    """A feed as it came."""
    first = next(iter(feed.values()), None)
    return Decoded(feed, 1 if first is None or not first.ndim else len(first), form)


def only_input(manifest: Manifest, what: str) -> Tensor:
    """The one input of the model.

    Raises:
        UnsupportedMediaType: it has several, and ``what`` carries one.
    """
    if len(manifest.inputs) != 1:
        names = ", ".join(tensor.name for tensor in manifest.inputs)
        raise UnsupportedMediaType(f"{what} carries one input, but the model has {names}.")
    return manifest.inputs[0]


def array(value: Any, tensor: Tensor) -> Array:
    """Nested lists of numbers as an array; the dtype is checked and cast with the feed.

    The leaves are looked at before numpy sees them: it would make room for the longest text in
    every place, turn null into NaN and true into 1.

    Raises:
        BadRequest: ragged lists, texts, nulls, booleans among numbers; the message says where.
    """
    shape: list[int] = []
    leaves: list[Any] = [value]
    while leaves and type(leaves[0]) is list:
        if len(shape) == MAX_AXES or set(map(type, leaves)) != {list}:
            raise misfit(tensor, "lists of differing depths")
        lengths = set(map(len, leaves))
        if len(lengths) != 1:
            raise misfit(tensor, "lists of differing lengths")
        shape += lengths
        leaves = list(chain.from_iterable(leaves))
    wanted = tensor.dtype.kind
    kinds = set(map(type, leaves))
    if wanted in "OUS":
        allowed, dtype = TEXTS, np.dtype(object)
    elif kinds == BOOLEANS and wanted == "b":
        allowed, dtype = BOOLEANS, None
    else:
        allowed, dtype = NUMBERS, None
    if not kinds <= allowed:
        raise misfit(tensor, _stranger(leaves, allowed, shape))
    if wanted in "iu" and float in kinds:
        # One float among the numbers would make floats of all, and 2^53 + 1 would change.
        leaves = [int(leaf) if leaf == int(leaf) else leaf for leaf in leaves]
    made = np.array(leaves, dtype)
    if made.dtype.kind == "O" and dtype is None:
        raise misfit(tensor, "an integer beyond 64 bits")
    return made.reshape(shape)


def _stranger(leaves: list[Any], allowed: set[type], shape: list[int]) -> str:
    """The first leaf that does not belong, and its place."""
    index = next(i for i, leaf in enumerate(leaves) if type(leaf) not in allowed)
    place = [int(i) for i in np.unravel_index(index, shape)] if shape else []
    leaf = leaves[index]
    what = {str: f"the text '{shown(leaf)}'", type(None): "null", dict: "an object", list: "a list"}
    words = what.get(type(leaf), str(leaf).lower() if type(leaf) is bool else shown(leaf))
    return f"{words} at {place}" if place else words


def from_buffer(data: Any, dtype: np.dtype[Any], offset: int, tensor: str) -> Array:
    """The values in a buffer, without a copy.

    Raises:
        BadRequest: a boolean that is neither 0 nor 1.
    """
    values = np.frombuffer(data, dtype, offset=offset)
    if dtype.kind == "b" and values.view(np.uint8).max(initial=0) > 1:
        raise BadRequest(f"'{tensor}' holds a boolean that is neither 0 nor 1.", field=tensor)
    return values


def rows_of(instances: Sequence[Any], manifest: Manifest) -> Feed:
    """One value, list or object by input name for each row."""
    if not instances:
        raise BadRequest("The request holds no instance.")
    if isinstance(instances[0], dict):
        return _objects(instances, manifest)
    names = ", ".join(tensor.name for tensor in manifest.inputs)
    if len(manifest.inputs) != 1:
        raise BadRequest(f"The model has several inputs: an instance is an object with {names}.")
    tensor = manifest.inputs[0]
    return {tensor.name: array(instances, tensor)}


def _objects(instances: Sequence[Any], manifest: Manifest) -> Feed:
    for index, instance in enumerate(instances):
        if not isinstance(instance, dict):
            raise BadRequest(f"Instance {index} is no object, but others are.", field=str(index))
        check_names(instance, manifest.inputs)
    return {t.name: array([instance[t.name] for instance in instances], t) for t in manifest.inputs}


def utf8(body: bytes) -> str:
    """The text of a body.

    Raises:
        BadRequest: it is not UTF-8.
    """
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8: byte {error.start} is wrong.") from None


def wants_text(preprocessor: Preprocessor | None) -> bool:
    """Whether the model reads texts."""
    return preprocessor is not None and preprocessor.kind == "text"
