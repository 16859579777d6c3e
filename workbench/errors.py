"""Every error the workbench raises on purpose, in one tree.

    WorkbenchError
    ├── InputError        exit 2   the user's input is wrong
    │   ├── RecipeError            a recipe: names the file, the line and the key
    │   ├── ModelError             a model reference or a model file
    │   ├── DataError              a task's data, or data that does not fit the model
    │   ├── GateError              a gate's expression
    │   └── TooLargeError          a model that does not fit into this machine's memory
    ├── BudgetError       exit 1   no result keeps the quality that was asked for
    ├── StepError         exit 3   a step could not do its work
    ├── MissingError      exit 4   a package, a device or disk space is not on this machine
    └── CorruptError      exit 5   a stored file is not what was written

Exit code 1 says that a gate failed, which is no error, or that a step found nothing within its
budget of quality; 70 is a fault of the workbench itself. A message is one sentence about what is
wrong and, in ``hint``, one about how to mend it.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """The exit codes of the command line; stable."""

    OK = 0
    GATE_FAILED = 1
    INPUT = 2
    STEP = 3
    MISSING = 4
    CORRUPT = 5
    INTERNAL = 70
    INTERRUPTED = 130


class WorkbenchError(Exception):
    """Base of all errors raised on purpose; shown without a traceback."""

    exit_code = ExitCode.STEP

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class InputError(WorkbenchError):
    """What the user gave is wrong."""

    exit_code = ExitCode.INPUT


class RecipeError(InputError):
    """A recipe is wrong at a place: file, 1-based line, and dotted key where known.

    ``plain`` is the message without its place.
    """

    def __init__(
        self,
        message: str,
        *,
        file: Path | str | None = None,
        line: int | None = None,
        key: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.file, self.line, self.key = file, line, key
        self.plain = message
        where = ":".join(str(part) for part in (file, line) if part is not None)
        at = f"{key}: " if key else ""
        super().__init__(f"{where}: {at}{message}" if where else f"{at}{message}", hint=hint)


class ModelError(InputError):
    """A model reference or model file cannot be used."""


class DataError(InputError):
    """A task's data is missing, malformed, or does not fit the model."""


class GateError(InputError):
    """A gate's expression cannot be judged."""


class TooLargeError(InputError):
    """A model does not fit into this machine's memory."""


class BudgetError(WorkbenchError):
    """Nothing that a step found keeps its budget of quality; says the best that was found."""

    exit_code = ExitCode.GATE_FAILED


class StepError(WorkbenchError):
    """A step could not do its work on this model."""

    exit_code = ExitCode.STEP


class MissingError(WorkbenchError):
    """Something this machine lacks: a package, a device, disk space."""

    exit_code = ExitCode.MISSING


class CorruptError(WorkbenchError):
    """A stored file is not what was written."""

    exit_code = ExitCode.CORRUPT
