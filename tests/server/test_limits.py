"""Limits are read from fake trees of both control group versions, and from this process."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from onnx_server import limits
from onnx_server.limits import available_cpus, memory_limit_bytes, resident_bytes, trim

GIB = 1 << 30


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine of 64 GiB without any control group."""
    write(tmp_path, "proc/meminfo", f"MemTotal:       {64 * GIB // 1024} kB\nMemFree: 1 kB\n")
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_control_groups_the_machine_is_the_limit(root: Path) -> None:
    assert available_cpus(root, affinity=64) == 64
    assert memory_limit_bytes(root) == 64 * GIB


def test_version_2_quota_and_limit_of_a_container(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/\n")
    write(root, "sys/fs/cgroup/cpu.max", "150000 100000\n")
    write(root, "sys/fs/cgroup/memory.max", f"{2 * GIB}\n")
    assert available_cpus(root, affinity=64) == 1.5
    assert memory_limit_bytes(root) == 2 * GIB


def test_version_2_without_a_bound_says_max(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/a\n")
    write(root, "sys/fs/cgroup/a/cpu.max", "max 100000\n")
    write(root, "sys/fs/cgroup/a/memory.max", "max\n")
    assert available_cpus(root, affinity=8) == 8
    assert memory_limit_bytes(root) == 64 * GIB


@pytest.mark.parametrize("bound", ["pod", "pod/container", "pod/container/worker"])
def test_the_tightest_of_nested_groups_counts(root: Path, bound: str) -> None:
    write(root, "proc/self/cgroup", "0::/pod/container/worker\n")
    for folder in ("pod", "pod/container", "pod/container/worker"):
        write(root, f"sys/fs/cgroup/{folder}/cpu.max", "400000 100000\n")
        write(root, f"sys/fs/cgroup/{folder}/memory.max", f"{8 * GIB}\n")
    write(root, f"sys/fs/cgroup/{bound}/cpu.max", "50000 100000\n")
    write(root, f"sys/fs/cgroup/{bound}/memory.max", f"{GIB}\n")
    assert available_cpus(root, affinity=64) == 0.5
    assert memory_limit_bytes(root) == GIB


@pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
def test_version_1_quota_under_each_name_of_its_mount(root: Path, folder: str) -> None:
    write(root, "proc/self/cgroup", "4:memory:/job\n3:cpu,cpuacct:/job\n0::/\n")
    write(root, f"sys/fs/cgroup/{folder}/job/cpu.cfs_quota_us", "200000\n")
    write(root, f"sys/fs/cgroup/{folder}/job/cpu.cfs_period_us", "100000\n")
    write(root, "sys/fs/cgroup/memory/job/memory.limit_in_bytes", f"{3 * GIB}\n")
    assert available_cpus(root, affinity=64) == 2
    assert memory_limit_bytes(root) == 3 * GIB


def test_version_1_without_a_bound(root: Path) -> None:
    write(root, "proc/self/cgroup", "4:memory:/\n3:cpu:/\n")
    write(root, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    write(root, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert available_cpus(root, affinity=4) == 4
    assert memory_limit_bytes(root) == 64 * GIB


def test_a_path_of_the_host_falls_back_to_the_root_of_the_mount(root: Path) -> None:
    write(root, "proc/self/cgroup", "4:memory:/docker/0123\n3:cpu:/docker/0123\n")
    write(root, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n")
    write(root, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", f"{GIB}\n")
    assert available_cpus(root, affinity=64) == 1
    assert memory_limit_bytes(root) == GIB


def test_a_path_above_the_namespace_does_not_leave_the_mount(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/../..\n")
    write(root, "sys/fs/cgroup/cpu.max", "100000 100000\n")
    assert available_cpus(root, affinity=64) == 1


@pytest.mark.parametrize("text", ["", "garbage", "0 100000", "100000 0", "100000", "-5 100000"])
def test_a_quota_that_makes_no_sense_is_no_quota(root: Path, text: str) -> None:
    write(root, "proc/self/cgroup", "0::/\n")
    write(root, "sys/fs/cgroup/cpu.max", text)
    assert available_cpus(root, affinity=6) == 6


def test_a_quota_above_the_affinity_gives_the_affinity(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/\n")
    write(root, "sys/fs/cgroup/cpu.max", "1600000 100000\n")
    assert available_cpus(root, affinity=2) == 2


def test_this_process_has_limits() -> None:
    assert 0 < available_cpus() <= len(os.sched_getaffinity(0))
    assert 64 << 20 < memory_limit_bytes() < 1 << 50


def test_resident_bytes_reads_anonymous_memory_exactly(root: Path) -> None:
    write(root, "proc/self/smaps_rollup", "0-1 ---p [rollup]\nRss: 900 kB\nAnonymous: 116 kB\n")
    assert resident_bytes(root) == 116 * 1024


def test_resident_bytes_without_smaps_rollup_is_resident_less_shared(root: Path) -> None:
    write(root, "proc/self/statm", "5000 300 100 1 0 200 0\n")
    assert resident_bytes(root) == 200 * os.sysconf("SC_PAGE_SIZE")


def test_resident_bytes_without_proc_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="statm"):
        resident_bytes(tmp_path)


def _alone(code: str) -> list[int]:
    """Whole numbers that the code prints in a process of its own, whose allocator is untouched."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return [int(word) for word in done.stdout.split()]


def test_resident_bytes_follows_what_is_allocated_and_freed() -> None:
    held, after = _alone("""
import numpy as np
from onnx_server.limits import resident_bytes
before = resident_bytes()
block = np.ones(64 << 20, np.uint8)
held = resident_bytes() - before
del block
print(held, resident_bytes() - before)
""")
    assert math.isclose(held, 64 << 20, rel_tol=0.05)
    assert after < 8 << 20


@pytest.mark.skipif(limits._malloc_trim is None, reason="the C library is not glibc")
def test_trim_gives_freed_small_blocks_back() -> None:
    full, trimmed = _alone("""
from onnx_server.limits import resident_bytes, trim
before = resident_bytes()
blocks = [b"x" * 100_000 for _ in range(600)]  # below the size that glibc maps by itself
full = resident_bytes() - before
pin = [bytes(1000)]
del blocks
trim()
print(full, resident_bytes() - before)
""")
    assert full > 50 << 20
    assert trimmed < 10 << 20, "60 MB of freed blocks stay"


def test_trim_does_nothing_with_another_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_malloc_trim", None)
    assert trim() is False
