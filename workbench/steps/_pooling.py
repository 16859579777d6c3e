"""Pooling of token embeddings to one sentence embedding, in torch and as ONNX nodes.

As in sentence-transformers: mean over the tokens that the mask keeps (sum over mask, divided by the
mask's sum, at least 1e-9), or the first token; then optionally scaled to length one (norm at least
1e-12), see https://github.com/UKPLab/sentence-transformers ``models/Pooling.py``, ``Normalize.py``.
"""

from __future__ import annotations

from typing import Any

from workbench.errors import StepError
from workbench.records import Pooling


def pool(hidden: Any, mask: Any, pooling: Pooling) -> Any:
    """Sentence embeddings, float [batch, hidden].

    Args:
        hidden: torch float [batch, sequence, hidden].
        mask: torch int [batch, sequence], 1 for tokens and 0 for padding.
        pooling: mode and normalisation.
    """
    import torch

    if pooling.mode == "cls":
        pooled = hidden[:, 0]
    else:
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
    return torch.nn.functional.normalize(pooled, dim=-1) if pooling.normalize else pooled


def append_pooling(model: Any, pooling: Pooling, output: str) -> None:
    """Replace a graph's outputs by the pooled first one, called ``output``; opset 18 or newer.

    Raises:
        StepError: mean pooling without an ``attention_mask`` input, or an opset below 18.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if opset < 18:
        raise StepError(f"Pooling in the graph needs opset 18, this is {opset}.")
    graph = model.graph
    hidden = graph.output[0].name
    dims = graph.output[0].type.tensor_type.shape.dim
    size = dims[-1].dim_value or dims[-1].dim_param

    def constant(name: str, value: Any) -> str:
        graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def node(kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"pooling/{kind}_{len(graph.node)}"
        graph.node.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    if pooling.mode == "cls":
        first = constant("pooling/first", np.array(0, np.int64))
        pooled = node("Gather", [hidden, first], axis=1)
    else:
        if "attention_mask" not in {value.name for value in graph.input}:
            raise StepError("Mean pooling needs an attention_mask input, which this model lacks.")
        last, tokens = (
            constant("pooling/last", np.array([-1], np.int64)),
            constant("pooling/tokens", np.array([1], np.int64)),
        )
        mask = node("Cast", ["attention_mask"], to=TensorProto.FLOAT)
        weight = node("Unsqueeze", [mask, last])
        weighted = node("Mul", [hidden, weight])
        total = node("ReduceSum", [weighted, tokens], keepdims=0)
        count = node("ReduceSum", [weight, tokens], keepdims=0)
        least = constant("pooling/least", np.array(1e-9, np.float32))
        pooled = node("Div", [total, node("Max", [count, least])])
    if pooling.normalize:
        axis = constant("pooling/axis", np.array([-1], np.int64))
        norm = node("ReduceL2", [pooled, axis], keepdims=1)
        tiny = constant("pooling/tiny", np.array(1e-12, np.float32))
        pooled = node("Div", [pooled, node("Max", [norm, tiny])])
    graph.node.append(helper.make_node("Identity", [pooled], [output], name="pooling/output"))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", size]))
