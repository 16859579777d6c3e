"""Small ONNX artifacts for tests of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from workbench.artifact import Artifact
from workbench.records import Manifest, Preprocess, StepRecord
from workbench.runtime import open_session, signature_of

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def artifact(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, tuple[int, list[Any]]],
    output: tuple[str, list[Any]],
    weights: dict[str, np.ndarray] | None = None,
    *,
    preprocess: Preprocess | None = None,
    lineage: tuple[StepRecord, ...] = (),
    labels: tuple[str, ...] | None = None,
) -> Artifact:
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(output[0], FLOAT, output[1])],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder.mkdir(exist_ok=True, parents=True)
    onnx.save(model, folder / "model.onnx")
    return Artifact(
        folder,
        Manifest(
            name="small",
            format="onnx",
            model_file="model.onnx",
            signature=signature_of(open_session(folder / "model.onnx")),
            preprocess=preprocess,
            lineage=lineage,
            labels=labels,
        ),
    )


def linear(folder: Path, weight: np.ndarray, batch: int | str = "batch", **more: Any) -> Artifact:
    """``x [batch, n] @ weight [n, m]``."""
    return artifact(
        folder,
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"x": (FLOAT, [batch, weight.shape[0]])},
        ("y", [batch, weight.shape[1]]),
        {"w": weight.astype(np.float32)},
        **more,
    )


def embedding(folder: Path, words: int, size: int = 4, **more: Any) -> Artifact:
    """Token ids ``[batch, sequence]`` → vectors ``[batch, sequence, size]``, never zero."""
    table = np.random.default_rng(0).standard_normal((words, size)).astype(np.float32) + 3
    return artifact(
        folder,
        [helper.make_node("Gather", ["table", "input_ids"], ["y"])],
        {"input_ids": (INT64, ["batch", "sequence"])},
        ("y", ["batch", "sequence", size]),
        {"table": table},
        **more,
    )


def masked(folder: Path, words: int, **more: Any) -> Artifact:
    """Like :func:`embedding`, with an ``attention_mask`` that only the workbench heeds."""
    table = np.arange(words * 2, dtype=np.float32).reshape(words, 2) + 1
    return artifact(
        folder,
        [
            helper.make_node("Gather", ["table", "input_ids"], ["all"]),
            helper.make_node("Cast", ["attention_mask"], ["m"], to=FLOAT),
            helper.make_node("Unsqueeze", ["m", "last"], ["m1"]),
            helper.make_node("Mul", ["m1", "zero"], ["nothing"]),
            helper.make_node("Add", ["all", "nothing"], ["y"]),
        ],
        {
            "input_ids": (INT64, ["batch", "sequence"]),
            "attention_mask": (INT64, ["batch", "sequence"]),
        },
        ("y", ["batch", "sequence", 2]),
        {"table": table, "last": np.array([2], np.int64), "zero": np.zeros(1, np.float32)},
        **more,
    )


def write_tokenizer(folder: Path) -> None:
    """A tokenizer of a few words, that by itself would cut and pad to 3 tokens."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = ["[PAD]", "[UNK]", "a", "b", "c", "d"]
    tokenizer = Tokenizer(WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=3)
    folder.mkdir(exist_ok=True, parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
