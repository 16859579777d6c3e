"""A server and all processes that it starts: CPU time, memory, stopping. From ``/proc``."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from peers.base import ENVIRONMENTS, Launch

TICK = os.sysconf("SC_CLK_TCK")
STOP_S = 5.0
BUSY = (0, 1, 2, 5, 6, 7)
"""Columns of ``/proc/stat``: user, nice, system, irq, softirq, steal."""


@dataclass
class Server:
    """A started server, the leader of a session of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    def processes(self) -> list[int]:
        """The server, its descendants, and whatever still lives in its session."""
        table = dict(filter(None, map(_parent_and_session, _all())))
        found = {self.process.pid}
        while True:
            more = {
                pid
                for pid, (parent, session) in table.items()
                if pid not in found and (parent in found or session == self.process.pid)
            }
            if not more:
                return sorted(found)
            found |= more

    def cpu_s(self) -> float:
        """User and system time so far, of all living processes, in seconds (10 ms steps)."""
        return sum(map(cpu_s, self.processes()))

    def pss_bytes(self) -> int:
        """Proportional set size of all processes: shared pages are counted once."""
        return sum(rollup_bytes(pid, "Pss") for pid in self.processes())

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-1500:]

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is left after five seconds."""
        left = self.processes()
        self.process.terminate()
        end = time.monotonic() + STOP_S
        while time.monotonic() < end and any(_alive(pid) for pid in left):
            self.process.poll()
            time.sleep(0.05)
        for pid in left:
            if _alive(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()


def start(launch: Launch, folder: Path) -> Server:
    """Start it in ``folder``, its output in a file there.

    It gets a clean environment, so that nothing of the caller's changes it, and keeps the bytecode
    of sources that were not installed beside the environments, as if they were installed.
    """
    log = folder / "log"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONPYCACHEPREFIX": str(ENVIRONMENTS / "bytecode"),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            launch.command,
            env={**environment, **launch.environment},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Server(process, log)


def cpu_s(pid: int) -> float:
    """User and system time of a process so far, in seconds; 0 once it has ended."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICK if fields else 0.0


def machine_cpu_s() -> float:
    """CPU time of all processes of the machine so far, in seconds."""
    columns = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(int(columns[index]) for index in BUSY) / TICK


def rollup_bytes(pid: int, name: str) -> int:
    """One line of a process's ``smaps_rollup``, such as ``Pss``; 0 once it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0


def wait_for_quiet(seconds: float, busy: float = 0.1) -> None:
    """Wait until all processes together use less than ``busy`` CPUs; at most so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = machine_cpu_s()
        time.sleep(1.0)
        if machine_cpu_s() - before < busy:
            return


def _all() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _stat(pid: int) -> list[str] | None:
    """Fields of ``/proc/PID/stat`` after the name: 0 is the state; none if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _parent_and_session(pid: int) -> tuple[int, tuple[int, int]] | None:
    fields = _stat(pid)
    return (pid, (int(fields[1]), int(fields[3]))) if fields else None


def _alive(pid: int) -> bool:
    fields = _stat(pid)
    return fields is not None and fields[0] != "Z"
