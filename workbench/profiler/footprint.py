"""Size, parameters, sparsity, multiply-accumulates, load time and memory of one model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.artifact import MANIFEST, Artifact, open_artifact
from workbench.errors import ModelError
from workbench.machine import check_memory
from workbench.profile_options import batch_axes
from workbench.profiler import stats
from workbench.profiler.child import run_worker, save_feed
from workbench.profiler.graph import model_bytes, read_model, signature_of_graph
from workbench.profiler.macs import count_macs
from workbench.profiler.tracing import first_run
from workbench.profiler.weights import constants, sparsity
from workbench.records import Footprint, Interval, Signature
from workbench.runtime import random_feed

if TYPE_CHECKING:
    from workbench.profiler.child import Feed

DEFAULT_VOCABULARY = 1000
MIN_LOADS, MAX_LOADS, LOAD_SECONDS = 5, 20, 2.0


def measure_footprint(
    model: Artifact | Path,
    *,
    sizes: dict[str, int],
    feed: Feed | None = None,
    vocabulary: int | None = None,
) -> Footprint:
    """Measure what a model takes before any request comes.

    Parameters and sparsity follow the rule in ``weights.py``: scales and zero points do not
    count, packed weights count as what they stand for. Multiply-accumulates are those of *one*
    sample at the given sizes of the other axes (counted from a real run, see ``macs.py``). The
    load time is that of files that the system has cached. The peak is the growth of resident
    memory, in a fresh process, by loading the model and running it once with one thread; it is
    none on systems other than Linux.

    Args:
        model: an artifact, its folder, or an ONNX file (one that lies in an artifact's folder
            counts as that artifact).
        sizes: size of each dynamic axis; one that is missing is 1.
        feed: real inputs of these sizes; none: random ones.
        vocabulary: exclusive bound of random integers.

    Raises:
        ModelError: the file cannot be read, loaded or run.
        TooLargeError: there is too little memory.
    """
    path, _ = files_of(model)
    counted = count_footprint(model)
    check_memory(counted.model_bytes, str(path))
    signature = signature_of_graph(read_model(path).graph)
    high = vocabulary or DEFAULT_VOCABULARY
    with tempfile.TemporaryDirectory(prefix="workbench-profile-") as name:
        folder = Path(name)
        inputs = feed if feed is not None else random_feed(signature, sizes, high=high)
        return counted.model_copy(
            update={
                "load_ms": _load_time(path, folder),
                "peak_memory_bytes": _peak_memory(path, folder, inputs),
                "macs": measure_macs(path, sizes=sizes, feed=feed, vocabulary=vocabulary),
            }
        )


def count_footprint(model: Artifact | Path) -> Footprint:
    """What :func:`measure_footprint` reads off the files: sizes, parameters and sparsity.

    Raises:
        ModelError: the file cannot be read.
    """
    path, size_bytes = files_of(model)
    graph = read_model(path)
    own_bytes = model_bytes(path, graph)
    weights = [constant for constant in constants(graph) if constant.weight]
    return Footprint(
        size_bytes=size_bytes or own_bytes,
        model_bytes=own_bytes,
        parameters=sum(weight.elements for weight in weights),
        sparsity=round(sparsity(weights, path.parent), 6),
    )


def measure_macs(
    path: Path,
    *,
    sizes: dict[str, int],
    feed: Feed | None = None,
    vocabulary: int | None = None,
) -> int | None:
    """Multiply-accumulates of one sample, or none where they cannot be told; see ``macs.py``.

    The arguments are those of ``measure_footprint``; of given inputs the first sample is taken.
    """
    model = read_model(path)
    sample = _one_sample(
        signature_of_graph(model.graph), sizes, feed, vocabulary or DEFAULT_VOCABULARY
    )
    with tempfile.TemporaryDirectory(prefix="workbench-profile-") as name:
        spec: dict[str, Any] = {
            "job": "trace",
            "folder": name,
            "models": {
                path.name: {
                    "path": str(path.absolute()),
                    "feed": save_feed(sample, Path(name) / "sample.npz"),
                }
            },
            "threads": 1,
            "plain": True,
            "seconds": 0.0,
            "min_runs": 0,
            "max_runs": 0,
        }
        try:
            traces = run_worker(spec, Path(name))["traces"]
        except ModelError:  # some graphs run only when optimised: then there is no count
            return None
        return count_macs(model, first_run(Path(traces[path.name])))


def files_of(model: Artifact | Path) -> tuple[Path, int | None]:
    """The ONNX file, and the size of all files of the artifact if it is one."""
    if isinstance(model, Artifact):
        return model.model_path, model.size_bytes
    folder = model if model.is_dir() else model.parent
    if not (folder / MANIFEST).is_file():
        return model, None
    artifact = open_artifact(folder, verify=False)
    return (artifact.model_path if model.is_dir() else model), artifact.size_bytes


def _load_time(path: Path, folder: Path) -> Interval:
    spec = {
        "job": "load",
        "name": path.name,
        "path": str(path.absolute()),
        "min_loads": MIN_LOADS,
        "max_loads": MAX_LOADS,
        "seconds": LOAD_SECONDS,
    }
    times = run_worker(spec, folder)["load_ms"]
    estimate = stats.quantile([times], 0.5)
    return Interval(
        value=round(estimate.value, 3),
        low=round(estimate.low, 3),
        high=round(estimate.high, 3),
        n=len(times),
        method="bootstrap over loads, files cached",
        confidence=round(estimate.confidence, 3),
    )


def _peak_memory(path: Path, folder: Path, feed: Feed) -> int | None:
    spec = {
        "job": "memory",
        "name": path.name,
        "path": str(path.absolute()),
        "feed": save_feed(feed, folder / "feed.npz"),
    }
    peak: int | None = run_worker(spec, folder)["peak_memory_bytes"]
    return peak


def _one_sample(signature: Signature, sizes: dict[str, int], given: Feed | None, high: int) -> Feed:
    """The first sample of the given inputs, or a random one."""
    batch = batch_axes(signature)
    if given is None:
        return random_feed(signature, sizes | dict.fromkeys(batch, 1), high=high)
    dynamic = {spec.name for spec in signature.inputs if spec.shape and spec.shape[0] in batch}
    return {name: array[:1] if name in dynamic else array for name, array in given.items()}
