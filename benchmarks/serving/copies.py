"""Copies of one text model with weights of their own, and what each must answer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from apps.predictor import Predictor
from onnx import numpy_helper

from workbench.artifact import Artifact, seal

SPREAD = (0.5, 1.5)
"""The weights of a copy are those of the original times random numbers from here."""


def make_copy(original: Artifact, number: int, folder: Path) -> Artifact:
    """The model with the scale of its last layer normalisation changed at random, by ``number``."""
    folder.mkdir(parents=True)
    model = onnx.load(original.model_path)
    weight = _last_scale(model.graph)
    factors = np.random.default_rng(number).uniform(*SPREAD, size=list(weight.dims))
    changed = (numpy_helper.to_array(weight) * factors).astype(np.float32)
    weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
    onnx.save(model, folder / original.model_path.name)
    tokenizer = original.manifest.preprocess.tokenizer
    (folder / tokenizer).write_bytes((original.path / tokenizer).read_bytes())
    return seal(folder, original.manifest.model_copy(update={"name": f"copy-{number}"}))


def answers(copy: Artifact, texts: Sequence[str]) -> np.ndarray:
    """What the copy must answer to each text alone."""
    predict = Predictor(copy.path)
    return np.array([predict([text])[0] for text in texts])


def least_distance(expected: Sequence[np.ndarray]) -> float:
    """How far the two most similar copies are apart, as the largest difference of a number."""
    pairs = itertools.combinations(expected, 2)
    return min(float(np.abs(one - other).max(axis=-1).min()) for one, other in pairs)


def _last_scale(graph: onnx.GraphProto) -> onnx.TensorProto:
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in reversed(graph.node):
        if node.op_type == "LayerNormalization" and node.input[1] in weights:
            return weights[node.input[1]]
    raise SystemExit("The model has no layer normalisation whose weights could be changed.")
