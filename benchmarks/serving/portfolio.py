"""Many real models in little memory: is every answer right, and does memory stay in its limit?

    python benchmarks/serving/portfolio.py [--minilm DIR] [--models 50] [--hold 10] [--seconds 60]
                                           [--clients 4] [--quick]

Copies of MiniLM int8, each with weights of its own, are asked at random through
``workbench serve --platform``; each answer is compared with that of the copy that was asked. The
memory limit comes from a first run without one. It has room for what the server holds without a
model, for ``--hold`` times what a model adds at rest (for the last, what its load takes at its
peak), and for what requests take while they run. That is what the server is told to keep to; a
container with that setting by default has a ninth more (the server takes nine tenths).
Memory is counted as the server counts it: ``Anonymous`` of its ``smaps_rollup``, sampled every
10 ms. Exit code 1: a wrong answer, an error, a worker that died, or a peak above what the container
has.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from copies import answers, least_distance, make_copy
from emulated import Emulator, emulated
from sample_models import LONG_TEXT, TEXT

from workbench.artifact import open_artifact
from workbench.errors import WorkbenchError
from workbench.serving import pack_artifact

TEXTS = (TEXT, "A short one.", " ".join([TEXT] * 3), LONG_TEXT)
PROBED = 5
PROBE_S = 5.0
TOLERANCE = 1e-4
SHARE = 0.9
"""Of a container's memory the server takes so much by default."""
QUICK = {"models": 12, "hold": 4, "seconds": 8.0}


@dataclass(frozen=True)
class Probe:
    """What was measured without a limit, in bytes.

    ``empty``: the server without a model. ``model``: what a model adds once it has answered and
    rests. ``loading``: what a load takes at its peak, the model included. ``working``: what the
    load of the clients takes on top of the resting models.
    """

    empty: int
    model: int
    loading: int
    working: int

    def limit(self, hold: int) -> int:
        """Room for the empty server, so many models, the last as it loads, and requests."""
        return self.empty + (hold - 1) * self.model + max(self.loading, self.model) + self.working


def probe(archives: Path, folder: Path, expected: list[np.ndarray], clients: int) -> Probe:
    """Load a few models one after the other, then ask them under load."""
    with emulated(archives, folder) as emulator:
        held, loading = [emulator.held()], []
        for number in range(PROBED):
            emulator.peak = 0
            emulator.invoke(f"{number}.tar.gz", _body(TEXTS[0]))
            loading.append(emulator.peak - held[-1])
            for text in TEXTS:
                emulator.invoke(f"{number}.tar.gz", _body(text))
            time.sleep(0.3)
            held.append(emulator.held())
        emulator.peak = 0
        counts = load(emulator, expected[:PROBED], clients, PROBE_S)
        peak = emulator.peak
    if set(counts) != {"right"}:
        raise SystemExit(f"Without a limit not all answers were right: {dict(counts)}")
    model = (held[-1] - held[0]) // PROBED
    return Probe(held[0], model, max(loading), max(0, peak - held[-1]))


def load(
    emulator: Emulator, expected: list[np.ndarray], clients: int, seconds: float
) -> Counter[str]:
    """Ask models and texts at random; how many answers were right, wrong, or which error."""
    counts: Counter[str] = Counter()
    lock, until = threading.Lock(), time.monotonic() + seconds

    def work(seed: int) -> None:
        order = random.Random(seed)
        while time.monotonic() < until:
            number, text = order.randrange(len(expected)), order.randrange(len(TEXTS))
            status, content = emulator.invoke(f"{number}.tar.gz", _body(TEXTS[text]))
            found = _judged(status, content, expected[number][text])
            with lock:
                counts[found] += 1

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(work, range(clients)))
    return counts


def main() -> None:
    """Read the command line, run it, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minilm", type=Path, default=Path("runs/minilm-int8/variants/int8"))
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--hold", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="12 models for 8 s, to try it")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK)
    try:
        original = open_artifact(options.minilm)
    except WorkbenchError as error:
        raise SystemExit(f"{error} Give the folder of MiniLM int8 as --minilm.") from None
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        archives = folder / "archives"
        archives.mkdir()
        expected = []
        for number in range(options.models):
            with tempfile.TemporaryDirectory(dir=folder) as place:
                copy = make_copy(original, number, Path(place) / "copy")
                expected.append(answers(copy, TEXTS))
                pack_artifact(copy, archives / f"{number}.tar.gz")
            print(f"\rcopy {number + 1}/{options.models}", end="", file=sys.stderr, flush=True)
        print("\nfirst run, without a limit", file=sys.stderr)
        probed = probe(archives, folder, expected, options.clients)
        limit = probed.limit(options.hold)
        print(f"second run, with {limit:,} bytes", file=sys.stderr)
        with emulated(archives, folder, limit) as emulator:
            counts = load(emulator, expected, options.clients, options.seconds)
            print(table(options, probed, limit, emulator, counts, least_distance(expected)))
            failed = emulator.crashed() or set(counts) != {"right"} or emulator.peak > limit / SHARE
    sys.exit(1 if failed else 0)


def table(
    options: argparse.Namespace,
    probed: Probe,
    limit: int,
    emulator: Emulator,
    counts: Counter[str],
    distance: float,
) -> str:
    """All figures in Markdown."""
    told = emulator.metrics()
    rows: list[tuple[str, str]] = [
        ("models; clients; seconds", f"{options.models}; {options.clients}; {options.seconds:g}"),
        ("server without a model, MB", _megabytes(probed.empty)),
        ("a model at rest, MB (mean of 5)", _megabytes(probed.model)),
        ("a model while it loads, at most, MB", _megabytes(probed.loading)),
        ("requests that run, MB", _megabytes(probed.working)),
        (f"limit for {options.hold} models, MB", _megabytes(limit)),
        ("container for it, MB", _megabytes(int(limit / SHARE))),
        ("peak, MB", f"{_megabytes(emulator.peak)} ({emulator.peak / limit:.0%} of the limit)"),
        ("worker crashed", "yes" if emulator.crashed() else "no"),
        ("two most similar copies differ by", f"{distance:.4f}"),
        ("tolerance of an answer", f"{TOLERANCE:g}"),
    ]
    rows += [(f"answers: {name}", f"{number:,}") for name, number in sorted(counts.items())]
    rows += [
        ("asked while in memory", f"{told['ModelCacheHit_sum'] / told['ModelCacheHit_count']:.0%}"),
        ("loads", f"{told['ModelLoadingTime_count']:,.0f}"),
        ("unloads", f"{told['ModelUnloadingTime_count']:,.0f}"),
        ("in memory at the end", f"{told['LoadedModelCount']:,.0f}"),
    ]
    lines = (f"| {name} | {value} |" for name, value in rows)
    return "\n".join(["| MiniLM int8 copies | |", "| --- | ---: |", *lines])


def _judged(status: int, content: bytes, right: np.ndarray) -> str:
    if status != 200:
        told = json.loads(content or b"{}")
        return f"{status} {told.get('OriginalStatusCode', '')} {told.get('Message', '')[:80]}"
    got = np.asarray(json.loads(content)["predictions"][0])
    close = got.shape == right.shape and np.allclose(got, right, rtol=0, atol=TOLERANCE)
    return "right" if close else "wrong"


def _body(text: str) -> bytes:
    return json.dumps({"instances": [text]}).encode()


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f}"


if __name__ == "__main__":
    main()
