"""One loaded model: its session, preprocessing, and whether its requests may share a batch."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from onnx_server.curve import BatchCurve
from onnx_server.errors import BadRequest, InvalidModel, ModelError, ServerError
from onnx_server.manifest import Manifest, Tensor
from onnx_server.preprocess import Preprocessor, make_preprocessor
from onnx_server.signature import with_signature

Feed = dict[str, np.ndarray]

TOLERANCE = 1e-5
"""Largest difference between a row computed alone and in a batch, relative to the largest value."""

CUDA = "CUDAExecutionProvider"

MISFIT = re.compile(
    r"out of (data )?bounds|out of range|mismatch|broadcast|dimension|shape\b", re.IGNORECASE
)
"""In what onnxruntime says when sizes or indices do not fit, which it calls a failure at times."""

SOURCE = re.compile(r"^\S+\.(h|cc):\d+ ")

SAMPLES: dict[str, tuple[Any, Any]] = {
    "text": ("A short text.", "A longer text, so that the two are padded when run as one batch."),
    "bytes": (b"print('hello')\n" * 20, b"# A title\n\nSome words.\n" * 30),
}


class Model:
    """A model in memory. ``run`` may be called from several threads at a time.

    ``batches`` says whether rows of different requests may run together: the model must take any
    number of rows, and must give the same answer to a row alone and beside another (dynamic
    quantization with one scale for the whole batch does not); ``why_not`` says why when not.
    """

    def __init__(self, manifest: Manifest, *, threads: int, device: str, max_batch: int) -> None:
        """Load and warm up.

        Raises:
            InvalidModel: the files cannot be read, or the model does not run on a sample.
        """
        self.preprocessor: Preprocessor | None = make_preprocessor(manifest)
        self.session = _session(manifest, threads, device)
        if not manifest.inputs:
            graph = self.session
            manifest = with_signature(manifest, graph.get_inputs(), graph.get_outputs())
        self.manifest = manifest
        # A thread's CPU time is what the work costs, however many other threads want the CPUs.
        alone = threads == 1 and device == "cpu"
        self.clock: Callable[[], float] = time.thread_time if alone else time.perf_counter
        self.memory_bytes = 0
        self.load_s = 0.0
        self._check_signature()
        self.fixed_rows = _fixed_rows(manifest.inputs)
        self.pads = manifest.preprocess is not None and manifest.preprocess.kind == "text"
        self._pad_id = int(manifest.preprocess.options.get("pad_id", 0)) if self.pads else 0  # type: ignore[union-attr]
        self._output_names = [tensor.name for tensor in manifest.outputs]
        self._max_batch = max_batch
        self._curves: dict[Any, BatchCurve] = {}
        self.batches = False
        self.batches, self.why_not = self._warm_up()

    def run(self, feed: Feed) -> Feed:
        """Outputs by name for a checked feed.

        Models of a fixed batch size run part by part, and so do more rows than may be batched: a
        request of 100 kB can hold so many texts that running them at once takes gigabytes.

        Raises:
            BadRequest: the signature allows the feed, but the graph cannot take its values or size,
                such as an id beyond its vocabulary.
            ModelError: the runtime failed.
        """
        first = next(iter(feed.values()))
        rows = first.shape[0] if first.ndim else 1
        size = self.fixed_rows or (self._max_batch if self.batches else rows)
        if rows == size or (rows < size and not self.fixed_rows):
            return self._run(feed)
        parts = [self._run(part) for part in _parts(feed, rows, size, fill=bool(self.fixed_rows))]
        return {
            name: np.concatenate([part[name] for part in parts])[:rows]
            for name in self._output_names
        }

    def _run(self, feed: Feed) -> Feed:
        try:
            outputs = self.session.run(self._output_names, feed)
        except Exception as error:  # onnxruntime's errors share no base class
            raise _failure(error) from error
        return dict(zip(self._output_names, outputs, strict=True))

    # --- batching ------------------------------------------------------------------------------

    def bucket(self, feed: Feed) -> Any:
        """What two requests must have in common to share a batch.

        Texts: the length rounded up to a power of two (they are padded to the longest). Others:
        all sizes but that of the first axis.
        """
        if self.pads:
            return max(16, 1 << (next(iter(feed.values())).shape[1] - 1).bit_length())
        return tuple(array.shape[1:] for array in feed.values())

    def curve(self, bucket: Any) -> BatchCurve:
        """The measured batch curve of a bucket."""
        if bucket not in self._curves:
            if len(self._curves) >= 64:  # shapes are the client's: keep few
                self._curves.clear()
            self._curves[bucket] = BatchCurve(self._max_batch)
        return self._curves[bucket]

    def join(self, feeds: Sequence[Feed]) -> Feed:
        """One feed of several, padded with masks where the model reads text."""
        if self.pads:
            length = max(next(iter(feed.values())).shape[1] for feed in feeds)
            return {name: self._padded(name, feeds, length) for name in feeds[0]}
        return {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}

    def _padded(self, name: str, feeds: Sequence[Feed], length: int) -> np.ndarray:
        fill = self._pad_id if name == "input_ids" else 0
        rows = sum(len(feed[name]) for feed in feeds)
        joined = np.full((rows, length), fill, feeds[0][name].dtype)
        start = 0
        for feed in feeds:
            array = feed[name]
            joined[start : start + len(array), : array.shape[1]] = array
            start += len(array)
        return joined

    def per_row(self) -> bool:
        """Whether each output may have a row for each row of the inputs, as far as is told.

        Exporters name one and the same axis differently, so a run on two rows has the last word.
        """
        axis = {t.shape[0] if t.shape else 0 for t in self.manifest.inputs}
        free = all(t.shape and isinstance(t.shape[0], str) for t in self.manifest.outputs)
        return len(axis) == 1 and free

    # --- loading -------------------------------------------------------------------------------

    def _check_signature(self) -> None:
        for told, found in (
            (self.manifest.inputs, self.session.get_inputs()),
            (self.manifest.outputs, self.session.get_outputs()),
        ):
            names = {tensor.name for tensor in told}
            if not names or names - {item.name for item in found}:
                missing = ", ".join(sorted(names - {item.name for item in found})) or "no tensor"
                raise InvalidModel(f"The manifest names {missing}, which the model does not have.")

    def _warm_up(self) -> tuple[bool, str]:
        """Run the model once, and find out whether rows may be batched."""
        samples = self._samples()
        try:
            alone = [self.run(feed) for feed in samples]
        except ServerError as error:
            if self.manifest.preprocess is not None:
                raise InvalidModel(error.message) from error
            return False, "it could not be run on generated inputs, so it was not tried"
        if self._max_batch == 1:
            return False, "the setting max_batch is 1"
        if self.fixed_rows is not None:
            return False, f"its batch size is fixed at {self.fixed_rows}"
        if not self.per_row():
            return False, "its outputs do not have one row for each row of the input"
        try:
            together = self.run(self.join(samples))
        except ServerError as error:
            return False, f"it does not run on two rows ({error.message})"
        worst = max(_difference(alone, together, name) for name in self._output_names)
        if worst > TOLERANCE:
            return False, f"a row in a batch differs from the row alone by {worst:.1e} (relative)"
        return True, ""

    def _samples(self) -> list[Feed]:
        kind = None if self.manifest.preprocess is None else self.manifest.preprocess.kind
        if self.preprocessor is not None and kind in SAMPLES:
            return [self.preprocessor([sample]) for sample in SAMPLES[kind]]
        draw = np.random.default_rng(0)
        return [{t.name: _random(t, draw) for t in self.manifest.inputs} for _ in range(2)]


def load(manifest: Manifest, *, threads: int, device: str, max_batch: int) -> Model:
    """A model, loaded and warmed up, with how long that took."""
    start = time.perf_counter()
    model = Model(manifest, threads=threads, device=device, max_batch=max_batch)
    model.load_s = time.perf_counter() - start
    return model


def _session(manifest: Manifest, threads: int, device: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # One thread needs no pool at all; more are shared by all models of the process.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_per_session_threads = threads == 1
    # An arena keeps what it once took: without it, unloading and large requests give memory back.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    ort.set_default_logger_severity(4)  # what is not a session's it would print as plain text
    wanted = ["CPUExecutionProvider"]
    if device == "cuda":
        if CUDA not in ort.get_available_providers():
            raise InvalidModel("device is cuda, but this onnxruntime has no CUDA provider.")
        wanted.insert(0, CUDA)
    try:
        session = ort.InferenceSession(str(manifest.model_path), options, providers=wanted)
    except Exception as error:  # onnxruntime's errors share no base class
        reason = _reason(error).replace(f"{manifest.folder}/", "")  # where it lies is not told
        raise InvalidModel(f"The model does not load: {reason}") from error
    # onnxruntime goes on without a provider whose libraries or GPU are missing.
    if device == "cuda" and CUDA not in session.get_providers():
        raise InvalidModel(
            "device is cuda, but onnxruntime's CUDA provider does not start here: there is no GPU, "
            f"or the CUDA and cuDNN that onnxruntime-gpu {ort.__version__} needs are missing."
        )
    return session


def share_threads(threads: int) -> None:
    """Make one thread pool for all sessions of this process; before the first is made."""
    if threads > 1:
        ort.set_global_thread_pool_sizes(threads, 1)


def _failure(error: Exception) -> ServerError:
    """Whose fault it is: the feed's, which the signature cannot check wholly, or the model's."""
    reason = _reason(error)
    client = type(error).__name__ == "InvalidArgument" or MISFIT.search(reason)
    if client and "allocate" not in reason:
        return BadRequest(f"The model cannot take these values: {reason}")
    return ModelError(f"The model failed: {reason}")


def _reason(error: Exception) -> str:
    """onnxruntime's message on one line, without the names of its nodes and source files."""
    text = " ".join(str(error).split())
    reason = text.rpartition("Status Message: ")[2].rpartition(" : ")[2]
    reason = SOURCE.sub("", reason.rpartition(" was false. ")[2])
    return reason[:300] or type(error).__name__


def _fixed_rows(inputs: Sequence[Tensor]) -> int | None:
    sizes = [t.shape[0] for t in inputs if t.shape and isinstance(t.shape[0], int)]
    return sizes[0] if sizes and len(sizes) == len(inputs) else None


def _parts(feed: Feed, rows: int, size: int, *, fill: bool) -> list[Feed]:
    """Parts of ``size`` rows; the last may be filled up with copies of its last row."""
    parts = []
    for start in range(0, rows, size):
        part = {name: array[start : start + size] for name, array in feed.items()}
        short = size - min(size, rows - start)
        if fill and short:
            part = {n: np.concatenate([a, np.repeat(a[-1:], short, 0)]) for n, a in part.items()}
        parts.append(part)
    return parts


def _random(tensor: Tensor, draw: np.random.Generator) -> np.ndarray:
    first = 1 if not tensor.shape or isinstance(tensor.shape[0], str) else tensor.shape[0]
    shape = tuple(8 if isinstance(d, str) else d for d in tensor.shape)
    shape = (first, *shape[1:]) if tensor.shape else ()
    if tensor.dtype.kind == "f":
        return draw.standard_normal(shape).astype(tensor.dtype)
    return draw.integers(0, 2, shape).astype(tensor.dtype)


def _difference(alone: Sequence[Feed], together: Feed, name: str) -> float:
    """Largest difference of an output's rows, relative to its largest value."""
    if len({feed[name].shape[1:] for feed in alone}) > 1:
        return float("inf")
    apart, batch = np.concatenate([feed[name] for feed in alone]), together[name]
    if apart.shape != batch.shape:
        return float("inf")
    if batch.dtype.kind != "f":
        return 0.0 if np.array_equal(apart, batch) else float("inf")
    scale = max(float(np.abs(apart).max(initial=0.0)), 1e-6)
    return float(np.abs(apart - batch).max(initial=0.0)) / scale
