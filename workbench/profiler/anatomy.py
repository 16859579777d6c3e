"""The facts that explanations are made of: a model's constants, and a trace of its runs."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.machine import check_memory
from workbench.profile_options import axis_sizes
from workbench.profiler.child import run_worker, save_feed
from workbench.profiler.graph import model_bytes, read_model, scopes, signature_of_graph
from workbench.profiler.tracing import NodeRun, NodeTime, Trace, read_trace
from workbench.profiler.weights import Constant, constants
from workbench.records import Setting
from workbench.runtime import random_feed

if TYPE_CHECKING:
    import onnx

    from workbench.profiler.child import Feed

SAVE_LIMIT_BYTES = 1_500_000_000
"""Above this the optimised graph is not written to disk (protobuf ends at 2 GB)."""

INT8_OPS = frozenset(
    {
        *("MatMulInteger", "MatMulIntegerToFloat", "QLinearMatMul", "DynamicQuantizeMatMul"),
        *("QGemm", "QAttention", "ConvInteger", "QLinearConv", "DynamicQuantizeLSTM"),
    }
)
FLOAT_OPS = frozenset({"MatMul", "FusedMatMul", "Gemm", "FusedGemm", "Attention"}) | {
    *("Conv", "FusedConv", "NhwcFusedConv", "LSTM", "GRU"),
}
LOOKUPS = frozenset(
    {
        *("Gather", "EmbedLayerNormalization", "QEmbedLayerNormalization"),
        *("GatherBlockQuantized", "GatherElements", "GatherND"),
    }
)

GROUPS: dict[str, str] = {
    op: group
    for group, ops in {
        "matrix products and attention": "MatMul FusedMatMul Gemm FusedGemm "
        "MatMulInteger MatMulIntegerToFloat QLinearMatMul QGemm DynamicQuantizeMatMul "
        "MatMulNBits MatMulBnb4 Einsum Attention QAttention MultiHeadAttention GroupQueryAttention",
        "convolutions": "Conv FusedConv ConvInteger QLinearConv ConvTranspose NhwcFusedConv",
        "recurrent layers": "LSTM GRU RNN DynamicQuantizeLSTM",
        "normalisation": "LayerNormalization SkipLayerNormalization SimplifiedLayerNormalization "
        "SkipSimplifiedLayerNormalization BatchNormalization InstanceNormalization "
        "GroupNormalization RMSNormalization",
        "activations": "Gelu BiasGelu FastGelu QuickGelu Relu LeakyRelu Erf Softmax Sigmoid Tanh "
        "Clip HardSwish HardSigmoid Elu PRelu",
        "embeddings": " ".join(sorted(LOOKUPS)),
        "quantizing": "QuantizeLinear DequantizeLinear DynamicQuantizeLinear",
        "casts": "Cast CastLike",
        "layout": "Transpose Reshape Concat Slice Split Expand Squeeze Unsqueeze Pad Flatten Tile "
        "ReorderInput ReorderOutput",
        "shapes": "Shape ConstantOfShape Range Size",
    }.items()
    for op in ops.split()
}
MOVES = frozenset({"layout", "arithmetic", "embeddings", "casts"})


@dataclass(frozen=True)
class Anatomy:
    """One model, taken apart."""

    path: Path
    file_bytes: int
    model: onnx.ModelProto
    constants: tuple[Constant, ...]
    trace: Trace
    optimized: onnx.ModelProto | None
    isa: tuple[str, ...]
    cpu: str

    @property
    def weights(self) -> tuple[Constant, ...]:
        """Those constants that are weights."""
        return tuple(constant for constant in self.constants if constant.weight)

    @cached_property
    def constant_nodes(self) -> frozenset[str]:
        """Names of nodes that compute the same at every call, from constants alone."""
        known: set[str] = set()
        names: set[str] = set()
        for scope in scopes(self.optimized or self.model):
            known |= set(scope.tensors)
            for node in scope.nodes:
                if node.input and all(name in known for name in node.input if name):
                    known |= set(node.output)
                    names.add(node.name)
        return frozenset(names - {""})

    @cached_property
    def weighted_nodes(self) -> frozenset[str]:
        """Names of nodes, as they run, that have a weight among their inputs."""
        return frozenset(
            use.node.name
            for constant in constants(self.optimized or self.model)
            if constant.weight
            for use in constant.uses
        )

    def ms(self, ops: Iterable[str]) -> float:
        """Time of one run in these operators."""
        wanted = set(ops)
        return sum(node.ms for node in self.trace.nodes if node.run.op in wanted)

    def share(self, ms: float) -> float:
        """A time as a share of one run."""
        return ms / self.trace.total_ms if self.trace.total_ms else 0.0

    def by_group(self) -> dict[str, float]:
        """Milliseconds of one run by group of operators; ``runtime`` is what is in no node."""
        times: dict[str, float] = defaultdict(float)
        for node in self.trace.nodes:
            times[group_of(node.run)] += node.ms
        times["runtime"] = self.trace.runtime_ms
        return dict(times)

    def nodes(self, *ops: str) -> list[NodeTime]:
        """The nodes of these operators."""
        return [node for node in self.trace.nodes if node.run.op in ops]


def group_of(run: NodeRun) -> str:
    """The group of a node's operator; what only handles shapes is told apart."""
    group = GROUPS.get(run.op, "arithmetic")
    integers = all(dtype in ("int64", "int32", "bool") for dtype in run.output_dtypes)
    if group in MOVES and integers and sum(map(prod, run.outputs)) <= 64:
        return "shapes"
    return group


def dissect(
    paths: dict[str, Path],
    *,
    setting: Setting,
    isa: tuple[str, ...],
    cpu: str,
    feeds: dict[str, Feed] | None = None,
    vocabulary: int = 1000,
    seconds: float = 1.5,
) -> dict[str, Anatomy]:
    """Read models and trace them turn by turn in one fresh process.

    Raises:
        ModelError: a model cannot be read, loaded or run.
    """
    models = {name: read_model(path) for name, path in paths.items()}
    sizes = {name: model_bytes(path, models[name]) for name, path in paths.items()}
    check_memory(sum(sizes.values()), ", ".join(str(path) for path in paths.values()))
    with tempfile.TemporaryDirectory(prefix="workbench-profile-") as temporary:
        folder = Path(temporary)
        entries: dict[str, Any] = {}
        for index, (name, path) in enumerate(paths.items()):
            signature = signature_of_graph(models[name].graph)
            axes = axis_sizes(signature, setting.batch, setting.sequence)
            feed = (feeds or {}).get(name) or random_feed(signature, axes, high=vocabulary)
            entries[name] = {
                "path": str(path.absolute()),
                "feed": save_feed(feed, folder / f"feed-{index}.npz"),
                "optimized": sizes[name] < SAVE_LIMIT_BYTES,
            }
        spec = {
            "job": "trace",
            "folder": str(folder),
            "models": entries,
            "threads": setting.threads,
            "plain": False,
            "seconds": seconds * len(paths),
            "min_runs": 5,
            "max_runs": 50,
        }
        traces = run_worker(spec, folder)["traces"]
        return {
            name: Anatomy(
                path=path,
                file_bytes=sizes[name],
                model=models[name],
                constants=tuple(constants(models[name])),
                trace=read_trace(Path(traces[name]), skip=3),
                optimized=_optimized(folder / f"optimized-{index}.onnx"),
                isa=isa,
                cpu=cpu,
            )
            for index, (name, path) in enumerate(paths.items())
        }


def _optimized(file: Path) -> onnx.ModelProto | None:
    return read_model(file) if file.is_file() else None
