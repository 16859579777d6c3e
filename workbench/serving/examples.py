"""An example call of a model, as a line for the shell."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from typing import Any

from workbench.records import Manifest, TensorSpec

TEXTS = ["A first sentence.", "Another one, to compare."]
LARGEST = 256
"""Values of an example that is written out; longer ones are read from a file."""
FILES = {"image": ("image/png", "picture.png"), "bytes": ("application/octet-stream", "any.file")}


def curl(url: str, manifest: Manifest | None, headers: Mapping[str, str] | None = None) -> str:
    """A ``curl`` command that asks a model.

    Args:
        url: where it is asked.
        manifest: the model's; its inputs give the body. Without one the body is a file.
        headers: what the request needs besides a content type.
    """
    kind, data = _body(manifest)
    words = ["curl", url]
    for name, value in {**(headers or {}), "Content-Type": kind}.items():
        words += ["-H", f"{name}: {value}"]
    return shlex.join([*words, "--data-binary", data])


def _body(manifest: Manifest | None) -> tuple[str, str]:
    """Content type, and the data or ``@`` and a file's name."""
    if manifest is None:
        return "application/json", "@request.json"
    if manifest.preprocess is not None:
        if manifest.preprocess.kind == "text":
            return "application/json", json.dumps({"instances": TEXTS})
        kind, file = FILES[manifest.preprocess.kind]
        return kind, f"@{file}"
    inputs = manifest.signature.inputs
    if sum(math.prod(_lengths(spec)) for spec in inputs) > LARGEST:
        one = len(inputs) == 1
        return ("application/x-npy", "@input.npy") if one else ("application/x-npz", "@inputs.npz")
    if len(inputs) == 1:
        return "application/json", json.dumps({"instances": _zeros(inputs[0])})
    return "application/json", json.dumps({"inputs": {s.name: _zeros(s) for s in inputs}})


def _lengths(spec: TensorSpec) -> list[int]:
    """Its shape, dynamic axes of length 1."""
    return [length if isinstance(length, int) else 1 for length in spec.shape]


def _zeros(spec: TensorSpec) -> Any:
    value: Any = 0
    if spec.dtype.startswith(("float", "bfloat")):
        value = 0.0
    elif spec.dtype == "bool":
        value = False
    elif "int" not in spec.dtype:
        value = ""
    for length in reversed(_lengths(spec)):
        value = [value] * length
    return value
