"""What goes through a model's layers on the calibration data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.errors import StepError
from workbench.runtime import runtime_reason
from workbench.steps._graph import Graph

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime

    Array = np.ndarray[Any, np.dtype[Any]]
    Feed = dict[str, Array]

KEPT_ROWS = 256
ENOUGH_ROWS = 4096
BATCH = 8


@dataclass
class Observed:
    """What one value held, flattened to rows of its last axis.

    ``low`` and ``high`` are per channel; ``gram`` is the sum of ``row.T @ row``; ``rows`` a sample.
    """

    low: Array
    high: Array
    gram: Array | None = None
    rows: list[Array] = field(default_factory=list)
    count: int = 0

    @property
    def sample(self) -> Array:
        """Up to about ``KEPT_ROWS`` rows, spread over the calibration data."""
        import numpy as np

        rows = np.concatenate(self.rows)
        return np.asarray(rows[:: -(-len(rows) // KEPT_ROWS)])

    @property
    def amax(self) -> Array:
        """Largest magnitude per channel."""
        import numpy as np

        return np.asarray(np.maximum(-self.low, self.high))


def observe(
    graph: Graph,
    names: Iterable[str],
    feeds: Iterator[Feed],
    samples: int,
    *,
    gram_limit: int,
    progress: Callable[[float, float], None],
) -> dict[str, Observed]:
    """Run the model on calibration feeds and watch some of its float values.

    Rows that a two-dimensional attention mask marks as padding are left out. Returns nothing when
    there are no feeds.

    Args:
        graph: the model; it is not changed.
        names: values to watch.
        feeds: calibration feeds.
        samples: stop after this many samples (rows of the batch axis).
        gram_limit: widest value for which the gram matrix is gathered.
        progress: told the done and the total number of samples.

    Raises:
        StepError: the model cannot be run on the feeds.
    """
    names = list(names)
    seen: dict[str, Observed] = {}
    session = None
    for feed in batches(feeds, samples, progress):
        session = session or watching_session(graph, names)
        values = watched(session, names, feed)
        real = _real_rows(feed)
        for name, value in zip(names, values, strict=True):
            _add(seen, name, _rows(value, real), gram_limit)
        if all(item.count >= ENOUGH_ROWS for item in seen.values()):
            break
    return seen


def gram_of(observed: Iterable[Observed]) -> Array | None:
    """The gram matrix of several inputs of one layer, or none where one was too wide."""
    total = None
    for item in observed:
        if item.gram is None:
            return None
        total = item.gram if total is None else total + item.gram
    return total


def batches(
    feeds: Iterator[Feed], samples: int, progress: Callable[[float, float], None]
) -> Iterator[Feed]:
    """Up to ``samples`` samples of the feeds in small batches, so that watching needs no memory."""
    done = 0
    for feed in feeds:
        total = _batch(feed)
        whole = {name: value.ndim > 0 and len(value) == total for name, value in feed.items()}
        for start in range(0, total, BATCH):
            stop = min(start + BATCH, total, start + samples - done)
            yield {name: v[start:stop] if whole[name] else v for name, v in feed.items()}
            done += stop - start
            progress(done, samples)
            if done >= samples:
                return


def watched(session: onnxruntime.InferenceSession, names: list[str], feed: Feed) -> list[Any]:
    """The values of these names for a feed.

    Raises:
        StepError: the model cannot be run on it.
    """
    try:
        return list(session.run(names, feed))
    except Exception as error:  # onnxruntime raises many unrelated types
        raise StepError(
            f"The model cannot be run on the calibration data: {runtime_reason(error)}"
        ) from error


def watching_session(graph: Graph, names: Iterable[str]) -> Any:
    """A session that also gives out the named values; the graph is not changed.

    Raises:
        StepError: the runtime cannot load the model.
    """
    import onnxruntime as ort
    from onnx import ValueInfoProto

    model = type(graph.model)()
    model.CopyFrom(graph.finish())
    listed = set(graph.outputs)
    for name in dict.fromkeys(names):
        if name not in listed:
            model.graph.output.append(ValueInfoProto(name=name))
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        return ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime raises many unrelated types
        raise StepError(f"The model cannot be loaded: {runtime_reason(error)}") from error


def _batch(feed: Feed) -> int:
    return max((len(value) for value in feed.values() if value.ndim), default=1)


def _real_rows(feed: Feed) -> Array | None:
    import numpy as np

    for name, value in feed.items():
        if "mask" in name and value.ndim == 2:
            return np.asarray(value, bool)
    return None


def _rows(value: Array, real: Array | None) -> Array:
    if real is not None and value.ndim == 3 and value.shape[:2] == real.shape:
        return value[real]
    return value.reshape(-1, value.shape[-1])


def _add(seen: dict[str, Observed], name: str, rows: Array, gram_limit: int) -> None:
    import numpy as np

    if not len(rows):
        return
    if not np.isfinite(rows).all():
        raise StepError(f"'{name}' is not finite on the calibration data.")
    low, high = rows.min(axis=0), rows.max(axis=0)
    held = seen.get(name)
    if held is None:
        held = seen[name] = Observed(low, high)
    held.count += len(rows)
    held.low, held.high = np.minimum(held.low, low), np.maximum(held.high, high)
    if rows.shape[-1] <= gram_limit:
        product = rows.T @ rows
        held.gram = product if held.gram is None else held.gram + product
    held.rows.append(rows[:: -(-len(rows) // 64)].copy())
