"""A server and all processes that it starts: CPU time, memory, stopping. From ``/proc``."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from peers.base import Launch

TICK = os.sysconf("SC_CLK_TCK")
STOP_S = 20.0


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
        total = 0
        for pid in self.processes():
            if fields := _stat(pid):
                total += int(fields[11]) + int(fields[12])
        return total / TICK

    def pss_bytes(self) -> int:
        """Proportional set size of all processes: shared pages are counted once."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
        return total

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is left after 20 s."""
        left = self.processes()
        self.process.terminate()
        end = time.monotonic() + STOP_S
        while time.monotonic() < end and any(_alive(pid) for pid in left):
            self.process.poll()
            time.sleep(0.05)
        for pid in left:
            if _alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def start(launch: Launch, log: Path) -> Server:
    """Start it, its output in ``log``."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            launch.command,
            env={**os.environ, **launch.environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Server(process, log)


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
