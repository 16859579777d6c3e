"""Follows an engine while it builds: its output to a log, its steps to a Progress."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.artifact import disk_errors
from workbench.progress import Progress

LAST_LINES = 15
"""Lines of an engine's output that are shown when a build fails."""
ENDING_S = 10.0
"""How long an engine that is interrupted may take to end."""
_STEP = re.compile(
    r"(?:\[(?P<stage>\d+)/(?P<stages>\d+)\] )?(?:STEP |Step |#\d+ \[(?:\S+ +)?)"
    r"(?P<step>\d+)/(?P<steps>\d+)"
)


def follow(words: list[str], log: Path, progress: Progress) -> tuple[int, Sequence[str]]:
    """Run a build to its end; returns its exit code and its last lines.

    Raises:
        MissingError: the log cannot be written.
    """
    # Attestations would make an index of several manifests, which SageMaker refuses (C1).
    environment = {
        **os.environ,
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
        "BUILDKIT_PROGRESS": "plain",
    }
    last: deque[str] = deque(maxlen=LAST_LINES)
    with disk_errors(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        file = log.open("w", encoding="utf-8")
    with file:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        try:
            for line in process.stdout or ():
                with disk_errors(log):
                    file.write(line)
                    file.flush()
                if line.strip():
                    last.append(line.rstrip())
                if match := _STEP.match(line):
                    progress.advance(*_part(match))
            return process.wait(), tuple(last)
        finally:
            _end(process)


def _part(match: re.Match[str]) -> tuple[float, float]:
    """How much of all stages is done, and of how much."""
    stage, stages = int(match["stage"] or 1), int(match["stages"] or 1)
    within = (int(match["step"]) - 1) / max(1, int(match["steps"]))
    return min(float(stages), stage - 1 + within), float(stages)


def _end(process: subprocess.Popen[Any]) -> None:
    """End what was interrupted, with all that it has started."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.stdout:
        process.stdout.close()
