"""Does a feed fit the signature? Names, dtypes, shapes and values, each refused with its name.

A value is cast only where its meaning stays: integers into floats, floats into integers when they
are whole and in range. NaN and infinity may come into float inputs, and only through binary
formats (the text formats refuse them while they are read).
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import numpy as np

from onnx_server.errors import BadRequest
from onnx_server.manifest import Tensor

Array = np.ndarray[Any, np.dtype[Any]]
Feed = dict[str, Array]

SHOWN = 80  # characters of a client's own words in an error


def check_feed(feed: Feed, inputs: tuple[Tensor, ...]) -> tuple[Feed, int]:
    """The feed in the signature's dtypes and order, C-contiguous and aligned, and its rows.

    Rows are the size of the first axis of the first input.

    Raises:
        BadRequest: a missing or unknown input, a wrong rank, size or dtype, axes of one name that
            differ, an empty axis, a value that the dtype cannot hold; ``field`` is the input.
    """
    check_names(feed, inputs)
    sizes: dict[str, int] = {}
    checked: Feed = {}
    for tensor in inputs:
        array = feed[tensor.name]
        _check_shape(array, tensor, sizes)
        if array.dtype != tensor.dtype:
            array = cast(array, tensor)
        flags = array.flags
        if not (flags.c_contiguous and flags.aligned):
            array = np.require(array, requirements=["C", "A"])
        checked[tensor.name] = array
    first = checked[inputs[0].name] if inputs else None
    return checked, 1 if first is None or not first.ndim else first.shape[0]


def check_names(given: Iterable[str], inputs: tuple[Tensor, ...]) -> None:
    """Refuse missing and unknown input names; an unknown one is told the nearest right one."""
    names = [tensor.name for tensor in inputs]
    given = set(given)
    if given == set(names):
        return
    for name in sorted(given - set(names)):
        close = get_close_matches(name[:SHOWN], names, 1, 0.5)
        hint = f" Did you mean '{close[0]}'?" if close else f" It has {', '.join(names)}."
        raise BadRequest(
            f"The model has no input '{shown(name)}'.{hint}",
            field=shown(name),
        )
    missing = next(tensor for tensor in inputs if tensor.name not in given)
    raise BadRequest(
        f"Input '{missing.name}' ({missing}) is missing from the request.", field=missing.name
    )


def cast(array: Array, tensor: Tensor) -> Array:
    """The array in the dtype of the input, where every value keeps its meaning.

    Raises:
        BadRequest: the dtypes do not fit, or a value cannot be held.
    """
    wanted = tensor.dtype
    if wanted.kind not in "biuf" or array.dtype.kind not in "biuf":
        if wanted.kind in "OU" and array.dtype.kind in "OU":
            return array.astype(object)
        raise misfit(tensor, _describe(array))
    with np.errstate(all="ignore"):
        changed = array.astype(wanted)
        if wanted.kind == "f":
            if array.dtype.kind == "f" and array.dtype.itemsize <= wanted.itemsize:
                return changed
            kept = np.isfinite(changed) | ~np.isfinite(array)
        else:
            kept = _held(array, wanted) & (changed == array)
    if not kept.all():
        index = int(np.argmin(kept.reshape(-1)))
        row = index // max(1, array.size // max(1, array.shape[0])) if array.ndim else 0
        value = array.reshape(-1)[index].item()
        raise misfit(tensor, f"{value!r} in row {row}, which {wanted} cannot hold")
    return changed


def misfit(tensor: Tensor, got: str) -> BadRequest:
    """Says what the input wants and what came instead."""
    return BadRequest(f"Input '{tensor.name}' wants {tensor}, but got {got}.", field=tensor.name)


def shown(text: object) -> str:
    """A client's own words, short enough for an error, in printable characters."""
    words = ascii(str(text)[:SHOWN])[1:-1]
    return words if len(words) <= SHOWN else words[:SHOWN] + "…"


def _held(array: Array, wanted: np.dtype[Any]) -> Any:
    """Where the values lie in the range of ``wanted``; a cast beyond it is undefined for floats."""
    if wanted.kind == "b":
        return (array == 0) | (array == 1)
    if array.dtype.kind == "b":
        return np.ones(array.shape, bool)
    bounds = np.iinfo(wanted)
    if array.dtype.kind != "f":
        return (array >= bounds.min) & (array <= bounds.max)
    # The largest int64 is no float64: the first float beyond it is, so the bound is exclusive.
    wide = array.astype(np.float64)
    return (wide >= float(bounds.min)) & (wide < float(bounds.max + 1))


def _check_shape(array: Array, tensor: Tensor, sizes: dict[str, int]) -> None:
    shape = array.shape
    if len(shape) != len(tensor.shape):
        raise misfit(tensor, _describe(array))
    for wanted, size in zip(tensor.shape, shape, strict=True):
        if size == 0:
            raise misfit(tensor, f"{_describe(array)}, which holds no value")
        if type(wanted) is int:
            if size != wanted:
                raise misfit(tensor, _describe(array))
        elif sizes.setdefault(str(wanted), size) != size:
            raise misfit(
                tensor,
                f"{_describe(array)}: axis '{wanted}' is {sizes[str(wanted)]} in another place",
            )


def _describe(array: Array) -> str:
    kind = "text" if array.dtype.kind in "OUS" else str(array.dtype)
    return f"{kind}[{', '.join(map(str, array.shape))}]"
