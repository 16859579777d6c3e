"""Many real models in little memory: is every answer right, and does memory stay in its limit?

    python benchmarks/serving/portfolio.py ARTIFACT --models 50 --hold 10 --seconds 60

Copies of one image artifact are packed as archives and asked at random through the platform's
emulator; each copy's first output is shifted by its number, so an answer tells which copy gave it.
"""

from __future__ import annotations

import argparse
import io
import random
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import psutil
from onnx import helper, numpy_helper

from workbench.artifact import Artifact, open_artifact, seal
from workbench.serving import PlatformOptions, pack_artifact
from workbench.serving.answers import ApiError
from workbench.serving.archives import FolderSource
from workbench.serving.platform import TARGET
from workbench.serving.session import running

SERVER_BYTES = 70_000_000
"""What the server takes without a model, about; added to what the models may take."""


def make_copy(artifact: Artifact, number: int, folder: Path) -> Artifact:
    """A copy of the model whose first output is larger by ``number``."""
    folder.mkdir(parents=True)
    model = onnx.load(artifact.model_path)
    output = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["before" if name == output else name for name in node.output]
    shift = numpy_helper.from_array(np.array(number, np.float32), "shift")
    model.graph.initializer.append(shift)
    model.graph.node.append(helper.make_node("Add", ["before", "shift"], [output]))
    onnx.save(model, folder / "model.onnx")
    manifest = artifact.manifest.model_copy(
        update={"name": f"copy-{number}", "model_file": "model.onnx", "preprocess": None}
    )
    return seal(folder, manifest)


def sample(artifact: Artifact) -> np.ndarray:
    """One random input, float32, of the signature's shape with 1 for dynamic axes."""
    (spec,) = artifact.manifest.signature.inputs
    shape = [d if isinstance(d, int) else 1 for d in spec.shape]
    return np.random.default_rng(0).random(shape).astype(np.float32)


def watch_memory(pid: int, peak: list[int], done: threading.Event) -> None:
    """Keep the largest resident size of any one process of the server in ``peak``."""
    while not done.wait(0.05):
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        peak[0] = max([peak[0], *(process.memory_info().rss for process in processes)])


def main() -> None:
    """Run it and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--hold", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=4)
    options = parser.parse_args()
    original = open_artifact(options.artifact)
    value = sample(original)
    limit = SERVER_BYTES + 2 * options.hold * original.model_path.stat().st_size
    buffer = io.BytesIO()
    np.save(buffer, value)
    headers = {"content-type": "application/x-npy", "accept": "application/x-npy"}
    counts: Counter[str] = Counter()
    peak, done = [0], threading.Event()
    with tempfile.TemporaryDirectory() as kept:
        archives = Path(kept) / "archives"
        archives.mkdir()
        expected = []
        for number in range(options.models):
            copy = make_copy(original, number, Path(kept) / "copies" / str(number))
            session = onnxruntime.InferenceSession(copy.model_path)
            expected.append(session.run(None, {session.get_inputs()[0].name: value})[0])
            pack_artifact(copy, archives / f"{number}.tar.gz")
        platform = PlatformOptions(
            "desk", port=0, environment={"ONNX_SERVER_MEMORY_LIMIT_BYTES": str(limit)}
        )
        source = FolderSource(archives)
        with running(None, source, Path(kept) / "models", platform, done) as (server, front):
            endpoint = front.endpoint
            threading.Thread(target=watch_memory, args=(server.pid, peak, done)).start()
            until = time.monotonic() + options.seconds

            def load(seed: int) -> None:
                order = random.Random(seed)
                while time.monotonic() < until:
                    number = order.randrange(options.models)
                    given = {**headers, TARGET: f"{number}.tar.gz"}
                    try:
                        answer = endpoint.invoke(buffer.getvalue(), given)
                    except ApiError as error:
                        counts[f"failed: {error.kind}"] += 1
                        continue
                    got = np.load(io.BytesIO(answer.body))
                    right = np.allclose(got, expected[number], atol=1e-5)
                    counts["right" if right else "wrong"] += 1

            with ThreadPoolExecutor(options.clients) as pool:
                list(pool.map(load, range(options.clients)))
            done.set()
            hits, asked = endpoint.metrics.summary("ModelCacheHit")
            unloads = endpoint.metrics.summary("ModelUnloadingTime")[1]
    for name, number in sorted(counts.items()):
        print(f"{name:32} {number:>10}")
    print(f"{'cache hits':32} {hits / max(asked, 1):>10.1%}")
    print(f"{'unloads':32} {unloads:>10}")
    print(f"{'peak resident, MB':32} {peak[0] / 1e6:>10.1f}")
    print(f"{'limit, MB':32} {limit / 1e6:>10.1f}")


if __name__ == "__main__":
    main()
