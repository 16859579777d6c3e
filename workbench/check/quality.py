"""Evaluates two artifacts on the same samples, so that their quality can be compared in pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from workbench.artifact import Artifact
from workbench.check.sides import Side
from workbench.errors import InputError
from workbench.recipe import NamedUse
from workbench.records import Quality
from workbench.tasks import make_task


def evaluate_pair(
    side: Side,
    now: Artifact,
    then: Artifact,
    progress: Callable[[float, float], None] = lambda done, total: None,
) -> Quality:
    """The quality of one artifact with its difference to another, sample by sample.

    Run directories hold no outputs, so both are run again, on the data that the run's recipe
    names; a relative path of data is taken from the current folder.

    Args:
        side: the run whose task it is.
        now: the artifact.
        then: what it is held against.
        progress: told the samples done and their number, twice over.

    Raises:
        InputError, MissingError: the data cannot be had here, or do not fit the artifacts.
        StepError: the runtime failed.
    """
    try:
        use = TypeAdapter(NamedUse).validate_python(side.run.recipe.get("task"))
    except ValidationError as error:
        raise InputError(f"{side.file}: the recipe's task cannot be read: {error}") from error
    task = make_task(use.name, use.options).bind(Path.cwd())
    outputs = task.outputs(now, progress=progress)
    reference = task.outputs(then, progress=progress)
    return task.judge(outputs, reference, now.manifest.labels)
