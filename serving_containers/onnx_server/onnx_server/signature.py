"""The signature of a model whose folder has no manifest: what onnxruntime says of its graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from onnx_server.errors import InvalidModel
from onnx_server.manifest import Manifest, Tensor

DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
    **{f"tensor(int{bits})": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"tensor(uint{bits})": f"uint{bits}" for bits in (8, 16, 32, 64)},
}
"""onnxruntime's names of the types that this server carries, and numpy's."""


class Node(Protocol):
    """onnxruntime's ``NodeArg``."""

    name: str
    type: str
    shape: list[Any]


def with_signature(manifest: Manifest, inputs: Sequence[Node], outputs: Sequence[Node]) -> Manifest:
    """The manifest with the graph's own inputs and outputs.

    An axis that the graph does not name is the batch where it is the first, else its own.

    Raises:
        InvalidModel: an input or output is of a type that cannot be sent.
    """
    return dataclasses.replace(
        manifest, inputs=tuple(map(_tensor, inputs)), outputs=tuple(map(_tensor, outputs))
    )


def _tensor(node: Node) -> Tensor:
    if node.type not in DTYPES:
        raise InvalidModel(f"'{node.name}' is of the type {node.type}, which cannot be sent.")
    shape = tuple(_axis(node.name, index, size) for index, size in enumerate(node.shape))
    return Tensor(node.name, np.dtype(DTYPES[node.type]), shape)


def _axis(name: str, index: int, size: Any) -> int | str:
    if isinstance(size, int) and size > 0:
        return size
    if isinstance(size, str) and size:
        return size
    return "batch" if index == 0 else f"{name}_{index}"
