"""ONNX Runtime sessions: one way to open, feed and describe an ONNX model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workbench.errors import MissingError, ModelError, TooLargeError
from workbench.records import Signature, TensorSpec

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime

Device = Literal["cpu", "cuda"]
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bfloat16)": "bfloat16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(uint16)": "uint16",
    "tensor(int32)": "int32",
    "tensor(uint32)": "uint32",
    "tensor(int64)": "int64",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
    "tensor(string)": "str",
}


def open_session(
    path: Path, *, threads: int = 0, device: Device = "cpu"
) -> onnxruntime.InferenceSession:
    """Open a session on one device; threads 0 lets the runtime choose.

    Raises:
        MissingError: the device's provider is not in this onnxruntime, or does not start.
        TooLargeError: memory ran out.
        ModelError: the runtime cannot load the file; the message says why in its words.
    """
    import onnxruntime as ort

    if PROVIDERS[device] not in ort.get_available_providers():
        raise MissingError(
            f"This onnxruntime {ort.__version__} has no {PROVIDERS[device]}.",
            hint="Install onnxruntime-gpu instead of onnxruntime." if device == "cuda" else None,
        )
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    try:
        session = ort.InferenceSession(str(path), options, providers=[PROVIDERS[device]])
    except MemoryError as error:
        raise TooLargeError(f"Not enough memory to load {path}.") from error
    except Exception as error:  # onnxruntime raises many unrelated types
        raise ModelError(f"{path} cannot be loaded: {runtime_reason(error)}") from error
    # onnxruntime falls back to the CPU without a word.
    if PROVIDERS[device] not in session.get_providers():
        raise MissingError(
            f"{PROVIDERS[device]} is in this onnxruntime but does not start.",
            hint="Its libraries (CUDA, cuDNN) or a usable device are missing.",
        )
    return session


def runtime_reason(error: BaseException) -> str:
    """The readable part of an onnxruntime error message."""
    text = str(error).replace("\n", " ")
    for marker in ("failed:", "FAIL :", "INVALID_ARGUMENT :", "INVALID_PROTOBUF :"):
        if marker in text:
            text = text.split(marker, 1)[1]
    return text.strip()[:400].rstrip(".") + "."


def signature_of(session: onnxruntime.InferenceSession) -> Signature:
    """Names, dtypes and shapes of a session's inputs and outputs.

    A dynamic axis without a name is called ``batch`` when it is the first, else ``dim_N``.
    """

    def spec(node: Any) -> TensorSpec:
        shape = tuple(
            dim if isinstance(dim, int | str) else ("batch" if axis == 0 else f"dim_{axis}")
            for axis, dim in enumerate(node.shape)
        )
        if node.type not in DTYPES:
            raise ModelError(f"'{node.name}' is a {node.type}; only tensors are supported.")
        return TensorSpec(name=node.name, dtype=DTYPES[node.type], shape=shape)

    return Signature(
        inputs=tuple(map(spec, session.get_inputs())),
        outputs=tuple(map(spec, session.get_outputs())),
    )


def random_feed(
    signature: Signature, sizes: dict[str, int], *, seed: int = 0, high: int = 1000
) -> dict[str, np.ndarray]:
    """A feed that follows a signature: the same for the same arguments.

    Floats are standard normal, integers lie in [0, high) (masks are ones, type ids zeros),
    booleans are true.

    Args:
        signature: names, dtypes and shapes.
        sizes: size of each dynamic axis; an axis that is missing becomes 1.
        seed: of numpy's default generator.
        high: exclusive bound of random integers, such as the size of the vocabulary.

    Raises:
        ModelError: an input has a dtype for which no feed can be made.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    feed: dict[str, np.ndarray] = {}
    for spec in signature.inputs:
        shape = tuple(d if isinstance(d, int) else sizes.get(d, 1) for d in spec.shape)
        if spec.dtype.startswith("float"):
            feed[spec.name] = random.standard_normal(shape).astype(spec.dtype)
        elif "mask" in spec.name or spec.dtype == "bool":
            feed[spec.name] = np.ones(shape, spec.dtype)
        elif "token_type" in spec.name:
            feed[spec.name] = np.zeros(shape, spec.dtype)
        elif "int" in spec.dtype:
            top = min(high, int(np.iinfo(spec.dtype).max))
            feed[spec.name] = random.integers(0, top, shape).astype(spec.dtype)
        else:
            raise ModelError(f"No random input can be made for {spec}.")
    return feed


def few(feed: dict[str, np.ndarray], signature: Signature, count: int) -> dict[str, np.ndarray]:
    """The first ``count`` samples of a feed; all of them where the model fixes its batch."""
    fixed = any(spec.shape and isinstance(spec.shape[0], int) for spec in signature.inputs)
    return feed if fixed else {name: value[:count] for name, value in feed.items()}
