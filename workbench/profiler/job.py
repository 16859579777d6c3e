"""Measures latency where it is run: ``python -m workbench.profiler.job INPUT OUTPUT``.

The program of a container on another machine. INPUT holds ``job.json`` and a folder for each
artifact; OUTPUT gets ``latency.json``, a ``LatencyTable`` with the machine it was measured on, or
``error.json`` with what went wrong. Nothing of torch or transformers is needed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from workbench.artifact import Artifact, open_artifact, write_atomic
from workbench.errors import ExitCode, WorkbenchError
from workbench.machine import machine
from workbench.profile_options import ProfileOptions
from workbench.profiler.latency import measure_latency
from workbench.records import LatencyTable, Record

JOB, RESULT, ERROR = "job.json", "latency.json", "error.json"
TOLD_S = 10.0
"""A line of progress at most so often: each is kept by the log service."""


class Job(Record):
    """What to measure; ``artifacts`` are the names of the folders beside ``job.json``."""

    artifacts: tuple[str, ...]
    baseline: str
    options: ProfileOptions
    vocabulary: int | None = None


class Elsewhere(Protocol):
    """Another machine that measures; ``key`` says what its figures depend on beyond the job."""

    name: str
    key: Mapping[str, Any]

    def measure(
        self, job: Job, artifacts: Mapping[str, Artifact], progress: Callable[[float, float], None]
    ) -> LatencyTable:
        """The latencies of the artifacts, measured there.

        Raises:
            WorkbenchError: it cannot be reached, or the job fails.
        """


class Failure(Record):
    """What went wrong, as the command line would say it."""

    message: str
    hint: str | None = None
    exit_code: int


def measure(folder: Path) -> LatencyTable:
    """The latencies of the artifacts in a job's folder, side by side.

    Raises:
        WorkbenchError: an artifact is not what was sent, or does not run here.
    """
    job = Job.model_validate_json((folder / JOB).read_bytes())
    artifacts = {name: open_artifact(folder / name) for name in job.artifacts}
    told = 0.0

    def progress(done: float, total: float) -> None:
        nonlocal told
        if time.monotonic() - told > TOLD_S:
            told = time.monotonic()
            print(f"{done:.1f} of {total:g} cells", flush=True)

    cells, skipped = measure_latency(
        {name: artifact.model_path for name, artifact in artifacts.items()},
        baseline=job.baseline,
        options=job.options,
        vocabulary=job.vocabulary,
        progress=progress,
    )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return LatencyTable(cells=cells, skipped=skipped, machine=machine(), measured=now)


def main(source: Path, target: Path) -> int:
    """Run a job; the exit code is the command line's."""
    try:
        table = measure(source)
    except WorkbenchError as error:
        failure = Failure(message=error.message, hint=error.hint, exit_code=int(error.exit_code))
        write_atomic(target / ERROR, failure.model_dump_json())
        print(json.dumps(failure.model_dump()), file=sys.stderr)
        return failure.exit_code
    write_atomic(target / RESULT, table.model_dump_json())
    return int(ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
