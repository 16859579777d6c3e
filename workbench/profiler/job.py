"""Measures latency where it is run: ``python -m workbench.profiler.job INPUT OUTPUT [MESSAGE]``.

The program of a container on another machine. INPUT holds ``job.json`` and a folder for each
artifact; OUTPUT gets ``latency.json``, a ``LatencyTable`` with the machine it was measured on, or
``error.json`` with what went wrong, of which the file MESSAGE gets the beginning as plain text.
Nothing of torch or transformers is needed.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from workbench.artifact import Artifact, open_artifact, write_atomic
from workbench.errors import ExitCode, InputError, WorkbenchError
from workbench.machine import machine
from workbench.profile_options import ProfileOptions
from workbench.profiler.latency import measure_latency
from workbench.records import LatencyTable, Record

JOB, RESULT, ERROR = "job.json", "latency.json", "error.json"
TOLD_S = 10.0
"""A line of progress at most so often: each is kept by the log service."""
MESSAGE_BYTES = 1000
"""Of a message that platforms pass on (SageMaker: the first KB)."""


class Job(Record):
    """What to measure; ``artifacts`` are the names of the folders beside ``job.json``."""

    artifacts: tuple[str, ...]
    baseline: str
    options: ProfileOptions
    vocabulary: int | None = None


class Elsewhere(Protocol):
    """Another machine that measures; ``key`` says what its figures depend on beyond the job."""

    @property
    def name(self) -> str:
        """Where it is, as people see it."""

    @property
    def key(self) -> Mapping[str, Any]:
        """See above."""

    def check(self, options: ProfileOptions) -> None:
        """Whether it can measure at all, before anything long is done.

        Raises:
            WorkbenchError: it cannot, whatever the artifacts are.
        """

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
    job = read_job(folder / JOB)
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


def read_job(path: Path) -> Job:
    """The job that was sent.

    Raises:
        InputError: this version of the workbench cannot read it.
    """
    try:
        return Job.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(
            f"{path} cannot be read: {error}",
            hint="Build the image with the version of the workbench that sends the job.",
        ) from None


def main(source: Path, target: Path, message: Path | None = None) -> int:
    """Run a job; the exit code is the command line's."""
    try:
        table = measure(source)
    except WorkbenchError as error:
        failure = Failure(message=error.message, hint=error.hint, exit_code=int(error.exit_code))
    except Exception as error:  # nobody sees this process: what it met must be told
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}"
        failure = Failure(message=text, exit_code=int(ExitCode.INTERNAL))
    else:
        write_atomic(target / RESULT, table.model_dump_json())
        return int(ExitCode.OK)
    write_atomic(target / ERROR, failure.model_dump_json())
    if message is not None:
        text = f"{failure.message} {failure.hint or ''}".strip()
        write_atomic(message, text.encode()[:MESSAGE_BYTES].decode(errors="ignore"))
    print(json.dumps(failure.model_dump()), file=sys.stderr)
    return failure.exit_code


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
