"""Compare int8 EfficientNet-Lite0 artifacts of other toolkits with ours.

`produce` gives each toolkit, in an environment of its own, the same fp32 ONNX file and the same
calibration crops. `measure` loads all artifacts in one process and reports size, top-1 agreement
with fp32 on crops that nobody calibrated on, top-1 on labelled photographs, and latency,
interleaved.

    python benchmarks/peers_images.py produce
    workbench run efficientnet-int8
    python benchmarks/peers_images.py measure \\
        --ours workbench-int8=runs/efficientnet-int8/variants/int8/model.onnx
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import peers
from peers import cpu, environment, speedup_interval, timed

from workbench.artifact import Artifact, open_artifact
from workbench.datasets import load_dataset
from workbench.onnx_file import external_locations
from workbench.preprocess import make_feed
from workbench.recipe import load_recipe
from workbench.resolve import resolve
from workbench.runner import Runner
from workbench.shipped import shipped

BASELINE = "fp32"
BATCHES = (1, 4)

peers.TOOLKITS["onnx-neural-compressor"] = (
    *("onnx==1.16.2", "onnxruntime==1.20.1", "numpy==1.26.4"),
    *("onnx-neural-compressor==1.0", "setuptools<81", "prettytable", "scipy<1.16"),
)

HEADER = """\
import numpy as np, onnx
images = np.load("calibration.npy")
NAME = onnx.load("fp32.onnx").graph.input[0].name
"""
ORT = """\
from onnxruntime import quantization as q
from onnxruntime.quantization.shape_inference import quant_pre_process
quant_pre_process("fp32.onnx", "prepared.onnx")
class Reader(q.CalibrationDataReader):
    def __init__(self): self.left = iter(images)
    def get_next(self):
        image = next(self.left, None)
        return None if image is None else {NAME: image[None]}
q.quantize_static("prepared.onnx", "model.onnx", Reader(), quant_format=q.QuantFormat.QDQ,
    per_channel=True, activation_type=q.QuantType.%s, weight_type=q.QuantType.QInt8,
    calibrate_method=q.CalibrationMethod.%s, extra_options=%s)
"""
NNCF = """\
import nncf
from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
data = nncf.Dataset(list(images), lambda image: {NAME: image[None]})
onnx.save(nncf.quantize(onnx.load("fp32.onnx"), data, subset_size=len(images), %s), "model.onnx")
"""
NEURAL_COMPRESSOR = """\
from onnx_neural_compressor import data_reader
from onnx_neural_compressor.quantization import QuantType, QuantFormat, quantize, config
class Reader(data_reader.CalibrationDataReader):
    def __init__(self): self.rewind()
    def rewind(self): self.left = iter(images)
    def get_next(self):
        image = next(self.left, None)
        return None if image is None else {NAME: image[None]}
quantize("fp32.onnx", "model.onnx", config.StaticQuantConfig(
    calibration_data_reader=Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
    weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8))
"""
OLIVE = """\
import olive
from olive.data.registry import Registry
@Registry.register_dataset()
def crops(data_dir=None, **_):
    return [({NAME: image}, 0) for image in images]
olive.run({
    "input_model": {"type": "OnnxModel", "model_path": "fp32.onnx"},
    "data_configs": [{"name": "crops", "load_dataset_config": {"type": "crops"},
                      "dataloader_config": {"batch_size": 1}}],
    "passes": {"quantize": {"type": "OnnxStaticQuantization", "precision": "int8",
                            "quant_format": "QDQ", "per_channel": True, "data_config": "crops"}},
    "no_artifacts": True, "output_dir": "optimized"})
"""


@dataclass(frozen=True)
class Peer:
    """How one toolkit quantizes ``fp32.onnx`` in its folder."""

    name: str
    title: str
    toolkit: str
    script: str
    artifact: str = "model.onnx"


PEERS = (
    Peer("ort-minmax", "onnxruntime quantize_static (what Optimum calls), per channel, min-max",
         "onnxruntime", ORT % ("QUInt8", "MinMax", "{}")),
    Peer("ort-percentile", "the same, percentile 99.99", "onnxruntime",
         ORT % ("QUInt8", "Percentile", "{'CalibPercentile': 99.99}")),
    Peer("ort-entropy", "the same, entropy", "onnxruntime", ORT % ("QUInt8", "Entropy", "{}")),
    Peer("nncf-fast", "NNCF quantize, default (fast bias correction)", "nncf",
         NNCF % "preset=nncf.QuantizationPreset.MIXED"),
    Peer("nncf-accurate", "NNCF quantize, accurate bias correction", "nncf",
         NNCF % "preset=nncf.QuantizationPreset.MIXED, fast_bias_correction=False"),
    Peer("olive-static", "Olive OnnxStaticQuantization, per channel", "olive", OLIVE,
         "optimized/model.onnx"),
    Peer("neural-compressor", "Neural Compressor (onnx-neural-compressor), static, per channel",
         "onnx-neural-compressor", NEURAL_COMPRESSOR),
)  # fmt: skip


def fp32() -> Artifact:
    """The float artifact that all start from: the baseline of the recipe efficientnet-int8."""
    source = load_recipe(shipped("recipes") / "efficientnet-int8.yaml")
    return Runner(resolve(source)).artifact(source.recipe.baseline)


def pixels(artifact: Artifact, samples: Any) -> np.ndarray:
    """Samples as the model's input, float32 ``[samples, 3, 224, 224]``."""
    [values] = make_feed(artifact, samples.inputs).values()
    return values


def produce(arguments: argparse.Namespace) -> int:
    """Run every peer; what fails is recorded with its last words."""
    artifact = fp32()
    crops = load_dataset("photo-crops", folder=Path())
    calibration = pixels(artifact, crops.calibration.limited(128))
    for peer in PEERS:
        if arguments.only and peer.name not in arguments.only:
            continue
        folder = arguments.work / peer.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "fp32.onnx").write_bytes(artifact.model_path.read_bytes())
        np.save(folder / "calibration.npy", calibration)
        (folder / "script.py").write_text(HEADER + peer.script)
        place = environment(peer.toolkit, arguments.environments)
        began = time.monotonic()
        with (folder / "log.txt").open("w") as log:
            done = subprocess.run(
                [str(place / "bin" / "python"), "script.py"], cwd=folder, stdout=log, stderr=log
            )
        seconds = time.monotonic() - began
        made = (folder / peer.artifact).is_file() and done.returncode == 0
        text = (folder / "log.txt").read_text().strip().splitlines()
        error = None if made else (text[-1] if text else "no output")
        record = {"seconds": round(seconds, 1), "error": error}
        (folder / "produced.json").write_text(json.dumps(record))
        print(
            f"{peer.name}: {'made' if made else f'failed: {error}'} in {seconds:.0f} s", flush=True
        )
    return 0


def outputs(session: Any, values: np.ndarray) -> np.ndarray:
    """Logits ``[samples, classes]``."""
    name = session.get_inputs()[0].name
    parts = [session.run(None, {name: values[i : i + 8]})[0] for i in range(0, len(values), 8)]
    return np.concatenate(parts)


def measure(arguments: argparse.Namespace) -> int:
    """One Markdown table of all artifacts, and the same as JSON."""
    artifact = fp32()
    files = {BASELINE: artifact.model_path}
    titles, seconds, failed = {BASELINE: "the export"}, {}, []
    for peer in PEERS:
        folder = arguments.work / peer.name
        record = folder / "produced.json"
        if not record.is_file():
            continue
        facts = json.loads(record.read_text())
        if facts["error"]:
            failed.append(f"{peer.title}: {facts['error']}")
            continue
        files[peer.name], titles[peer.name] = folder / peer.artifact, peer.title
        seconds[peer.name] = facts["seconds"]
    for given in arguments.ours:
        name, _, path = given.partition("=")
        files[name], titles[name] = Path(path), "workbench"
        lineage = open_artifact(Path(path).parent).manifest.lineage
        seconds[name] = sum(record.seconds for record in lineage[1:])
    options = ort.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    sessions = {
        name: ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for name, path in files.items()
    }
    crops = load_dataset("photo-crops", folder=Path()).evaluation
    labelled = load_dataset("foolbox-imagenet", folder=Path())
    photographs = labelled.evaluation.inputs
    labels = np.array(labelled.evaluation.labels)
    [named] = make_feed(artifact, photographs).values()
    judged = pixels(artifact, crops)
    exact = outputs(sessions[BASELINE], judged)
    rows = {}
    for name, session in sessions.items():
        got = outputs(session, judged)
        cosine = (got * exact).sum(1) / np.linalg.norm(got, axis=1) / np.linalg.norm(exact, axis=1)
        rows[name] = {
            "title": titles[name],
            "megabytes": _bytes(files[name]) / 1e6,
            "agreement": float((got.argmax(1) == exact.argmax(1)).mean()),
            "cosine": float(cosine.mean()),
            "right": int((outputs(session, named).argmax(1) == labels).sum()),
            "photographs": len(labels),
            "seconds": seconds.get(name),
        }
    for batch in BATCHES:
        calls = {
            name: (lambda feed, s=session: s.run(None, {s.get_inputs()[0].name: feed}))
            for name, session in sessions.items()
        }
        for name, (median, low, high, ratio) in _timed(calls, judged[:batch], arguments).items():
            rows[name][f"batch_{batch}"] = {
                "p50_ms": median, "speedup": ratio, "low": low, "high": high,
            }  # fmt: skip
    print(_markdown(rows, failed))
    arguments.output.write_text(
        json.dumps(
            {"cpu": cpu(), "threads": arguments.threads, "artifacts": rows, "failed": failed},
            indent=1,
        )
    )
    return 0


def _bytes(path: Path) -> int:
    """Bytes of an ONNX file and of the external data that some toolkits write beside it."""
    return sum(
        (path.parent / name).stat().st_size for name in (path.name, *external_locations(path))
    )


def _timed(calls: Any, feed: np.ndarray, arguments: argparse.Namespace) -> dict[str, Any]:
    """By artifact: median milliseconds, bounds of the speed-up over fp32, and the speed-up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    order, names = np.random.default_rng(0), list(calls)
    for _ in range(arguments.rounds):
        for index in order.permutation(len(names)):
            name = names[index]
            times[name].append(timed(calls[name], feed, arguments.calls))
    base = np.array(times[BASELINE])
    return {
        name: (
            float(np.median(values)),
            *speedup_interval(base, np.array(values)),
            float(np.median(base) / np.median(values)),
        )
        for name, values in times.items()
    }


def _markdown(rows: dict[str, Any], failed: list[str]) -> str:
    lines = [
        "| artifact | MB | size | top-1 agreement | cosine | labels "
        "| speed-up at 1 | at 4 | made in |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    whole = rows[BASELINE]["megabytes"]
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["agreement"]):
        speed = [
            f"{c['speedup']:.2f} [{c['low']:.2f}, {c['high']:.2f}]"
            for c in (row["batch_1"], row["batch_4"])
        ]
        made = "" if row["seconds"] is None else f"{row['seconds']:.0f} s"
        lines.append(
            f"| {name} ({row['title']}) | {row['megabytes']:.2f} "
            f"| {row['megabytes'] / whole:.3f} | "
            f"{row['agreement']:.3f} | {row['cosine']:.4f} | {row['right']}/{row['photographs']} | "
            f"{speed[0]} | {speed[1]} | {made} |"
        )
    return "\n".join([*lines, *(f"\n- failed: {text}" for text in failed)])


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("produce")
    making.add_argument("--only", nargs="*")
    making.set_defaults(run=produce)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--ours", nargs="*", default=[], help="name=path of an ONNX file")
    measuring.add_argument("--threads", type=int, default=1)
    measuring.add_argument("--rounds", type=int, default=15)
    measuring.add_argument("--calls", type=int, default=10)
    measuring.add_argument("--output", type=Path, default=Path("images.json"))
    measuring.set_defaults(run=measure)
    for each in (making, measuring):
        each.add_argument("--work", type=Path, default=Path("build/peers-images"))
    making.add_argument("--environments", type=Path, default=Path("build/peers"))
    arguments = parser.parse_args()
    return int(arguments.run(arguments))


if __name__ == "__main__":
    sys.exit(main())
