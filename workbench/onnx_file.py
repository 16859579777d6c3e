"""Reading ONNX files without trusting them: every fault becomes one clear sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.artifact import disk_errors
from workbench.errors import ModelError

if TYPE_CHECKING:
    import onnx


def read_onnx(path: Path) -> Any:
    """Parse and check an ONNX file with its external data.

    Returns:
        The ``onnx.ModelProto``, weights loaded.

    Raises:
        ModelError: it is missing, empty, truncated, invalid, lacks external data, has an opset
            that the runtime does not know, or weights with NaN or infinity.
    """
    import onnx

    model = _parse(path)
    known = _known_opset()
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version > known:
            raise ModelError(
                f"{path} has opset {opset.version}; the installed onnx knows up to {known}.",
                hint="Export it with a lower opset, or update onnx and onnxruntime.",
            )
    _locations(model, path)
    try:
        onnx.checker.check_model(str(path))
        model = onnx.load(str(path))
    except Exception as error:  # the checker raises its own and protobuf's errors
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{path} is no valid ONNX model: {reason}") from error
    _check_finite(model, path)
    return model


def save_onnx(model: Any, path: Path) -> None:
    """Write a model as one file, or, over protobuf's 2 GB, with its weights beside it.

    Raises:
        MissingError: the disk is full or the folder cannot be written.
    """
    import onnx

    large = model.ByteSize() > 1_900_000_000
    with disk_errors(path):
        path.with_name(f"{path.name}.data").unlink(missing_ok=True)
        onnx.save(
            model,
            str(path),
            save_as_external_data=large,
            all_tensors_to_one_file=True,
            location=f"{path.name}.data",
        )


def external_locations(path: Path) -> list[str]:
    """Relative names of an ONNX file's external data files.

    Raises:
        ModelError: it is no ONNX file, a file is missing, or lies outside its folder.
    """
    return _locations(_parse(path), path)


def _parse(path: Path) -> Any:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    if not path.is_file():
        raise ModelError(f"There is no file {path}.")
    if path.stat().st_size == 0:
        raise ModelError(f"{path} is empty.")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError, OSError) as error:
        raise ModelError(
            f"{path} is no ONNX file, or a truncated one.",
            hint="Copy or export it again.",
        ) from error
    if not model.graph.node and not model.graph.output:
        raise ModelError(f"{path} is no ONNX file: it holds no graph.")
    return model


def _locations(model: Any, path: Path) -> list[str]:
    names = external_names(model)
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ModelError(f"An external data file of the model lies outside its folder: {name}.")
        if not (path.parent / name).is_file():
            raise ModelError(
                f"{path} keeps its weights in '{name}', which is not beside it.",
                hint="Copy the whole folder, not the .onnx file alone.",
            )
    return names


def external_names(model: onnx.ModelProto) -> list[str]:
    """What a model calls its external data files, wherever in it: sorted, each once, unchecked."""
    return sorted(
        {
            entry.value
            for tensor in _tensors(model)
            if tensor.data_location == tensor.EXTERNAL
            for entry in tensor.external_data
            if entry.key == "location"
        }
    )


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """All weights: of the graph, of the graphs in its nodes, and of its functions."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node)


def _of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for graph in (attribute.g, *attribute.graphs):
                yield from _of_graph(graph)


def _check_finite(model: Any, path: Path) -> None:
    import numpy as np
    from onnx import TensorProto, numpy_helper

    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    for tensor in _tensors(model):
        if tensor.data_type not in floats:
            continue
        values = numpy_helper.to_array(tensor, str(path.parent))
        # Masks legitimately hold -inf: only a weight that contains NaN, or a large one that
        # contains infinity, speaks of a damaged model.
        if np.isnan(values).any() or (values.size > 16 and np.isinf(values).any()):
            raise ModelError(
                f"{path.name} has weights that are not finite: '{tensor.name}' holds NaN or inf.",
                hint="The training diverged or the file is damaged: take an earlier checkpoint.",
            )


def _known_opset() -> int:
    import onnx

    return int(onnx.defs.onnx_opset_version())
