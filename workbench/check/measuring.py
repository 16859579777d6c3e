"""Measures two artifacts side by side, process by process, until a check is decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.artifact import Artifact
from workbench.check.levels import RESOLUTION_MS
from workbench.errors import InputError, StepError
from workbench.preprocess import vocabulary_of
from workbench.profile_options import ProfileOptions
from workbench.profiler import measure_latency
from workbench.records import Latency, Setting

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 0.4
"""For the rounds of one cell in one process, for each of the two artifacts; the rounds end before,
once the ratio is known to 1 %. More would narrow only what the process itself blurs: medians of
paired ratios differ between processes by 0.2 to 0.6 %."""

ROUNDS = {"p50": 20, "p95": 40, "p99": 150}
"""At least, in each process: a percentile of fewer is the largest sample or two."""

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

Samples = dict[str, tuple[float, ...]]


@dataclass
class Pair:
    """A variant beside what it is held against, and what the processes found so far."""

    variant: str
    against: str
    now: Artifact
    then: Artifact
    options: ProfileOptions
    rounds: list[Mapping[Setting, tuple[Latency, Latency]]] = field(default_factory=list)

    def measure(self, settings: Sequence[Setting], percentiles: Sequence[str]) -> None:
        """Let one more fresh process measure these cells.

        Raises:
            StepError: an artifact cannot be loaded or run, or the process died.
            MissingError: a device does not start.
        """
        old, new = f"{self.variant} ({self.against})", self.variant
        paths: dict[str, Path] = {old: self.then.model_path, new: self.now.model_path}
        if len(self.rounds) % 2:  # each is loaded first equally often
            paths = dict(reversed(paths.items()))
        least = max(ROUNDS[name] for name in percentiles)
        try:
            cells = self._measure(paths, old, settings, least)
        except InputError as error:  # what a run has measured before is no fault of the input
            raise StepError(error.message, hint=error.hint) from error
        then = {cell.setting: cell for cell in cells[old]}
        self.rounds.append({cell.setting: (cell, then[cell.setting]) for cell in cells[new]})

    def _measure(
        self, paths: dict[str, Path], old: str, settings: Sequence[Setting], least: int
    ) -> dict[str, tuple[Latency, ...]]:
        cells, _ = measure_latency(
            paths,
            baseline=old,
            options=self.options.model_copy(
                update={
                    "batch": tuple(sorted({s.batch for s in settings})),
                    "sequence": tuple(sorted({s.sequence for s in settings if s.sequence}))
                    or self.options.sequence,
                    "threads": tuple(sorted({s.threads for s in settings})),
                    "devices": tuple(sorted({s.device for s in settings})),
                    "seconds": SECONDS,
                    "processes": 1,
                    "min_rounds": least,
                    "max_rounds": max(200, least),
                }
            ),
            vocabulary=vocabulary_of(self.then),
        )
        return cells

    def logs(self, setting: Setting, percentile: str) -> list[float]:
        """The logarithm of now over then in a cell, one from each process that measured it."""
        return [
            log_ratio(found[setting][0].samples_ms, found[setting][1].samples_ms, percentile)
            for found in self.rounds
            if setting in found
        ]

    def then_ms(self, setting: Setting, percentile: str) -> float:
        """The reference's percentile in a cell: the median of the processes'."""
        import numpy as np

        times = [
            np.quantile(found[setting][1].samples_ms, QUANTILES[percentile])
            for found in self.rounds
            if setting in found
        ]
        return float(np.median(times))

    def resolution(self, setting: Setting) -> float:
        """What the clock cannot tell apart, as a share of the shorter time in a cell."""
        times = [
            min(cell.p50_ms.value for cell in found[setting])
            for found in self.rounds
            if setting in found
        ]
        return RESOLUTION_MS / max(min(times, default=1.0), RESOLUTION_MS)


def log_ratio(now: Sequence[float], then: Sequence[float], percentile: str) -> float:
    """Natural logarithm of one artifact's time over the other's, in one process.

    For ``p50`` the median of the paired ratios: the two runs of a round follow each other, so a
    clock or a neighbour that slows the machine slows both. Where the machine goes back and forth
    between two speeds, the ratio of the medians may compare one speed with the other: in 20
    processes of one model against itself on a busy machine it was once off by 93 %, where the
    medians of the ratios had a standard deviation of 0.6 %. For ``p95``
    and ``p99``, which speak of the slow runs, the ratio of the percentiles.

    Args:
        now: milliseconds, round by round.
        then: the other's in the same rounds.
        percentile: ``p50``, ``p95`` or ``p99``.
    """
    import numpy as np

    a, b = np.asarray(now, float), np.asarray(then, float)
    if percentile == "p50":
        return float(np.median(np.log(a) - np.log(b)))
    q = QUANTILES[percentile]
    return float(np.log(np.quantile(a, q) / np.quantile(b, q)))


@dataclass
class Clock:
    """What measuring may cost, and has cost."""

    budget_s: float
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    processes: int = 0

    @property
    def over(self) -> bool:
        """Whether the budget is spent."""
        return time.monotonic() - self.began >= self.budget_s

    def timed(self, work: Callable[[], None]) -> None:
        """Do a piece of measuring and count it."""
        start = time.monotonic()
        work()
        self.seconds += time.monotonic() - start
        self.processes += 1


def same_inputs(one: Artifact, other: Artifact) -> bool:
    """Whether two artifacts can be fed the same inputs."""
    return one.manifest.signature.inputs == other.manifest.signature.inputs
