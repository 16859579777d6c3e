"""Export a torch model to ONNX: through Optimum where it knows the architecture, else torch's own.

Optimum (``optimum-onnx``) is behind one seam, :func:`_through_optimum`: it is young and pins
transformers. What it does not know goes the general way, :func:`_through_torch`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from workbench.artifact import Artifact, copy_side_files
from workbench.errors import StepError
from workbench.onnx_file import read_onnx, save_onnx
from workbench.records import Account, Format, Manifest, Parity, Pooling, Signature, TensorSpec
from workbench.runtime import few, open_session, random_feed, runtime_reason, signature_of
from workbench.steps import Step, StepContext
from workbench.steps._forward import forward, reason_of, tensors_of
from workbench.steps._graph import Graph
from workbench.steps._parts import bytes_by_part
from workbench.steps._pooling import append_pooling
from workbench.torch_modules import load_torch

if TYPE_CHECKING:
    import numpy as np

    Feed = dict[str, np.ndarray]

EMBEDDING = "sentence_embedding"
PARITY_BATCH = 4


class Export(Step):
    """Torch to ONNX, with named inputs and outputs, dynamic axes and checked parity."""

    name: ClassVar[str] = "export"
    accepts: ClassVar[Format] = "torch"
    makes: ClassVar[Format] = "onnx"
    seconds: ClassVar[float] = 12.0

    opset: int = Field(18, ge=13, le=23, description="ONNX opset of the exported graph.")
    rtol: float = Field(
        1e-3,
        gt=0,
        description="Largest allowed difference to torch, relative to the largest output value.",
    )

    @property
    def uses_data(self) -> bool:
        """Parity is checked on the task's calibration data."""
        return True

    def apply(
        self, source: Artifact, target: Path, context: StepContext
    ) -> tuple[Manifest, Account]:
        """Export ``source``; see :class:`Step`.

        Raises:
            StepError: the model cannot be exported, keeps state between calls, or the ONNX model
                disagrees with torch by more than ``rtol``.
        """
        import torch

        manifest = source.manifest
        feeds = _feeds(context, source)
        module = load_torch(source.path, manifest)
        reference = _reference(module, manifest)
        with _quiet(), torch.inference_mode():
            expected = [reference(feed) for feed in feeds]
            self._check_stateless(reference, feeds[-1], expected[-1])
        context.progress(1, 4)

        target_path = target / "model.onnx"
        exporter, notes = self._export(module, manifest, feeds[0], target_path)
        context.progress(2, 4)

        model = read_onnx(target_path)
        _name_axes(model)
        pooling = manifest.source.pooling if manifest.source else None
        if pooling is not None:
            append_pooling(model, pooling, EMBEDDING)
        save_onnx(model, target_path)
        session = open_session(target_path)
        context.progress(3, 4)

        parity = self._parity(session, feeds, expected)
        copy_side_files(source, target)
        account = Account(
            summary=f"exported by {exporter}, opset {_opset(model)}, "
            f"{len(model.graph.node)} nodes; worst difference to torch {parity.max_abs:.1e} "
            f"over {parity.samples} inputs at {len(feeds)} shapes",
            choices={"exporter": exporter, "opset": _opset(model), **notes},
            bytes_after=bytes_by_part(Graph(model)),
            parity=parity,
        )
        made = manifest.model_copy(
            update={
                "format": "onnx",
                "model_file": "model.onnx",
                "source": None,
                "signature": signature_of(session),
            }
        )
        return made, account

    def _export(
        self, module: Any, manifest: Manifest, feed: Feed, path: Path
    ) -> tuple[str, dict[str, Any]]:
        """Write the ONNX file; returns the exporter's name and what is to be reported of it."""
        huggingface = manifest.source is not None and manifest.source.kind == "huggingface"
        if huggingface:
            task = (manifest.source.task if manifest.source else None) or "feature-extraction"
            if _through_optimum(module, task, self.opset, path):
                return "optimum", {
                    "pooling": _describe(manifest.source.pooling if manifest.source else None)
                }
        return _through_torch(module, manifest.signature, feed, self.opset, path)

    def _check_stateless(
        self, reference: Callable[[Feed], np.ndarray], feed: Feed, first: np.ndarray
    ) -> None:
        import numpy as np

        if not np.allclose(reference(feed), first, rtol=1e-4, atol=1e-5):
            raise StepError(
                "The model gives another answer when it is called again with the same input.",
                hint="It keeps state on itself or draws random numbers: pass the state in and out.",
            )

    def _parity(self, session: Any, feeds: list[Feed], expected: list[np.ndarray]) -> Parity:
        import numpy as np

        worst, cosine, samples, scale = 0.0, 1.0, 0, 0.0
        names = {node.name for node in session.get_inputs()}
        for feed, wanted in zip(feeds, expected, strict=True):
            try:
                got = session.run(None, {k: v for k, v in feed.items() if k in names})[0]
            except Exception as error:  # onnxruntime raises many unrelated types
                raise StepError(
                    f"The exported model fails on a real input: {runtime_reason(error)}"
                ) from error
            if got.shape != wanted.shape:
                raise StepError(f"The exported model gives {got.shape}, torch {wanted.shape}.")
            worst = max(worst, float(np.abs(got - wanted).max()))
            scale = max(scale, float(np.abs(wanted).max()))
            flat, ref = got.reshape(len(got), -1), wanted.reshape(len(got), -1)
            norms = np.linalg.norm(flat, axis=1) * np.linalg.norm(ref, axis=1)
            cosine = min(cosine, float(((flat * ref).sum(1) / np.maximum(norms, 1e-12)).min()))
            samples += len(got)
        tolerance = self.rtol * max(scale, 1e-6)
        if not worst <= tolerance:
            raise StepError(
                f"The exported model disagrees with torch by {worst:.2e}, over the tolerance "
                f"{tolerance:.2e}.",
                hint="A branch of the Python code may depend on the data; try another opset.",
            )
        return Parity(
            max_abs=worst, cosine_min=cosine, samples=samples, tolerance=tolerance, within=True
        )


def _feeds(context: StepContext, source: Artifact) -> list[Feed]:
    """Real inputs at several shapes: a batch, its first sample alone, and that one's first half."""
    first = next(context.calibration(source), None)
    if first is None:
        sizes = {"batch": 2, "sequence": 16}
        return [random_feed(source.manifest.signature, sizes)]
    signature = source.manifest.signature
    some, alone = few(first, signature, PARITY_BATCH), few(first, signature, 1)
    dynamic = {spec.name: spec.shape for spec in signature.inputs}
    half = {
        name: value[:, : max(2, value.shape[1] // 2)]
        if len(dynamic.get(name, ())) > 1 and isinstance(dynamic[name][1], str)
        else value
        for name, value in alone.items()
    }
    return [some, alone, half]


def _reference(module: Any, manifest: Manifest) -> Callable[[Feed], np.ndarray]:
    """torch's answer to a feed as the exported graph shall give it: its first output, pooled."""
    import torch

    run = forward(module, manifest)

    def answer(feed: Feed) -> np.ndarray:
        with torch.no_grad():
            result: np.ndarray = run(tensors_of(feed)).float().numpy().copy()
            return result

    return answer


def _through_optimum(module: Any, task: str, opset: int, path: Path) -> bool:
    """Export by Optimum; False where it does not know the architecture or task.

    Raises:
        StepError: Optimum knows it and fails.
    """
    from optimum.exporters.onnx import export
    from optimum.exporters.tasks import TasksManager

    kind = module.config.model_type.replace("_", "-")
    try:
        supported = TasksManager.get_supported_tasks_for_model_type(
            kind, exporter="onnx", library_name="transformers"
        )
    except KeyError:
        return False
    if task not in supported:
        return False
    with _quiet():
        make = TasksManager.get_exporter_config_constructor(
            "onnx", model=module, task=task, library_name="transformers"
        )
        try:
            export(module, make(module.config), path, opset=opset, do_constant_folding=True)
        except Exception as error:  # the tracer raises whatever the model's code raises
            raise StepError(f"Optimum cannot export this {kind}: {reason_of(error)}") from error
    return True


def _through_torch(
    module: Any, signature: Signature, feed: Feed, opset: int, path: Path
) -> tuple[str, dict[str, Any]]:
    """Export by torch's exporter, or, reported, by its older tracing one.

    Raises:
        StepError: both fail; the message gives the exporter's reason.
    """
    import torch

    specs = _complete(signature, feed)
    names = [spec.name for spec in specs]
    values = tuple(torch.from_numpy(feed[name]) for name in names)
    axes = {
        spec.name: {axis: dim for axis, dim in enumerate(spec.shape) if isinstance(dim, str)}
        for spec in specs
    }
    common: dict[str, Any] = {"input_names": names, "opset_version": opset}
    with _quiet():
        try:
            dims = {dim: torch.export.Dim(dim) for spec in axes.values() for dim in spec.values()}
            shapes = tuple({axis: dims[dim] for axis, dim in axes[name].items()} for name in names)
            program = torch.onnx.export(
                module, values, dynamo=True, dynamic_shapes=shapes, verbose=False, **common
            )
            program.save(str(path), external_data=False)
            _rename_outputs(path)
            return "torch.onnx (torch.export)", {}
        except Exception as error:  # the exporter raises whatever the model's code raises
            first = reason_of(error)
        path.unlink(missing_ok=True)
        _refuse_data_dependence(first)
        try:
            torch.onnx.export(module, values, str(path), dynamo=False, dynamic_axes=axes, **common)
        except Exception as error:
            raise StepError(
                f"The model cannot be exported: {first} "
                f"The tracing exporter says: {reason_of(error)}"
            ) from error
    _rename_outputs(path, {"batch"} if any(0 in a for a in axes.values()) else set())
    return "torch.onnx (tracing)", {"torch.export_failed": first}


def _complete(signature: Signature, feed: Feed) -> tuple[TensorSpec, ...]:
    """The signature's inputs, or what the feed holds with its first axis dynamic."""
    if signature.inputs:
        return signature.inputs
    return tuple(
        TensorSpec(name=name, dtype=str(value.dtype), shape=("batch", *value.shape[1:]))
        for name, value in feed.items()
    )


def _refuse_data_dependence(reason: str) -> None:
    """A loop or branch over data traces into something that is right for one input only."""
    signs = ("data-dependent", "Could not guard", "GuardOnDataDependent", "control flow")
    if any(sign in reason for sign in signs):
        raise StepError(
            f"The model's Python code branches or loops on the data: {reason}",
            hint="Write it with torch.where, torch.cond or a mask, so that one graph fits all.",
        )


def _rename_outputs(path: Path, dynamic: set[str] | None = None) -> None:
    """Give outputs plain names: ``output``, or ``output_0``, ``output_1`` …"""
    import onnx

    model = onnx.load(str(path))
    outputs = [output.name for output in model.graph.output]
    inputs = {value.name for value in model.graph.input}
    plain = ["output"] if len(outputs) == 1 else [f"output_{i}" for i in range(len(outputs))]
    rename = {old: new for old, new in zip(outputs, plain, strict=True) if old not in inputs}
    for node in model.graph.node:
        for values in (node.input, node.output):
            for index, value in enumerate(values):
                values[index] = rename.get(value, value)
    for value in [*model.graph.output, *model.graph.value_info]:
        value.name = rename.get(value.name, value.name)
    for value in model.graph.output:
        dims = value.type.tensor_type.shape.dim
        if dynamic and len(dims) and "batch" in dynamic:
            dims[0].dim_param = "batch"
    save_onnx(model, path)


def _name_axes(model: Any) -> None:
    """Call the batch and sequence axes what the rest of the workbench calls them."""
    known = {
        "batch_size": "batch",
        "sequence_length": "sequence",
        "encoder_sequence_length": "sequence",
    }
    graph = model.graph
    for value in [*graph.input, *graph.output, *graph.value_info]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in known:
                dim.dim_param = known[dim.dim_param]


def _opset(model: Any) -> int:
    return next(int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx"))


def _describe(pooling: Pooling | None) -> str:
    if pooling is None:
        return "none"
    return f"{pooling.mode}{' + normalize' if pooling.normalize else ''}, in the graph"


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the exporters' warnings: what matters of them is in the account."""
    loggers = [logging.getLogger(n) for n in ("torch", "torch.onnx", "transformers", "optimum")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
