"""LSTM and GRU weights in 8 bits: what goes into the layers decides how, and whether at all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.steps._graph import Graph
from workbench.steps._observe import observe
from workbench.steps._rounding import COMPENSATED_ROWS, Feedback, feedback_of

if TYPE_CHECKING:
    import numpy as np

    from workbench.artifact import Artifact
    from workbench.steps import StepContext

    Array = np.ndarray[Any, np.dtype[Any]]

RECURRENT = frozenset({"LSTM", "GRU"})
TOO_WIDE = 20.0
"""How much more one input may vary than another (9th to 1st decile of their root mean squares)
before the weights that read them stay in float: gates are driven by quiet inputs through large
weights, and a scale per gate rounds the small weights of the loud ones away. A speaker encoder on
mel power, where it is 223, falls from a cosine of .9995 to .95; no other layer there exceeds 3."""


@dataclass(frozen=True)
class Seen:
    """What goes into a recurrent layer: how its inputs vary, and the feedback of rounding."""

    spread: float
    feedback: Feedback


def seen_inputs(
    graph: Graph, excluded: Collection[str], samples: int, source: Artifact, context: StepContext
) -> dict[str, Seen]:
    """What goes into the input weights of recurrent layers, by the weight's name.

    Nothing where there are no such layers, or no calibration data.
    """
    nodes = [n for n in graph.nodes if n.op_type in RECURRENT and n.name not in excluded]
    found = {n.input[1]: n.input[0] for n in nodes if graph.is_constant(n.input[1])}
    if not found:
        return {}
    observed = observe(
        graph,
        dict.fromkeys(found.values()),
        context.calibration(source),
        samples,
        gram_limit=COMPENSATED_ROWS,
        progress=lambda done, total: None,
    )
    return {
        weight: Seen(_spread(gram), _feedback(gram, graph.tensor(weight).dims[0]))
        for weight, data in found.items()
        if data in observed and (gram := observed[data].gram) is not None
    }


def _feedback(gram: Array, directions: int) -> Feedback:
    """The feedback for all directions, whose weights are rounded below each other as one matrix."""
    import numpy as np

    return feedback_of(np.kron(np.eye(directions, dtype=gram.dtype), gram))


def _spread(gram: Array) -> float:
    import numpy as np

    low, high = np.quantile(np.sqrt(np.diag(gram)), (0.1, 0.9))
    return float(high / max(low, 1e-12))
