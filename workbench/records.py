"""The records that every part of the workbench exchanges and that run directories hold.

All are frozen pydantic models, written as JSON and read back. Units are in the names: ``_ms``
milliseconds, ``_s`` seconds, ``_bytes`` bytes. Unknown keys are refused on reading, so that a
record of a newer schema is never half understood.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from workbench.errors import CorruptError

Format = Literal["torch", "onnx"]
Dimension = int | str
"""A fixed size, or the name of a dynamic axis such as ``batch`` or ``sequence``."""


class Record(BaseModel):
    """Base of all records: frozen, and strict about unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# --- what a model is ---------------------------------------------------------------------------


class TensorSpec(Record):
    """One named input or output: numpy dtype name and shape with named dynamic axes."""

    name: str
    dtype: str
    shape: tuple[Dimension, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]"


class Signature(Record):
    """What goes in and what comes out of a model."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...] = ()

    @property
    def axes(self) -> frozenset[str]:
        """Names of the dynamic axes of the inputs."""
        return frozenset(d for spec in self.inputs for d in spec.shape if isinstance(d, str))


class TextPreprocess(Record):
    """Texts become token ids through a ``tokenizer.json`` that lies in the artifact."""

    kind: Literal["text"] = "text"
    tokenizer: str = "tokenizer.json"
    max_length: int = Field(gt=0, description="Tokens; longer texts are truncated.")
    pad_id: int = 0
    pad_token: str = "[PAD]"


class ImagePreprocess(Record):
    """Images become float32 NCHW: shorter side to ``resize``, centre crop to ``size``, normalise.

    ``(pixel - mean) / std`` with pixels, mean and std on the scale 0..255.
    """

    kind: Literal["image"] = "image"
    size: tuple[int, int] = Field(description="Height and width of the crop.")
    resize: int | None = Field(None, description="Shorter side before the crop; none: no resize.")
    resample: Literal["bilinear", "bicubic"] = Field(
        "bilinear", description="Filter of the resize, with antialiasing (as Pillow's)."
    )
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: Literal["RGB", "L"] = "RGB"


class BytesPreprocess(Record):
    """File contents become token ids: the first and the last bytes, padded (Magika's features).

    The content is read in blocks of ``block`` bytes at either end and stripped of white space,
    then ``begin`` and ``end`` bytes of it are taken.
    """

    kind: Literal["bytes"] = "bytes"
    begin: int = Field(gt=0)
    end: int = Field(gt=0)
    block: int = Field(gt=0)
    padding: int


Preprocess = TextPreprocess | ImagePreprocess | BytesPreprocess


class Architecture(Record):
    """What transformer fusion needs to know; absent for models that are no transformers."""

    model_type: str
    num_heads: int = 0
    hidden_size: int = 0
    layers: int = 0


class Pooling(Record):
    """How token embeddings become one sentence embedding (sentence-transformers' modules)."""

    mode: Literal["mean", "cls"] = "mean"
    normalize: bool = True


class Structure(Record):
    """How a torch module differs from what its factory or configuration builds.

    Parameters take the shapes that the stored weights have. ``kept`` are the positions of the
    children that a list of modules keeps; ``attributes`` the numbers that forward methods read,
    by module; ``sparse`` the parameters whose zeros are to stay zeros.
    """

    kept: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    attributes: dict[str, dict[str, int | tuple[int, ...]]] = Field(default_factory=dict)
    sparse: tuple[str, ...] = ()


class TorchSource(Record):
    """How to build the torch module of a ``torch`` artifact.

    ``huggingface``: the artifact's folder is loaded by transformers. ``factory``: ``factory`` is
    ``module:function`` (or ``file.py:function`` beside the manifest), ``weights`` its state dict.
    A huggingface artifact that a step has changed has ``weights`` too: its whole state dict.
    """

    kind: Literal["huggingface", "factory"]
    factory: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)
    weights: str | None = None
    structure: Structure | None = None
    task: str | None = Field(None, description="transformers task, such as feature-extraction.")
    pooling: Pooling | None = None


class FileRecord(Record):
    """Size and SHA-256 of one file of an artifact."""

    bytes: int
    sha256: str


class Skipped(Record):
    """Something a step left alone, and why."""

    name: str
    reason: str


class Parity(Record):
    """How far a step's result is from its parent on real inputs.

    ``max_abs`` is the largest absolute difference of any output value; ``cosine_min`` the
    smallest cosine between the flattened outputs of one sample. ``within`` compares ``max_abs``
    with the step's stated tolerance; none where the step states none.
    """

    max_abs: float
    cosine_min: float
    samples: int
    tolerance: float | None = None
    within: bool | None = None


class Account(Record):
    """What a step did: every step leaves one."""

    summary: str
    changed: dict[str, int] = Field(default_factory=dict, description="Kind of change: how many.")
    skipped: tuple[Skipped, ...] = ()
    choices: dict[str, Any] = Field(default_factory=dict, description="What was chosen, and what.")
    bytes_before: dict[str, int] = Field(default_factory=dict, description="By part of the model.")
    bytes_after: dict[str, int] = Field(default_factory=dict)
    parity: Parity | None = None


class StepRecord(Record):
    """One step of an artifact's lineage."""

    step: str
    options: dict[str, Any]
    key: str
    seconds: float
    account: Account


class Manifest(Record):
    """``manifest.json`` of an artifact: the format that workbench and containers share."""

    schema_version: Literal[1] = 1
    name: str
    format: Format
    model_file: str | None = Field(None, description="The ONNX file; none for torch artifacts.")
    source: TorchSource | None = Field(None, description="Only for torch artifacts.")
    signature: Signature
    preprocess: Preprocess | None = Field(None, discriminator="kind")
    labels: tuple[str, ...] | None = None
    architecture: Architecture | None = None
    files: dict[str, FileRecord] = Field(default_factory=dict)
    lineage: tuple[StepRecord, ...] = ()


# --- what was measured -------------------------------------------------------------------------


class Machine(Record):
    """Where a measurement was taken."""

    cpu: str
    isa: tuple[str, ...] = Field(description="Instruction sets that matter for inference.")
    cores: int
    memory_bytes: int
    gpu: str | None = None
    system: str
    python: str
    versions: dict[str, str]
    load_average: float = Field(description="One-minute load average when it was recorded.")
    governor: str | None = None
    instance_type: str | None = Field(None, description="The cloud's name of it, where asked for.")


class Interval(Record):
    """A figure with its interval; ``n`` samples, ``method`` says how it was made."""

    value: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    n: int
    method: str = "bootstrap"
    confidence: float = 0.95


class Worst(Record):
    """One of the samples that suffered most."""

    sample: str
    value: float
    detail: str = ""


class Quality(Record):
    """How good an artifact is on a task, and how close to the baseline.

    ``difference`` is artifact minus baseline, paired over the samples; ``agreement`` holds
    label-free figures against the baseline, such as ``cosine_mean``.
    """

    metric: str
    score: Interval | None = Field(None, description="None where the task has no labels.")
    difference: Interval | None = None
    agreement: dict[str, float] = Field(default_factory=dict)
    samples: int
    worst: tuple[Worst, ...] = ()


class Setting(Record):
    """One cell of the latency grid."""

    batch: int
    sequence: int | None = None
    threads: int
    device: Literal["cpu", "cuda"] = "cpu"

    def __str__(self) -> str:
        sequence = f" × {self.sequence}" if self.sequence else ""
        device = "" if self.device == "cpu" else f" {self.device}"
        return f"{self.batch}{sequence}, {self.threads} thr{device}"


class Latency(Record):
    """Latency of one artifact in one cell, measured interleaved with the baseline.

    A percentile is none where too few samples were taken to speak of it: p95 asks for 20, p99
    for 100. ``steady`` is false when the rounds disagree: the intervals then understate the doubt.
    """

    setting: Setting
    p50_ms: Interval
    p95_ms: Interval | None = None
    p99_ms: Interval | None = None
    mean_ms: float
    speedup: Interval | None = Field(None, description="Baseline's p50 over this p50.")
    steady: bool = True
    samples_ms: tuple[float, ...] = ()


class LatencyTable(Record):
    """The latencies of artifacts that were measured side by side, by name."""

    cells: dict[str, tuple[Latency, ...]]
    skipped: tuple[Skipped, ...] = ()
    machine: Machine
    measured: str = Field(description="When: ISO 8601, UTC.")


class Footprint(Record):
    """Size, parameters, load time and memory."""

    size_bytes: int = Field(description="All files of the model: graph, weights, tokenizer.")
    model_bytes: int = Field(description="The ONNX graph and its weights alone.")
    parameters: int
    sparsity: float = Field(description="Share of weights that are exactly zero.")
    macs: int | None = Field(None, description="Multiply-accumulates of one sample.")
    load_ms: Interval | None = None
    peak_memory_bytes: int | None = Field(
        None, description="Growth of the resident peak in a fresh process that loads and runs."
    )


class Measurement(Record):
    """All that was measured of one artifact."""

    footprint: Footprint
    quality: Quality | None = None
    latency: tuple[Latency, ...] = ()
    skipped: tuple[Skipped, ...] = ()


class Outcome(StrEnum):
    """How a gate came out."""

    PASS = "pass"
    FAIL = "fail"
    UNDECIDED = "undecided"
    NOT_JUDGED = "not judged"


class Verdict(Record):
    """A gate, judged for one variant."""

    gate: str
    variant: str
    outcome: Outcome
    observed: Interval | None = None
    bound: float | None = None
    reason: str


class VariantResult(Record):
    """One variant of a run."""

    name: str
    baseline: bool
    key: str
    signature: Signature
    lineage: tuple[StepRecord, ...]
    measurement: Measurement | None = None


class Run(Record):
    """``run.json``: the whole truth of a run; tables and reports are views of it."""

    schema_version: Literal[1] = 1
    name: str
    created: str = Field(description="ISO 8601, UTC.")
    smoke: bool = False
    recipe: dict[str, Any]
    model: str
    task: str
    machine: Machine = Field(description="As it was when the latency was measured.")
    measured: str = Field(description="When the latency was measured: ISO 8601, UTC.")
    variants: tuple[VariantResult, ...]
    verdicts: tuple[Verdict, ...] = ()
    traffic: dict[str, Any] | None = Field(
        None, description="The traffic that the recipe names, as workbench.cost.traffic reads it."
    )
    seconds: float
    reused: int = Field(0, description="Steps and measurements taken from the store.")
    performed: int = 0

    @property
    def baseline(self) -> VariantResult:
        """The variant that the others were measured beside and are held against.

        Raises:
            CorruptError: no variant is marked as it.
        """
        for variant in self.variants:
            if variant.baseline:
                return variant
        raise CorruptError(f"The run '{self.name}' names no baseline.")

    def variant(self, name: str) -> VariantResult | None:
        """A variant's results, or none."""
        return next((variant for variant in self.variants if variant.name == name), None)

    def passed(self, *, strict: bool = False) -> bool:
        """Whether no gate failed; when strict, an undecided one is a failure too."""
        bad = {Outcome.FAIL, Outcome.UNDECIDED} if strict else {Outcome.FAIL}
        return all(verdict.outcome not in bad for verdict in self.verdicts)
