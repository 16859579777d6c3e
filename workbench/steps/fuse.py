"""Fuse many small nodes into few fast ones."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from workbench.artifact import Artifact
from workbench.errors import StepError
from workbench.records import Account, Architecture, Format, Manifest, Skipped
from workbench.runtime import runtime_reason
from workbench.steps import Step, StepContext
from workbench.steps._graph import Graph, attribute, load, raise_opset, save
from workbench.steps._parts import bytes_by_part

if TYPE_CHECKING:
    import onnx

LAYER_NORM_OPSET = 17
FAMILIES = {
    **dict.fromkeys(("bart", "mbart", "marian", "blenderbot", "pegasus"), "bart"),
    **dict.fromkeys(("gpt2", "gpt_bigcode"), "gpt2"),
    **dict.fromkeys(("t5", "mt5", "longt5"), "t5"),
    **dict.fromkeys(("vit", "deit", "beit", "dinov2"), "vit"),
    **{name: name for name in ("clip", "swin", "conformer", "phi", "gpt_neox", "qwen3")},
}
"""Which pattern set of onnxruntime fits an architecture; any other is tried as ``bert``."""

ATTENTION = ("MultiHeadAttention", "Attention", "GroupQueryAttention")


class Fuse(Step):
    """Fuse nodes: attention, GELU and normalisation of transformers; constants everywhere.

    Transformers go through onnxruntime's pattern library, everything else through onnxslim
    (constant folding, batch normalisation into convolution, dead nodes). Three choices were made
    by measuring MiniLM on one thread of a CPU, at batch × sequence of (8, 64) and (32, 128):

    - ``MultiHeadAttention`` and not ``Attention``: the weights stay plain MatMuls that the
      quantize step sees, at the same speed.
    - The attention mask stays as it is. The pattern library's default counts its ones, which is
      wrong for left padding and for masks with holes (outputs off by 0.2, silently).
    - ``SkipLayerNormalization`` is taken apart into ``Sum`` + ``LayerNormalization``: the fused
      kernel is a scalar loop on CPUs (95 ms of 1190 at (32, 128), against 23). ``Sum`` and not
      ``Add``, because onnxruntime would fuse an Add again when it loads the model.
    """

    name: ClassVar[str] = "fuse"
    accepts: ClassVar[Format] = "onnx"
    makes: ClassVar[Format] = "onnx"
    shorthand: ClassVar[str | None] = "device"
    seconds: ClassVar[float] = 5.0

    device: Literal["cpu", "cuda"] = Field(
        "cpu", description="Whose kernels to aim at: cuda keeps the fused skip and embedding norms."
    )
    attention: bool = Field(True, description="Fuse attention; false leaves it as single nodes.")

    @property
    def tolerance(self) -> float | None:
        """Fusing only reorders floating point sums."""
        return 1e-3

    def apply(
        self, source: Artifact, target: Path, context: StepContext
    ) -> tuple[Manifest, Account]:
        """Fuse the graph and say what was fused."""
        before = load(source)
        nodes_before = len(before.graph.node)
        parts_before = bytes_by_part(Graph(_copy(before)))
        architecture = source.manifest.architecture
        skipped: tuple[Skipped, ...] = ()
        if architecture or _looks_like_transformer(before):
            model, changed = self._transformer(before, architecture)
            missing = _unfused_attention(changed, architecture) if self.attention else None
            skipped = (missing,) if missing else ()
            how = "onnxruntime's transformer patterns"
        else:
            model, changed = _simplify(before)
            how = "onnxslim"
        graph = Graph(model)
        if self.device == "cpu" and (split := _split_skip_norms(graph)):
            left = changed.pop("SkipLayerNormalization", split) - split
            changed |= {"SkipLayerNormalization": left} if left > 0 else {}
            changed["LayerNormalization"] = changed.get("LayerNormalization", 0) + split
        # The pattern library uses its operators and may leave out the import of their domain.
        for domain in {node.domain for node in graph.nodes} - {"", "ai.onnx"}:
            graph.need_domain(domain)
        result = graph.finish()
        removed = nodes_before - len(result.graph.node)
        manifest = save(result, source, target)
        return manifest, Account(
            summary=_summary(changed, removed, len(result.graph.node), how),
            changed=changed,
            skipped=skipped,
            choices={"device": self.device, "with": how, "nodes_before": nodes_before}
            | {"nodes_after": len(result.graph.node)},
            bytes_before=parts_before,
            bytes_after=bytes_by_part(graph),
        )

    def _transformer(
        self, model: onnx.ModelProto, architecture: Architecture | None
    ) -> tuple[onnx.ModelProto, dict[str, int]]:
        from onnxruntime.transformers import optimizer
        from onnxruntime.transformers.fusion_options import FusionOptions

        held = Counter(node.op_type for node in model.graph.node)  # the model is changed in place
        family = FAMILIES.get(architecture.model_type, "bert") if architecture else "bert"
        options = FusionOptions(family)
        options.use_multi_head_attention = True
        options.use_raw_attention_mask(True)
        options.enable_attention = self.attention
        # A fused embedding hides its tables from the quantize step and gains nothing on a CPU.
        options.enable_embed_layer_norm = self.device == "cuda"
        try:
            with _quiet():
                fused = optimizer.optimize_model(
                    raise_opset(model, LAYER_NORM_OPSET) if self.device == "cpu" else model,
                    model_type=family,
                    num_heads=architecture.num_heads if architecture else 0,
                    hidden_size=architecture.hidden_size if architecture else 0,
                    optimization_options=options,
                    opt_level=0,
                )
                statistics = fused.get_fused_operator_statistics()
        except StepError:
            raise
        except Exception as error:  # the pattern library raises whatever its graph walks meet
            raise StepError(
                f"onnxruntime's transformer patterns failed: {runtime_reason(error)}",
                hint="Leave the fuse step out, or set its attention to false.",
            ) from error
        changed = {op: int(count) - held[op] for op, count in statistics.items()}
        return fused.model, {op: count for op, count in changed.items() if count > 0}


def _simplify(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, int]]:
    import onnxslim

    held = Counter(node.op_type for node in model.graph.node)
    try:
        with _quiet():
            slim = onnxslim.slim(_copy(model))
    except Exception as error:  # onnxslim raises many unrelated types
        raise StepError(f"onnxslim failed: {runtime_reason(error)}") from error
    left = Counter(node.op_type for node in slim.graph.node)
    gone = {op: held[op] - left[op] for op in sorted(held) if held[op] > left[op]}
    return slim, {f"{op} removed": count for op, count in gone.items()}


def _split_skip_norms(graph: Graph) -> int:
    """Take SkipLayerNormalization apart into a faster pair of kernels; says how many."""
    from onnx import helper

    if graph.opset < LAYER_NORM_OPSET:
        return 0
    nodes = []
    split = 0
    consumed = graph.consumers()
    for node in graph.nodes:
        # Outputs: normalised, mean, inverse deviation, and the sum before the norm.
        statistics_used = any(name and consumed.get(name) for name in list(node.output)[1:3])
        if node.op_type != "SkipLayerNormalization" or statistics_used:
            nodes.append(node)
            continue
        split += 1
        x, skip, gamma, *rest = node.input
        beta, bias = ([*rest, "", ""])[:2]
        total = node.output[3] if len(node.output) > 3 and node.output[3] else f"{node.name}_sum"
        terms = [x, skip, *([bias] if bias else [])]
        nodes.append(helper.make_node("Sum", terms, [total], name=f"{node.name}_Sum"))
        nodes.append(
            helper.make_node(
                "LayerNormalization",
                [total, gamma, *([beta] if beta else [])],
                [node.output[0]],
                name=node.name,
                axis=-1,
                epsilon=attribute(node, "epsilon", 1e-12),
            )
        )
    graph.nodes = nodes
    return split


def _looks_like_transformer(model: onnx.ModelProto) -> bool:
    """Whether the graph multiplies activations with each other around a Softmax."""
    constants = {tensor.name for tensor in model.graph.initializer}
    constants |= {n.output[0] for n in model.graph.node if n.op_type == "Constant"}
    softmax = any(node.op_type == "Softmax" for node in model.graph.node)
    return softmax and any(
        node.op_type == "MatMul" and not constants & set(node.input) for node in model.graph.node
    )


def _unfused_attention(
    changed: dict[str, int], architecture: Architecture | None
) -> Skipped | None:
    done = sum(changed.get(op, 0) for op in ATTENTION)
    layers = architecture.layers if architecture else 0
    if done and done >= layers:
        return None
    return Skipped(
        name="attention",
        reason=f"{done} of {layers or 'an unknown number of'} layers match a pattern that "
        "onnxruntime knows; the others stay as single nodes",
    )


def _summary(changed: dict[str, int], removed: int, left: int, how: str) -> str:
    if not changed and removed <= 0:
        return f"Nothing was fused: {how} found nothing to do in {left} nodes."
    what = ", ".join(f"{count} {op}" for op, count in changed.items()) or "no operators"
    fused = what if how == "onnxslim" else f"fused {what}"
    return f"{fused[0].upper()}{fused[1:]}; {left} nodes are left of {left + removed}."


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    twin = type(model)()
    twin.CopyFrom(model)
    return twin


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what the libraries log and print, and the files that they drop where they run.

    The account says what was done. onnxruntime's shape inference writes the whole model into the
    current folder when it does not get through.
    """
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="workbench-fuse-") as folder,
            contextlib.chdir(folder),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            yield
    finally:
        logging.disable(level)
