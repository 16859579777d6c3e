"""The Triton configuration that is written from a manifest, read back."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "serving_containers" / "triton" / "config.py"
SPEC = importlib.util.spec_from_file_location("triton_config", SCRIPT)
assert SPEC is not None
assert SPEC.loader is not None
triton = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(triton)


def manifest(inputs: list[Any], outputs: list[Any]) -> dict[str, Any]:
    """A manifest of tensors given as (name, dtype, shape)."""
    keys = ("name", "dtype", "shape")
    sides = {"inputs": inputs, "outputs": outputs}
    signature = {side: [dict(zip(keys, t, strict=True)) for t in ts] for side, ts in sides.items()}
    return {"name": "tiny", "signature": signature}


def tensors(text: str, kind: str) -> list[tuple[str, str, str]]:
    """(name, data type, dims) of each tensor of ``kind`` in the text of a config.pbtxt."""
    pattern = rf'^{kind} \[ {{ name: "(\w+)" data_type: (\w+) dims: \[ ([^]]*) \]'
    return re.findall(pattern, text, re.MULTILINE)


def test_a_dynamic_first_axis_becomes_triton_batching() -> None:
    text = triton.config(
        manifest([("x", "int64", ["batch", "n"])], [("y", "float32", ["batch", 3])])
    )
    assert tensors(text, "input") == [("x", "TYPE_INT64", "-1")]
    assert tensors(text, "output") == [("y", "TYPE_FP32", "3")]
    assert "max_batch_size: 32" in text
    assert "dynamic_batching" in text


def test_a_fixed_first_axis_keeps_every_axis_and_does_not_batch() -> None:
    text = triton.config(manifest([("x", "float32", [1, 4])], [("y", "float32", [1])]))
    assert tensors(text, "input") == [("x", "TYPE_FP32", "1, 4")]
    assert "max_batch_size: 0" in text
    assert "dynamic_batching" not in text


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(ValueError, match="complex64"):
        triton.config(manifest([("x", "complex64", ["n"])], [("y", "float32", ["n"])]))
