"""How far a model's output goes astray, and where its work lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.steps._auto_pieces import CONVOLUTIONS, LOOKUPS, Layer, weights_of
from workbench.steps._graph import Graph
from workbench.steps._observe import watched, watching_session

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]
    Feed = dict[str, Array]


def exact_outputs(graph: Graph, feeds: Sequence[Feed]) -> list[Array]:
    """The first output for each feed, as float64.

    Raises:
        StepError: the model cannot be run on the feeds.
    """
    import numpy as np

    session = watching_session(graph, ())
    names = graph.outputs[:1]
    return [np.asarray(watched(session, names, feed)[0], np.float64) for feed in feeds]


def error_of(graph: Graph, feeds: Sequence[Feed], exact: Sequence[Array]) -> float:
    """Mean square error of the first output over the exact output's mean square."""
    import numpy as np

    found = exact_outputs(graph, feeds)
    wrong = sum(float(np.square(a - b).sum()) for a, b in zip(found, exact, strict=True))
    power = sum(float(np.square(b).sum()) for b in exact)
    return wrong / power if power else wrong


def work_of(graph: Graph, layers: Sequence[Layer], feed: Feed) -> dict[str, float]:
    """Each layer's share of the multiply-accumulates, from the shapes on one feed.

    A weight is used once for each place of the output: (values of the output) / (its channels).
    """
    nodes = {node.name: node for node in graph.nodes}
    heads = {name: nodes[name].output[0] for layer in layers for name in layer.nodes}
    values = watched(watching_session(graph, heads.values()), list(heads.values()), feed)
    shapes = {name: value.shape for name, value in zip(heads, values, strict=True)}
    work = {}
    for layer in layers:
        work[layer.name] = 0.0
        for name in layer.nodes:
            node, shape = nodes[name], shapes[name]
            if node.op_type in LOOKUPS or not shape:
                continue
            channels = shape[1] if node.op_type in CONVOLUTIONS else shape[-1]
            weights = sum(math.prod(graph.tensor(w).dims) for w in weights_of(graph, node))
            work[layer.name] += math.prod(shape) / max(1, channels) * weights
    total = sum(work.values()) or 1.0
    return {name: found / total for name, found in work.items()}
