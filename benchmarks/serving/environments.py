"""The environments of the servers: making them, and what is in them."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from load import OPENLOOP, compile_openloop
from peers import PEERS
from peers.base import HERE, Peer

SHARED = ("onnxruntime", "tokenizers", "numpy")
SETUP = "python benchmarks/serving/run.py setup"
REFERENCE = PEERS["fastapi"]
"""Its environment also runs the raw loop and the bare process."""


def setup(peers: Iterable[Peer]) -> None:
    """Make each peer's environment, with the onnxruntime and tokenizers of this one."""
    compile_openloop()
    pins = [f"{name}=={version(Path(sys.executable), name)}" for name in SHARED]
    for peer in {peer.bin: peer for peer in peers}.values():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(peer.bin.parent)], check=True)
        command = [str(peer.bin / "pip"), "install", "--quiet", *pins, *peer.requirements]
        failed = subprocess.run(command).returncode
        print(f"{peer.name}: {'pip failed' if failed else version_of(peer)}", flush=True)


def version(python: Path, package: str) -> str:
    """The version of a package in an environment, empty if it is not there."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    command = [str(python), "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def version_of(peer: Peer) -> str:
    """The version of a server in its environment, empty if it is not there."""
    python = peer.bin / "python"
    return version(python, peer.package) if python.exists() else ""


def why_not(peer: Peer) -> str:
    """Why a peer cannot be measured here; empty if it can."""
    if not version_of(peer):
        return f"it is not installed; run {SETUP} --servers {peer.name}"
    missing = [program for program in peer.programs if shutil.which(program) is None]
    return f"it needs the program {missing[0]}, which is not installed" if missing else ""


def check_tools() -> None:
    """The load generators and the environment of the raw loop must be there.

    Raises:
        SystemExit: one is missing; the message says how to get it.
    """
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing; it is the Debian package 'wrk'.")
    if not OPENLOOP.exists() or why_not(REFERENCE):
        raise SystemExit(f"Not set up; run {SETUP} --servers {REFERENCE.name},onnx_server")


def machine(peers: Iterable[Peer]) -> dict[str, Any]:
    """The CPU, and the versions of what is compared."""
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    python = REFERENCE.bin / "python"
    return {
        "cpu": _field(cpus, "model name"),
        "cpu_family": f"family {_field(cpus, 'cpu family')}, model {_field(cpus, 'model')}",
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": _commit(),
        "versions": {peer.name: version_of(peer) for peer in peers},
        "shared": {name: version(python, name) for name in SHARED},
    }


def _field(lines: list[str], name: str) -> str:
    values = (line.partition(":")[2].strip() for line in lines if line.split("\t")[0] == name)
    return next(values, "unknown")


def _commit() -> str:
    """The commit of the repository, with a + where files differ from it; empty without git."""
    git = ["git", "-C", str(HERE)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--untracked-files=no", "--", ":/serving_containers"],
        capture_output=True,
        text=True,
    )
    return head.stdout.strip() + ("+" if changed.stdout else "")
