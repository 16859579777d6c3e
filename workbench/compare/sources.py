"""What is compared: run directories, ``run.json`` files, variants of runs, and records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from workbench.artifact import MANIFEST, open_artifact
from workbench.errors import InputError
from workbench.plugins import did_you_mean
from workbench.records import Run, VariantResult
from workbench.run_directory import RUN_FILE, load_run


@dataclass(frozen=True)
class Source:
    """A run, or one variant of it.

    ``folder`` is the run directory, where there is one: its artifacts tell whether two models are
    the same files.
    """

    run: Run
    label: str
    folder: Path | None = None
    variant: str | None = None
    _digests: dict[str, str | None] = field(default_factory=dict, compare=False, repr=False)

    @property
    def baseline(self) -> VariantResult:
        """The variant that the others were measured beside."""
        return self.run.baseline

    def result(self, name: str) -> VariantResult | None:
        """A variant by its name, or none."""
        return self.run.variant(name)

    def digest(self, name: str) -> str | None:
        """SHA-256 of a variant's artifact, or none where it does not lie beside ``run.json``.

        Raises:
            CorruptError: its manifest cannot be read.
        """
        if name not in self._digests:
            place = None if self.folder is None else self.folder / "variants" / name
            there = place is not None and (place / MANIFEST).is_file()
            self._digests[name] = (
                open_artifact(place, verify=False).digest if place and there else None
            )
        return self._digests[name]

    def same_run(self, other: Source) -> bool:
        """Whether both are of one run: then their variants were measured interleaved."""
        return self.run is other.run or self.run == other.run


def read_source(text: str) -> Source:
    """A RUN of the command line: a run directory, a ``run.json``, or either with ``:variant``.

    Raises:
        InputError: there is no such run or variant.
        CorruptError: ``run.json`` is not what was written.
    """
    path, variant = Path(text), None
    if not path.exists():
        before, colon, after = text.rpartition(":")
        if not colon or not Path(before).exists():
            raise InputError(
                f"{before if colon else text} does not exist.",
                hint="Give a run directory, its run.json, or either with :variant.",
            )
        path, variant = Path(before), after
    run = _load(path)
    if not run.variants:
        raise InputError(f"{path} holds no variant.")
    names = [result.name for result in run.variants]
    if variant is not None and variant not in names:
        raise InputError(f"{path} has no variant '{variant}'.", hint=did_you_mean(variant, names))
    folder = path if path.is_dir() else path.parent if path.name == RUN_FILE else None
    return Source(run, text, folder, variant)


def _load(path: Path) -> Run:
    try:
        return load_run(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error


def as_sources(runs: Sequence[Run | Source]) -> list[Source]:
    """Sources with labels of which no two are alike.

    Raises:
        InputError: fewer than two, one is given twice, or only some are smoke runs.
    """
    found = [one if isinstance(one, Source) else Source(one, one.name) for one in runs]
    if len(found) < 2:
        raise InputError("There is nothing to compare.", hint="Give two runs, or two variants.")
    for index, one in enumerate(found):
        for other in found[:index]:
            if one.same_run(other) and one.variant == other.variant:
                raise InputError(f"{other.label} and {one.label} are the same run.")
    if len({one.run.smoke for one in found}) > 1:
        names = ", ".join(one.label for one in found if one.run.smoke)
        raise InputError(
            f"Only some are smoke runs: {names}.",
            hint="Their figures say nothing; run the recipe without --smoke.",
        )
    return _labelled(found)


def _labelled(found: list[Source]) -> list[Source]:
    count = Counter(one.label for one in found)
    found = [
        replace(one, label=f"{one.label} {one.run.created}") if count[one.label] > 1 else one
        for one in found
    ]
    count = Counter(one.label for one in found)
    return [
        replace(one, label=f"{one.label} #{number}") if count[one.label] > 1 else one
        for number, one in enumerate(found, 1)
    ]


def same_files(one: Source, name: str, other: Source, partner: str) -> bool | None:
    """Whether two variants are the same files; none where it cannot be told.

    The digests of the artifacts tell; without them an equal key does: it is the digest of the
    model, the steps, the data, the code and the library versions that an artifact is made of.
    """
    ours, theirs = one.result(name), other.result(partner)
    if ours is None or theirs is None:
        return None
    digests = one.digest(name), other.digest(partner)
    if None not in digests:
        return digests[0] == digests[1]
    return True if ours.key == theirs.key else None
