"""Judges two artifacts on the same samples now, where their runs recorded nothing paired."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.artifact import Artifact, open_artifact
from workbench.compare.changes import task_of
from workbench.compare.figures import measured, other_samples
from workbench.compare.intervals import told
from workbench.compare.records import QualityChange
from workbench.compare.sources import Source
from workbench.errors import DataError, InputError
from workbench.machine import machine, same_outputs

if TYPE_CHECKING:
    import numpy as np

    from workbench.tasks import BoundTask

SAME = 1e-6
"""Scores that differ by no more are those of the same outputs, summed in another order."""


def evaluate(before: Source, name: str, after: Source, partner: str) -> QualityChange:
    """The paired difference of quality, from the outputs of both artifacts on the task's samples.

    The data are found as the recipe names them; a relative path starts at the current folder. That
    they are those of the runs is checked by the recorded number of samples, and by the recorded
    score where this machine computes as the run's did.

    Raises:
        InputError: the runs judged different samples, or an artifact is not beside its run.
        DataError, MissingError: the data cannot be had, do not fit, or are not those of a run.
    """
    if other_samples(before, after):
        raise InputError(
            f"{before.label} and {after.label} were not judged on the same samples.",
            hint="Without --paired both scores are shown with their intervals.",
        )
    task = _bound(before)
    outputs = []
    for source, variant in ((before, name), (after, partner)):
        artifact = _artifact(source, variant)
        found = task.outputs(artifact)
        _check(source, variant, task, artifact, found)
        outputs.append((artifact, found))
    (_, reference), (artifact, ours) = outputs
    quality = task.judge(ours, reference, artifact.manifest.labels)
    return QualityChange(
        basis="paired",
        difference=quality.difference,
        told=told(quality.difference, 0.0),
        why="both evaluated again, on one machine",
    )


def _bound(source: Source) -> BoundTask:
    options = {key: value for key, value in task_of(source.run.recipe).items() if key != "name"}
    return _bind(source.run.task, json.dumps(options), Path.cwd())


@cache
def _bind(name: str, options: str, folder: Path) -> BoundTask:
    from workbench.tasks import make_task

    given = {key: value for key, value in json.loads(options).items() if value is not None}
    return make_task(name, given).bind(folder)


def _artifact(source: Source, variant: str) -> Artifact:
    folder = None if source.folder is None else source.folder / "variants" / variant
    if folder is None or not folder.is_dir():
        raise InputError(
            f"The files of {source.label}, variant {variant}, are not beside its run.json.",
            hint="Without them quality cannot be judged again: leave --paired out.",
        )
    return open_artifact(folder)


def _check(
    source: Source, variant: str, task: BoundTask, artifact: Artifact, outputs: np.ndarray
) -> None:
    """Refuse data that are not those of the run."""
    found = measured(source, variant)
    recorded = found.quality if found else None
    if recorded is None or recorded.score is None:
        return
    alike = same_outputs(machine(), source.run.machine)
    again = task.judge(outputs, None, artifact.manifest.labels)
    other = again.score is None or abs(again.score.value - recorded.score.value) > SAME
    if again.samples != recorded.samples or (alike and other):
        raise DataError(
            f"The data '{task.task.data}' are not those that {source.label} was judged on.",
            hint="Call it in the folder that the recipe's paths start from.",
        )
