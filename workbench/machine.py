"""What this machine is: recorded with every measurement."""

from __future__ import annotations

import os
import platform
import socket
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from workbench.errors import TooLargeError
from workbench.records import Machine

ISA: tuple[str, ...] = (
    *("avx", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_int8", "amx_bf16", "amx_tile", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)
"""Flags of /proc/cpuinfo that change the speed or the numbers of inference."""

PACKAGES = (
    *("workbench", "onnxruntime", "onnxruntime-gpu", "onnx", "onnxscript", "onnxslim"),
    *("torch", "transformers", "optimum-onnx", "tokenizers", "numpy"),
)
"""Packages that can change a result; their versions are part of every key."""


def machine() -> Machine:
    """This machine, with its load at this moment."""
    import psutil

    cpu, flags = _cpu()
    return Machine(
        cpu=cpu,
        isa=tuple(flag for flag in ISA if flag in flags),
        cores=allowed_cores(),
        memory_bytes=psutil.virtual_memory().total,
        gpu=_gpu(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        versions={name: found for name in PACKAGES if (found := installed(name))},
        load_average=round(os.getloadavg()[0], 2),
        governor=_read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
    )


RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
"""Packages that run the models: another version of them is another program that is timed."""


def same_machine(a: Machine, b: Machine) -> tuple[str, ...]:
    """Why latencies measured on two machines cannot be compared; empty where they can.

    What must agree is what the time of one model hangs on: CPU, instruction sets, cores, GPU,
    clock governor, instance type, and the version of onnxruntime. The load of the moment is no
    reason: nobody can hold it equal, and figures that were not measured side by side are still
    to be normalised by a model that was measured beside each.
    """
    reasons = []
    for what, one, other in (
        ("CPU", a.cpu, b.cpu),
        ("instruction sets", " ".join(a.isa), " ".join(b.isa)),
        ("cores", a.cores, b.cores),
        ("GPU", a.gpu, b.gpu),
        ("clock governor", a.governor, b.governor),
        ("instance type", a.instance_type, b.instance_type),
        *((name, a.versions.get(name), b.versions.get(name)) for name in RUNTIMES),
    ):
        if one != other:
            reasons.append(f"{what}: {_or_none(one)} against {_or_none(other)}")
    return tuple(reasons)


def same_outputs(a: Machine, b: Machine) -> bool:
    """Whether one model gives the same outputs on both: instruction sets and runtime agree."""
    return a.isa == b.isa and all(a.versions.get(name) == b.versions.get(name) for name in RUNTIMES)


def _or_none(value: object) -> str:
    return "none" if value in (None, "") else str(value)


def has_int8_dot(isa: tuple[str, ...]) -> bool:
    """Whether the CPU multiplies int8 without saturating in between (VNNI, AMX or Arm's dot)."""
    return bool({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"} & set(isa))


def installed(package: str) -> str | None:
    """Version of an installed package, or none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def allowed_cores() -> int:
    """Cores that this process may use; a container may allow fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_memory(model_bytes: int, what: str) -> None:
    """Refuse what would not fit: loading takes up to three times the size of the files.

    Raises:
        TooLargeError: less memory is available; the message has the figures.
    """
    needed, available = 3 * model_bytes, available_memory()
    if needed > available:
        raise TooLargeError(
            f"Loading {what} needs about {needed / 1e9:.1f} GB of memory, "
            f"and {available / 1e9:.1f} GB are available.",
            hint="Take fewer variants at a time, or a larger machine.",
        )


def available_memory() -> int:
    """Bytes that this process may still take; a container may allow less than the machine has."""
    import psutil

    available = int(psutil.virtual_memory().available)
    try:
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        counts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return min(available, limit - used + int(counts.get("inactive_file", 0)))
    except (OSError, ValueError):  # no such group, or "max": no limit
        return available


@cache
def _cpu() -> tuple[str, frozenset[str]]:
    info: dict[str, str] = {}
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        info.setdefault(key.strip(), value.strip())
    name = info.get("model name") or platform.processor() or platform.machine()
    family = (
        f" (family {info['cpu family']}, model {info['model']})" if "cpu family" in info else ""
    )
    return name + family, frozenset((info.get("flags") or info.get("Features") or "").split())


@cache
def _gpu() -> str | None:
    name = next(Path("/proc/driver/nvidia/gpus").glob("*/information"), None)
    if name is None:
        return None
    for line in name.read_text().splitlines():
        if line.startswith("Model:"):
            return line.partition(":")[2].strip()
    return None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
