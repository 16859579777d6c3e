"""Compare onnx_server with other model servers on this machine.

    python benchmarks/serving/run.py setup   [--peers a,b]
    python benchmarks/serving/run.py measure --model tiny|minilm [--artifact DIR] [--peers a,b]
                                             [--rounds 3] [--seconds 3] [--json out.json]

What each figure means is in the README of this folder.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from load import HOST, OPENLOOP, Target, closed_loop, compile_openloop, open_loop, pings_under_load
from peers import PEERS
from peers.base import ENVIRONMENTS, HERE, Peer
from processes import Server, start
from report import markdown
from sample_models import Model, text_model, tiny

CONNECTIONS = 32
OVERLOAD = 256
START_S = 90.0
TOLERANCE = 1e-4
SHARED = ("onnxruntime", "tokenizers")


class FailedError(Exception):
    """A peer did not start, or gave a wrong answer; the message says what was seen."""


def setup(peers: list[Peer]) -> None:
    """Make each peer's environment, with the onnxruntime and tokenizers of this one."""
    compile_openloop()
    pins = [f"{name}=={version(Path(sys.executable), name)}" for name in SHARED]
    for peer in peers:
        folder = peer.bin.parent
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        command = [str(peer.bin / "pip"), "install", "--quiet", *pins, *peer.requirements]
        failed = subprocess.run(command).returncode
        print(
            f"{peer.name}: {'pip failed' if failed else version(peer.bin / 'python', peer.package)}"
        )


def version(python: Path, package: str) -> str:
    """The version of a package in an environment."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    found = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def check(target: Target, right: np.ndarray) -> None:
    """The answer to the sample must be right.

    Raises:
        FailedError: it is not.
    """
    got = np.asarray(target.ask(), np.float64)
    if got.shape != right.shape or not np.allclose(got, right, rtol=0, atol=TOLERANCE):
        raise FailedError(f"wrong answer: {got[:4]} for {right[:4]}")


def first_answer(target: Target, server: Server, right: np.ndarray, began: float) -> float:
    """Seconds from the start of the process to the first right answer, asked for every 10 ms."""
    last: Exception | None = None
    while time.perf_counter() - began < START_S:
        if server.process.poll() is not None:
            break
        try:
            check(target, right)
            return time.perf_counter() - began
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            last = error
        time.sleep(0.01)
    tail = server.log.read_text(errors="replace")[-1500:]
    raise FailedError(f"no answer within {START_S:.0f} s or it ended; last: {last!r}; log: {tail}")


def visit(
    peer: Peer, model: Model, right: np.ndarray, seconds: float, rate: float | None
) -> dict[str, Any]:
    """One start of one peer, and all figures; ``rate`` (requests/s) is that of the open loop.

    Without a rate the open loop is left out. It runs at most at nine tenths of what the closed
    loop has just reached, because beyond its capacity a server has no latency to speak of.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "server"
        work.mkdir()
        target = Target(peer, port, peer.body(model.sample), Path(folder))
        launch = peer.launch(peer.bin, model.folder, port, work)
        began = time.perf_counter()
        server = start(launch, Path(folder) / "log")
        try:
            figures: dict[str, Any] = {"cold_start_s": first_answer(target, server, right, began)}
            closed_loop(target, CONNECTIONS, 1)  # warm up
            time.sleep(0.5)
            figures["idle_pss_bytes"] = server.pss_bytes()
            figures["processes"] = len(server.processes())
            before = server.cpu_s()
            closed = closed_loop(target, CONNECTIONS, seconds)
            spent = server.cpu_s() - before
            good = closed["requests"] - closed["refused"]
            figures["closed"] = closed
            figures["requests_per_s"] = good / closed["seconds"]
            figures["cpu_ms_per_request"] = spent * 1e3 / good if good else None
            check(target, right)
            if rate is not None and rate <= 0.9 * figures["requests_per_s"]:
                figures["open"] = open_loop(target, rate, seconds)
            own = 0.7 * figures["requests_per_s"]
            figures["open_own"] = open_loop(target, own, seconds)
            figures["overload"] = pings_under_load(target, OVERLOAD, seconds)
            check(target, right)
        finally:
            server.stop()
    return figures


def free_port() -> int:
    """A port that is free, with the two after it, on this machine."""
    import socket

    while True:
        with socket.socket() as first:
            first.bind((HOST, 0))
            port: int = first.getsockname()[1]
        try:
            for extra in (port + 1, port + 2):
                with socket.socket() as other:
                    other.bind((HOST, extra))
        except (OSError, OverflowError):
            continue
        return port


def raw(model: Model, seconds: float) -> dict[str, Any]:
    """The figures of the raw loop: instances/s by batch size, and the right answer."""
    python = PEERS["fastapi"].bin / "python"
    given = [str(model.folder), json.dumps(model.sample), str(seconds)]
    done = subprocess.run(
        [str(python), str(HERE / "raw_loop.py"), *given],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def measure(options: argparse.Namespace, peers: list[Peer]) -> dict[str, Any]:
    """Interleaved rounds: raw loop, A, B, C, raw loop, A, B, C, …"""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        model = tiny(folder) if options.model == "tiny" else text_model(options.artifact, folder)
        result: dict[str, Any] = {
            "model": options.model,
            "model_bytes": model.size_bytes,
            "settings": {"rounds": options.rounds, "seconds": options.seconds},
            "machine": machine(peers),
            "raw": [],
            "peers": {peer.name: [] for peer in peers},
            "failures": {},
        }
        for number in range(options.rounds):
            result["raw"].append(raw(model, min(1.0, options.seconds / 3)))
            right = np.asarray(result["raw"][-1]["answer"])
            for peer in peers:
                if peer.name in result["failures"]:
                    continue
                note(f"round {number + 1}/{options.rounds}: {peer.name}")
                try:
                    figures = visit(peer, model, right, options.seconds, options.rate)
                except FailedError as failure:
                    result["failures"][peer.name] = str(failure)
                    note(f"{peer.name}: {failure}")
                    continue
                result["peers"][peer.name].append({**figures, "load_average": os.getloadavg()[0]})
    return result


def machine(peers: list[Peer]) -> dict[str, Any]:
    """The CPU and the versions."""
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    name = next(line.partition(":")[2].strip() for line in cpus if line.startswith("model name"))
    python = PEERS["fastapi"].bin / "python"
    return {
        "cpu": name,
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {peer.name: version(peer.bin / "python", peer.package) for peer in peers},
        "shared": {name: version(python, name) for name in (*SHARED, "numpy")},
    }


def note(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def chosen(names: str | None) -> list[Peer]:
    """The peers of a comma-separated list, all without one."""
    unknown = [name for name in (names or "").split(",") if name and name not in PEERS]
    if unknown:
        raise SystemExit(f"There is no peer '{unknown[0]}'; there are {', '.join(PEERS)}.")
    return [PEERS[name] for name in names.split(",")] if names else list(PEERS.values())


def ready(peers: list[Peer]) -> None:
    """All programs must be there.

    Raises:
        SystemExit: one is missing; the message says how to get it.
    """
    missing = [peer.name for peer in (*peers, PEERS["fastapi"]) if not peer.bin.is_dir()]
    if missing or not OPENLOOP.exists():
        names = ",".join(missing or [peers[0].name])
        raise SystemExit(f"Not set up; run: python benchmarks/serving/run.py setup --peers {names}")
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing; it is the Debian package 'wrk'.")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("setup", help=f"make the environments in {ENVIRONMENTS.name}/")
    measured = commands.add_parser("measure", help="interleaved rounds; prints a Markdown table")
    for command in (made, measured):
        command.add_argument("--peers", help=f"comma-separated, of {', '.join(PEERS)}")
    measured.add_argument("--model", choices=("tiny", "minilm"), default="tiny")
    measured.add_argument("--artifact", type=Path, help="folder of the minilm artifact")
    measured.add_argument("--rounds", type=int, default=3)
    measured.add_argument("--seconds", type=float, default=3.0, help="of each load; whole seconds")
    measured.add_argument("--rate", type=float, help="requests/s of the open loop, same for all")
    measured.add_argument("--json", type=Path, help="write all figures there")
    options = parser.parse_args()
    peers = chosen(options.peers)
    if options.command == "setup":
        setup(peers)
        return
    if options.model == "minilm" and options.artifact is None:
        parser.error("--model minilm needs --artifact, the folder of its int8 artifact")
    ready(peers)
    result = measure(options, peers)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(markdown(result))


if __name__ == "__main__":
    main()
