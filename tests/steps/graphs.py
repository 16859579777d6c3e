"""Small ONNX graphs and artifacts for tests of steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from workbench.artifact import Artifact, seal
from workbench.machine import machine
from workbench.records import Account, Architecture, Machine, Manifest
from workbench.runtime import open_session, signature_of
from workbench.steps import StepContext, make_step

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, tuple[int, list[Any]]],
    outputs: dict[str, list[Any]],
    weights: dict[str, np.ndarray],
    *,
    opset: int = 17,
    constants: bool = False,
) -> onnx.ModelProto:
    """A checked model; ``constants`` stores the weights as Constant nodes."""
    tensors = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    made = [helper.make_node("Constant", [], [t.name], value=t) for t in tensors]
    graph = helper.make_graph(
        [*(made if constants else []), *nodes],
        "graph",
        [helper.make_tensor_value_info(n, dtype, shape) for n, (dtype, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs.items()],
        [] if constants else tensors,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(proto)
    return proto


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def weight(*shape: int, seed: int = 0) -> np.ndarray:
    values = random(seed).standard_normal(shape) / np.sqrt(shape[0])
    return values.astype(np.float32)


def mlp(width: int = 64, hidden: int = 128, **options: Any) -> onnx.ModelProto:
    """MatMul, Add, Relu, Gemm (transB)."""
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h"], name="first"),
        helper.make_node("Add", ["h", "b1"], ["hb"], name="bias"),
        helper.make_node("Relu", ["hb"], ["r"], name="relu"),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["y"], name="second", transB=1, alpha=0.5),
    ]
    weights = {
        "w1": weight(width, hidden, seed=1),
        "b1": weight(hidden, seed=2),
        "w2": np.ascontiguousarray(weight(hidden, width, seed=3).T),
        "b2": weight(width, seed=4),
    }
    return model(
        nodes, {"x": (FLOAT, ["batch", width])}, {"y": ["batch", width]}, weights, **options
    )


def one_product(matrix: np.ndarray, **options: Any) -> onnx.ModelProto:
    """``y = x @ w``."""
    rows, columns = matrix.shape
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    inputs = {"x": (FLOAT, ["batch", rows])}
    return model([node], inputs, {"y": ["batch", columns]}, {"w": matrix}, **options)


def embedder(rows: int = 500, width: int = 64, *, tied: bool = False) -> onnx.ModelProto:
    """Token ids are looked up, a MatMul follows; ``tied``: the table is the output layer too."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["e"], name="lookup"),
        helper.make_node("MatMul", ["e", "w"], ["h" if tied else "y"], name="product"),
    ]
    if tied:
        nodes.append(helper.make_node("Transpose", ["table"], ["table_t"], perm=[1, 0]))
        nodes.append(helper.make_node("MatMul", ["h", "table_t"], ["y"], name="output"))
    weights = {"table": weight(rows, width, seed=5) * 8, "w": weight(width, width, seed=6)}
    shape = ["batch", "sequence", rows if tied else width]
    return model(nodes, {"ids": (INT64, ["batch", "sequence"])}, {"y": shape}, weights)


def cnn() -> onnx.ModelProto:
    """Conv, BatchNormalization, Relu, Conv, Relu, GlobalAveragePool, Gemm."""
    nodes = [
        helper.make_node("Conv", ["x", "k1"], ["c1"], name="conv1", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c1", "g", "b", "m", "v"], ["n1"], name="norm"),
        helper.make_node("Relu", ["n1"], ["r1"], name="relu1"),
        helper.make_node("Conv", ["r1", "k2"], ["c2"], name="conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"], name="relu2"),
        helper.make_node("GlobalAveragePool", ["r2"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "w", "bias"], ["y"], name="head"),
    ]
    weights = {
        "k1": weight(32, 3, 3, 3, seed=7),
        "k2": weight(64, 32, 3, 3, seed=8),
        "g": np.ones(32, np.float32),
        "b": weight(32, seed=9),
        "m": weight(32, seed=10),
        "v": np.ones(32, np.float32),
        "w": weight(64, 32, seed=11),
        "bias": weight(32, seed=12),
    }
    inputs = {"x": (FLOAT, ["batch", 3, 16, 16])}
    return model(nodes, inputs, {"y": ["batch", 32]}, weights)


def artifact(
    folder: Path, proto: onnx.ModelProto, *, external: bool = False, **manifest: Any
) -> Artifact:
    """A sealed artifact with a tokenizer beside the model."""
    folder.mkdir(parents=True)
    path = folder / "net.onnx"
    onnx.save(
        proto, str(path), save_as_external_data=external, location="net.data", size_threshold=64
    )
    (folder / "tokenizer.json").write_text("{}")
    signature = signature_of(open_session(path, threads=1))
    made = Manifest(
        name="net", format="onnx", model_file="net.onnx", signature=signature, **manifest
    )
    return seal(folder, made)


def step(
    source: Artifact,
    name: str,
    feeds: Sequence[dict[str, np.ndarray]] = (),
    *,
    on: Machine | None = None,
    **options: Any,
) -> tuple[Artifact, Account]:
    """Apply a step beside the source; the result and its account."""

    def calibration(_: Artifact) -> Iterator[dict[str, np.ndarray]]:
        yield from feeds

    target = source.path.with_name(f"{source.path.name}-{len(list(source.path.parent.iterdir()))}")
    target.mkdir()
    context = StepContext(machine=on or machine(), calibration=calibration)
    manifest, account = make_step(name, options).apply(source, target, context)
    return seal(target, manifest), account


def run(what: Artifact, feed: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(open_session(what.model_path, threads=1).run(None, feed)[0])


def error(result: np.ndarray, exact: np.ndarray) -> float:
    """Root mean square error relative to the exact result."""
    return float(np.sqrt(np.square(result - exact).mean() / np.square(exact).mean()))


def operators(what: Artifact) -> list[str]:
    return [node.op_type for node in onnx.load(str(what.model_path)).graph.node]


def weight_bytes(what: Artifact) -> int:
    tensors = onnx.load(str(what.model_path)).graph.initializer
    return sum(numpy_helper.to_array(tensor).nbytes for tensor in tensors)


def loaded_operators(what: Artifact, folder: Path) -> list[str]:
    """What the runtime is left with after its basic optimisations."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(str(what.model_path), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(str(folder / "optimized.onnx")).graph.node]


def tiny_bert(path: Path) -> Architecture:
    """A random two-layer BERT, exported as the export step's fall-back does it."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=300,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=64,
        attn_implementation="eager",
    )
    bert = BertModel(config, add_pooling_layer=False).eval()

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = bert

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            return self.bert(
                input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
            ).last_hidden_state

    names = ["input_ids", "attention_mask", "token_type_ids"]
    ids = torch.randint(0, 300, (2, 8))
    axes = {name: {0: "batch", 1: "sequence"} for name in [*names, "hidden"]}
    torch.onnx.export(
        Encoder().eval(),
        (ids, torch.ones_like(ids), torch.zeros_like(ids)),
        str(path),
        input_names=names,
        output_names=["hidden"],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )
    return Architecture(model_type="bert", num_heads=4, hidden_size=64, layers=2)


def bert_feed(batch: int = 4, sequence: int = 12, seed: int = 0) -> dict[str, np.ndarray]:
    ids = random(seed).integers(0, 300, (batch, sequence))
    return {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
    }
