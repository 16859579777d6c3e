"""Writes a Triton model repository from an artifact: ``python config.py ARTIFACT REPOSITORY``."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

TYPES = {
    "bool": "TYPE_BOOL", "float16": "TYPE_FP16", "float32": "TYPE_FP32", "float64": "TYPE_FP64",
    **{f"{sign}int{bits}": f"TYPE_{sign.upper()}INT{bits}"
       for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "string": "TYPE_STRING",
}  # fmt: skip


def config(manifest: dict[str, Any], max_batch: int = 32, max_delay_us: int = 2000) -> str:
    """The text of ``config.pbtxt``; the first axis is the batch where it is dynamic in all tensors.

    Raises:
        ValueError: the manifest has no signature or a dtype that Triton does not know.
    """
    inputs, outputs = manifest["signature"]["inputs"], manifest["signature"]["outputs"]
    if not inputs or not outputs:
        raise ValueError("the manifest's signature must name inputs and outputs")
    batched = all(t["shape"] and isinstance(t["shape"][0], str) for t in inputs + outputs)
    lines = [
        f"name: {json.dumps(manifest['name'])}",
        'backend: "onnxruntime"',
        f"max_batch_size: {max_batch if batched else 0}",
        *_tensors("input", inputs, batched),
        *_tensors("output", outputs, batched),
    ]
    if batched:
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {max_delay_us} }}")
    return "\n".join(lines) + "\n"


def write(artifact: Path, repository: Path) -> Path:
    """Writes ``<name>/config.pbtxt`` and ``<name>/1/model.onnx``; returns the model's folder."""
    manifest = json.loads((artifact / "manifest.json").read_bytes())
    text = config(manifest)
    folder = repository / str(manifest["name"])
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(text)
    shutil.copyfile(artifact / "model.onnx", folder / "1" / "model.onnx")
    return folder


def _tensors(kind: str, tensors: list[dict[str, Any]], batched: bool) -> list[str]:
    return [f"{kind} [ {_tensor(tensor, batched)} ]" for tensor in tensors]


def _tensor(tensor: dict[str, Any], batched: bool) -> str:
    if tensor["dtype"] not in TYPES:
        raise ValueError(f"Triton has no type for {tensor['dtype']}")
    shape = tensor["shape"][1:] if batched else tensor["shape"]
    sizes = ", ".join("-1" if isinstance(size, str) else str(size) for size in shape)
    # A batch of scalars has no axis left; Triton wants one of size 1, reshaped away.
    dims = f"[ {sizes} ]" if shape else "[ 1 ] reshape: { shape: [ ] }"
    name = json.dumps(tensor["name"])
    return f"{{ name: {name} data_type: {TYPES[tensor['dtype']]} dims: {dims} }}"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: config.py ARTIFACT REPOSITORY")
    print(write(Path(sys.argv[1]), Path(sys.argv[2])))
