"""Two models side by side (or one alone): what is known and what was measured of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from workbench.check.findings import same_task
from workbench.check.measuring import Pair
from workbench.errors import InputError
from workbench.gates import AGREEMENT, FOOTPRINT
from workbench.profile_options import ProfileOptions
from workbench.profiler import measure_footprint
from workbench.records import Footprint, Measurement, Setting
from workbench.store import Store
from workbench.testing.subjects import Subject

BASELINE = "baseline"
COUNTED = tuple(name for name in FOOTPRINT if name not in ("memory", "macs"))
"""What is the same on every machine and for every input, so that a run's figures of it hold."""


@contextmanager
def alone() -> Iterator[None]:
    """Keep other tests that measure, in other processes of this user, from measuring now."""
    with Store().lock("measuring"):
        yield


@dataclass
class SideBySide:
    """Two models (or one alone), and what was measured of them so far."""

    now: Subject
    then: Subject | None
    options: ProfileOptions
    settings: tuple[Setting, ...]
    pairs: dict[str, Pair] = field(default_factory=dict)
    _footprints: dict[bool, Footprint] = field(default_factory=dict)

    def pair(self, percentile: str) -> Pair:
        """The processes that measured enough rounds for a percentile.

        A model alone is measured beside itself: one way to measure, at twice the time.
        """
        then = self.then or self.now
        return self.pairs.setdefault(
            percentile,
            Pair(self.now.name, BASELINE, self.now.artifact, then.artifact, self.options),
        )

    def subject(self, reference: bool) -> Subject:
        """One of the two.

        Raises:
            InputError: there is no other one.
        """
        if not reference:
            return self.now
        if self.then is None:
            raise InputError(
                f"'{self.now.name}' has nothing to be held against.",
                hint="Name it: against=, baseline= in the marker, or --workbench-baseline.",
            )
        return self.then

    def refuse_other_task(self, name: str) -> None:
        """See that both runs' quality, or closeness to their baselines, is of the same.

        Raises:
            InputError: it is of another task, or of closeness to another baseline.
        """
        now, then = self.now, self.subject(reference=True)
        if name not in ("quality", *AGREEMENT) or now.run is None or then.run is None:
            return
        ours, theirs = now.stored, then.stored
        if ours and theirs and ours.quality and theirs.quality:
            same = same_task(now.run, ours.quality, then.run, theirs.quality)
            if name in AGREEMENT:
                same = same and now.base.artifact.digest == then.base.artifact.digest
            if not same:
                raise InputError(
                    f"{name} of '{now.name}' and of '{then.name}' cannot be compared: their runs "
                    "have another task, metric, number of samples or baseline."
                )

    def measurement(self, name: str, *, reference: bool) -> Measurement:
        """What is known of one model for a figure that is no latency.

        Quality and closeness are those of its run: only the run has the task's data.

        Raises:
            InputError: they are asked for, and there is no run that measured them.
        """
        subject = self.subject(reference)
        stored = subject.stored
        if name == "quality" or name in AGREEMENT:
            if stored is None or subject.run is None or stored.quality is None:
                raise InputError(
                    f"{name} of '{subject.name}' was not measured: only a run has a task.",
                    hint="Name a variant of a run, such as runs/x:int8.",
                )
            if subject.run.smoke:
                raise InputError(f"{subject.folder} is a smoke run: its quality says nothing.")
            return stored
        if name in COUNTED and stored is not None:
            return stored
        return Measurement(footprint=self._footprint(subject, reference))

    def _footprint(self, subject: Subject, reference: bool) -> Footprint:
        if reference not in self._footprints:
            artifact = subject.artifact
            with alone():
                self._footprints[reference] = measure_footprint(
                    artifact,
                    sizes=self.options.sizes(artifact.manifest.signature, self.settings[0]),
                )
        return self._footprints[reference]

    @property
    def paired(self) -> bool:
        """Whether the run's difference of quality is to the very model it is held against."""
        base = self.now.baseline()
        return base is not None and self.then is not None and base.identity == self.then.identity
