"""Watching the inputs of products on the task's calibration data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from workbench.steps._graph import Graph
from workbench.steps._observe import Observed, observe
from workbench.steps._products import Product
from workbench.steps._rounding import COMPENSATED_ROWS

if TYPE_CHECKING:
    from workbench.artifact import Artifact
    from workbench.steps import StepContext
    from workbench.steps._quantize_options import QuantizeOptions


def watch(
    graph: Graph,
    products: Iterable[Product],
    options: QuantizeOptions,
    source: Artifact,
    context: StepContext,
) -> dict[str, Observed]:
    """What went into the products; nothing when the task has no calibration data."""
    compensate = options.rounding == "compensated"
    return observe(
        graph,
        dict.fromkeys(product.data for product in products),
        context.calibration(source),
        options.samples,
        gram_limit=COMPENSATED_ROWS if compensate else 0,
        progress=context.progress,
    )
