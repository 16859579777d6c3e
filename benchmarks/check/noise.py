"""How often `workbench check` is wrong on a noisy machine: an A/A and an A/B experiment.

A/A: the earlier run and the run hold the same graph in different bytes (one has a metadata entry
more), so the check really measures, and any failure is false. A/B: the run's model does the same
with more work. Behind the first pooling stand two more 1 x 1 convolutions, of which the second has
zero weights and is added to what it came from: the outputs are the same, and each run of the model
takes about 10 % longer. How much longer is measured apart from the checks (`truth`), in as many
fresh processes as it is told, and printed with its interval.

    python benchmarks/check/noise.py prepare FOLDER      # runs the recipe digits-cnn, 20 s
    python benchmarks/check/noise.py truth FOLDER --kind ab --processes 100
    python benchmarks/check/noise.py checks FOLDER --kind aa --number 100 [--busy 1]
    python benchmarks/check/noise.py table FOLDER
    python benchmarks/check/noise.py resample FOLDER     # after `truth --kind aa`

`resample` asks the harder question, which takes too long to measure: how often a gate fails
falsely whose bound is the truth itself (`latency.p50 <= previous` with no change), and that
measures up to 64 processes. It draws whole checks from the processes that `truth --kind aa`
measured, centred on no change, and judges them as a check does.

Each check is one line of FOLDER/checks.jsonl; they can be made in pieces. `--busy N` keeps N
processes multiplying matrices meanwhile, on whatever cores the system gives them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from workbench.artifact import open_artifact, seal
from workbench.check import check_run
from workbench.check.levels import LOOKS, Level, level, spent, t_interval
from workbench.check.measuring import Pair
from workbench.check.sides import load_side
from workbench.profile_options import ProfileOptions
from workbench.records import Outcome

VARIANT = "w8"
CHANNELS = 64
SIDES = {"aa": "same", "ab": "slow"}
GATES = """\
gates:
  - latency.p50 <= 1.05 * previous
  - quality >= previous - 0.5%
"""
BUSY = """\
import os
import numpy
parent, a = os.getppid(), numpy.ones((300, 300))
while os.getppid() == parent:
    a @ a
"""


def prepare(folder: Path) -> None:
    """The run, and the three runs that the checks read."""
    command = [sys.executable, "-m", "workbench", "run", "digits-cnn", "--runs", str(folder)]
    subprocess.run([*command, "--only", VARIANT, "--set", "profile.batch=[1,4]"], check=True)
    (folder / "gates.yaml").write_text(GATES)
    for name, change in (("same", _add_metadata), ("slow", _add_work)):
        target = folder / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder / "digits-cnn", target)
        artifact = open_artifact(target / "variants" / VARIANT)
        change(artifact.model_path)
        seal(artifact.path, artifact.manifest)


def _add_metadata(path: Path) -> None:
    import onnx

    model = onnx.load(path)
    model.metadata_props.add(key="comment", value="the same graph in other bytes")
    onnx.save(model, path)


def _add_work(path: Path) -> None:
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(path)
    graph = model.graph
    place, pool = next((i, n) for i, n in enumerate(graph.node) if n.op_type == "MaxPool")
    there = pool.output[0]
    wide = np.random.default_rng(0).standard_normal((CHANNELS, 32, 1, 1)).astype(np.float32)
    nothing = np.zeros((32, CHANNELS, 1, 1), np.float32)
    graph.initializer.extend(
        [numpy_helper.from_array(wide, "work.wide"), numpy_helper.from_array(nothing, "work.zero")]
    )
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == there:
                node.input[index] = "work.sum"
    for node in (
        helper.make_node("Add", [there, "work.back"], ["work.sum"], name="work.add"),
        helper.make_node("Conv", ["work.there", "work.zero"], ["work.back"], name="work.conv2"),
        helper.make_node("Conv", [there, "work.wide"], ["work.there"], name="work.conv1"),
    ):
        graph.node.insert(place + 1, node)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def truth(folder: Path, kind: str, processes: int) -> None:
    """The ratio that the checks should see, with its 95 % interval, cell by cell."""
    before, after = (
        open_artifact(folder / name / "variants" / VARIANT) for name in ("digits-cnn", SIDES[kind])
    )
    options = ProfileOptions.model_validate(load_side(folder / "slow").run.recipe["profile"])
    cells = options.grid(before.manifest.signature)
    pair = Pair(VARIANT, "previous", after, before, options)
    for _ in range(processes):
        pair.measure(cells, ["p50"])
    lines = []
    for setting in cells:
        logs = pair.logs(setting, "p50")
        ratio = t_interval(logs, False, Level(0.025, 0.025))
        lines.append({"cell": str(setting), **ratio.model_dump(), "logs": logs})
        print(f"{setting}: {ratio.value:.4f} [{ratio.low:.4f}, {ratio.high:.4f}]", flush=True)
    (folder / f"truth-{kind}.json").write_text(json.dumps(lines, indent=1))


def checks(folder: Path, kind: str, number: int, busy: int, budget_s: float) -> None:
    """Whole checks, one after the other."""
    run = folder / SIDES[kind]
    with ExitStack() as stack:
        for _ in range(busy):
            process = subprocess.Popen([sys.executable, "-c", BUSY])
            stack.callback(process.wait)
            stack.callback(process.kill)
        for _ in range(number):
            began = time.monotonic()
            result = check_run(
                run,
                baseline=folder / "digits-cnn",
                gates=folder / "gates.yaml",
                decide=True,
                budget_s=budget_s,
            )
            latency = next(v for v in result.verdicts if v.gate.startswith("latency"))
            line = {
                "kind": kind,
                "busy": busy,
                "failed": [v.name for v in result.verdicts if v.outcome is Outcome.FAIL],
                "latency": latency.outcome,
                "ratios": [cell.observed and cell.observed.value for cell in latency.cells],
                "processes": result.processes,
                "seconds": round(time.monotonic() - began, 2),
                "load": os.getloadavg()[0],
                "at": result.created,
                "cpu": result.machine.cpu,
            }
            with (folder / "checks.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")


def resample(folder: Path, number: int) -> None:
    """False failures at the bound itself, on the spread of real processes."""
    import numpy as np

    cells = json.loads((folder / "truth-aa.json").read_text())
    logs = np.array([cell["logs"] for cell in cells])
    logs -= logs.mean(axis=1, keepdims=True)
    whole = level(len(cells))
    looks = [look for look in LOOKS if look <= 64]
    random = np.random.default_rng(0)
    failed = 0
    for _ in range(number):
        drawn = logs[:, random.integers(0, logs.shape[1], looks[-1])]
        signs = random.choice([-1.0, 1.0], looks[-1])  # with no change the two can be swapped
        before, fails = 0.0, False
        for look in looks:
            spend = whole.part(spent(look) - before)
            before = spent(look)
            for row in drawn * signs:
                fails |= t_interval(list(row[:look]), False, spend).low > 1
        failed += fails
    print(f"{failed} of {number} checks failed falsely with the bound at the truth")


def table(folder: Path) -> None:
    """What came out."""
    lines = [json.loads(line) for line in (folder / "checks.jsonl").read_text().splitlines()]
    print(f"{lines[0]['cpu']}, {lines[0]['at']} to {lines[-1]['at']}")
    for kind in SIDES:
        for cell in json.loads((folder / f"truth-{kind}.json").read_text()):
            print(
                f"true ratio of {kind} at {cell['cell']}: {cell['value']:.4f} "
                f"[{cell['low']:.4f}, {cell['high']:.4f}], {cell['n']} processes"
            )
    print(
        "\n| | busy processes | load | checks | pass | fail | undecided | failed falsely | "
        "seconds a check | processes | decided by 12 |\n" + "| --- " * 11 + "|"
    )
    for kind, busy in sorted({(line["kind"], line["busy"]) for line in lines}):
        these = [line for line in lines if (line["kind"], line["busy"]) == (kind, busy)]
        outcomes = [line["latency"] for line in these]
        false = sum(bool(set(line["failed"]) - ({GATES.split("- ")[1].strip()} if kind == "ab"
                                                else set())) for line in these)  # fmt: skip
        loads = sorted(line["load"] for line in these)
        decided = sum(
            line["latency"] in ("pass", "fail") and line["processes"] <= 12 for line in these
        )
        print(
            f"| {'/'.join(kind.upper())} | {busy} | {_spread(loads, 1)} | {len(these)} | "
            f"{outcomes.count('pass')} | {outcomes.count('fail')} | "
            f"{outcomes.count('undecided')} | {false} | "
            f"{_spread([line['seconds'] for line in these], 1)} | "
            f"{_spread([line['processes'] for line in these], 0)} | {decided} |"
        )


def _spread(values: list[float], digits: int) -> str:
    """Median and 5 to 95 %."""
    values = sorted(values)
    low, middle, high = (values[min(len(values) - 1, math.floor(q * len(values)))]
                         for q in (0.05, 0.5, 0.95))  # fmt: skip
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["prepare", "truth", "checks", "table", "resample"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--processes", type=int, default=100)
    parser.add_argument("--kind", choices=["aa", "ab"], default="aa")
    parser.add_argument("--number", type=int, default=100)
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--budget", type=float, default=120.0)
    given = parser.parse_args()
    match given.what:
        case "prepare":
            prepare(given.folder)
        case "truth":
            truth(given.folder, given.kind, given.processes)
        case "checks":
            checks(given.folder, given.kind, given.number, given.busy, given.budget)
        case "table":
            table(given.folder)
        case "resample":
            resample(given.folder, 1000)


if __name__ == "__main__":
    main()
