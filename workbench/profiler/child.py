"""The parent's side of the worker: start it, follow its progress, and explain its death."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import errors
from workbench.errors import StepError, TooLargeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Feed = dict[str, NDArray[np.generic]]

Message = dict[str, Any]
WORKER = "workbench.profiler.worker"
COMMAND: tuple[str, ...] = ("-P", "-m", WORKER)


def run_worker(
    spec: dict[str, Any], folder: Path, listen: Callable[[Message], None] = lambda message: None
) -> dict[str, Any]:
    """Do a job in a fresh process.

    Args:
        spec: the job, as ``worker.py`` reads it.
        folder: an existing folder for the job's files.
        listen: called with each message of progress.

    Raises:
        WorkbenchError: the error that the worker met.
        TooLargeError: the worker was killed, most likely for lack of memory.
        StepError: the worker crashed; the message says what it was doing.
    """
    spec_file, result_file = folder / "spec.json", folder / "result.json"
    result_file.unlink(missing_ok=True)
    spec_file.write_text(json.dumps(spec), encoding="utf-8")
    command = [sys.executable, *COMMAND, str(spec_file), str(result_file)]
    at = "starting"
    with tempfile.TemporaryFile("w+") as noise:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=noise, text=True
        )
        try:
            for line in process.stdout or ():
                message = _message(line)
                at = message.get("at", at)
                listen(message)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        noise.seek(0)
        last_words = noise.read()[-2000:].strip().splitlines()[-1:]
    if code != 0 or not result_file.is_file():
        raise _death(code, at, last_words)
    outcome = json.loads(result_file.read_text(encoding="utf-8"))
    if "error" in outcome:
        error = outcome["error"]
        raise getattr(errors, error["kind"])(error["message"], hint=error["hint"])
    result: dict[str, Any] = outcome["result"]
    return result


def save_feed(feed: Feed, file: Path) -> dict[str, Any]:
    """Write inputs for the worker; returns what its specification says about them."""
    import numpy as np

    with file.open("wb") as target:
        np.savez(target, **{str(i): array for i, array in enumerate(feed.values())})  # type: ignore[arg-type]
    return {"file": str(file), "names": list(feed)}


def _message(line: str) -> Message:
    try:
        message = json.loads(line)
    except ValueError:  # a library printed something
        return {}
    return message if isinstance(message, dict) else {}


def _death(code: int, at: str, last_words: list[str]) -> errors.WorkbenchError:
    if code == -signal.SIGKILL:
        return TooLargeError(
            f"The measuring process was killed while at {at}: the machine most likely ran out of "
            "memory.",
            hint="Measure smaller batches or fewer variants at a time.",
        )
    how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    said = f": {last_words[0]}" if last_words else ""
    return StepError(f"The measuring process {how} while at {at}{said}.")
