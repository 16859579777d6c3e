"""What this process may use of the machine: CPUs and memory of its container, and what it holds.

A container with 2 of 64 CPUs must not start 64 threads, so the limits of the control groups count,
not those of the machine. Every function takes ``root``, the root of the file system to read.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
V1_FOLDERS = {"cpu": ("cpu", "cpu,cpuacct", "cpuacct,cpu"), "memory": ("memory",)}

M_ARENA_MAX = -8
"""A parameter of glibc's ``mallopt``, from its malloc.h."""


def available_cpus(root: Path = ROOT, *, affinity: int | None = None) -> float:
    """CPUs that this process may use at a time, at most those it may be scheduled on.

    The smallest quota of the process's control group and of the groups around it (version 2
    ``cpu.max``, version 1 ``cpu.cfs_quota_us``); ``affinity`` overrides the number of CPUs that the
    scheduler allows. Always > 0; a fraction such as 0.5 is possible.
    """
    found = [float(_schedulable_cpus() if affinity is None else affinity)]
    for folder in _groups(root, "cpu"):
        quota, period = _cpu_quota(folder)
        if quota > 0 and period > 0:
            found.append(quota / period)
    return min(found)


def memory_limit_bytes(root: Path = ROOT) -> int:
    """Bytes of memory that this process may use, at most those of the machine.

    The smallest limit of the process's control group and of the groups around it (version 2
    ``memory.max``, version 1 ``memory.limit_in_bytes``), else ``MemTotal``.
    """
    found = [_machine_bytes(root)]
    for folder in _groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(folder / name)
            if text.isdigit():
                found.append(int(text))
    return min(found)


def resident_bytes(root: Path = ROOT) -> int:
    """Bytes of anonymous memory that this process holds: what it must give back, not its files.

    ``Anonymous`` of ``smaps_rollup``, which is exact: ``statm`` is cheaper, but since Linux 6.2 it
    can be off by some MB on machines with many CPUs. ``statm`` (resident less shared) is read
    where the kernel has no ``smaps_rollup``.

    Raises:
        OSError: there is no ``/proc``.
    """
    for line in _read(root / "proc/self/smaps_rollup").splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    resident, shared = (root / "proc/self/statm").read_text().split()[1:3]
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def peak_bytes(root: Path = ROOT) -> int:
    """The most bytes of anonymous memory since ``reset_peak``, or a little more.

    The peak of the resident memory (``VmHWM``) less what is of files and shared now: what was
    mapped for a moment only counts as well.

    Raises:
        OSError: there is no ``/proc``.
    """
    found = dict(
        line.split(":", 1) for line in (root / "proc/self/status").read_text().splitlines()
    )
    peak, files, shared = (
        int(found[name].split()[0]) * 1024 for name in ("VmHWM", "RssFile", "RssShmem")
    )
    return peak - files - shared


def reset_peak(root: Path = ROOT) -> bool:
    """Let ``peak_bytes`` begin again at what is held now; false where the system forbids that.

    Linux's Documentation/filesystems/proc.rst: 5 in ``clear_refs`` resets the peak.
    """
    try:
        (root / "proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def trim() -> bool:
    """Give free memory of the C allocator back to the system; whether some was given back.

    glibc keeps freed blocks for later, so that an unloaded model would still count against the
    container's limit. Does nothing with other C libraries.
    """
    if _malloc_trim is None:
        return False
    return bool(_malloc_trim(0))


def one_heap() -> None:
    """Let all threads of this process allocate from one heap; before the first thread starts.

    Of the heaps that glibc makes for further threads ``malloc_trim`` leaves the last free block
    alone, so that some megabytes of an unloaded model would stay. What threads wait for each other
    is not measurable beside an inference. Does nothing with other C libraries.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)


def _find_malloc_trim() -> ctypes._NamedFuncPointer | None:
    if sys.platform != "linux":
        return None
    function = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if function is not None:
        function.argtypes = [ctypes.c_size_t]
        function.restype = ctypes.c_int
    return function


_malloc_trim = _find_malloc_trim()


def _schedulable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _machine_bytes(root: Path) -> int:
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _cpu_quota(folder: Path) -> tuple[int, int]:
    """Microseconds of CPU time and of the period they are for; (0, 0) without a quota."""
    match _read(folder / "cpu.max").split():
        case [quota, period] if quota.isdigit() and period.isdigit():
            return int(quota), int(period)
    quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit():  # "-1" means no quota
        return int(quota), int(period)
    return 0, 0


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups that bound this process, from the innermost outwards.

    Inside a container ``/proc/self/cgroup`` may give the path on the host, which is not there: only
    the mount's own root is then found, and that is the container's group.
    """
    mounts = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            folders = [mounts, mounts / "unified"]
        elif controller in controllers.split(","):
            folders = [mounts / name for name in V1_FOLDERS[controller]]
        else:
            continue
        for folder in folders:
            inner = [part for part in path.split("/") if part not in ("", "..")]
            for depth in range(len(inner), -1, -1):
                yield folder.joinpath(*inner[:depth])


def _read(path: Path) -> str:
    """The text of a file of the kernel, empty where it is not there or may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
