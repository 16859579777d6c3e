"""Data sets: each file here is one named data set, found by being there; files are loaded too.

A module of a named data set has one function, ``load() -> Dataset``, and its docstring says what
the data are. Packages are read where they are installed; none of their code is imported.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from workbench.artifact import digest
from workbench.datasets._contents import content_hash
from workbench.datasets._training_set import TrainingSet
from workbench.errors import DataError
from workbench.plugins import did_you_mean

if TYPE_CHECKING:
    import numpy as np

Label = int | str


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of samples that people scored for similarity.

    ``left`` and ``right`` are positions among the inputs of the split (int64 ``[pairs]``),
    ``scores`` is float64 ``[pairs]``, higher for more alike.
    """

    left: np.ndarray
    right: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, eq=False)
class Split:
    """Samples: inputs as ``preprocess.make_feed`` takes them, and what is known of them.

    ``labels`` are class indices, or class names; ``ids`` say which sample it is, for people.
    """

    inputs: Sequence[Any]
    labels: Sequence[Label] | None = None
    ids: Sequence[str] = ()
    pairs: Pairs | None = None

    def __post_init__(self) -> None:
        for what, values in (("labels", self.labels), ("ids", self.ids or None)):
            if values is not None and len(values) != len(self.inputs):
                raise DataError(f"{len(self.inputs)} samples, but {len(values)} {what}.")

    def __len__(self) -> int:
        return len(self.inputs)

    @cached_property
    def hashes(self) -> tuple[str, ...]:
        """SHA-256 of the content of each sample."""
        return tuple(map(content_hash, self.inputs))

    def name_of(self, position: int) -> str:
        """How a person would recognise a sample: its id, and the beginning of a text."""
        name = str(self.ids[position]) if self.ids else f"sample {position}"
        item = self.inputs[position]
        return f"{name}: {shorten(item)}" if isinstance(item, str) else name

    def take(self, positions: Sequence[int]) -> Split:
        """The samples at these positions, with the pairs among them."""
        return Split(
            [self.inputs[i] for i in positions],
            None if self.labels is None else [self.labels[i] for i in positions],
            [self.ids[i] for i in positions] if self.ids else (),
            None if self.pairs is None else _pairs_among(self.pairs, positions),
        )

    def limited(self, limit: int | None) -> Split:
        """At most ``limit`` samples, always the same ones, in their order.

        Those with the smallest content hashes, so that classes stay mixed; of scored pairs the
        first samples, so that pairs are left.
        """
        if limit is None or limit >= len(self):
            return self
        if self.pairs is not None:
            return self.take(range(limit))
        return self.take(sorted(sorted(range(len(self)), key=self.hashes.__getitem__)[:limit]))

    def described(self) -> dict[str, Any]:
        """Everything that identifies the split, as JSON knows it."""
        pairs = self.pairs and [v.tolist() for v in vars(self.pairs).values()]
        labels = None if self.labels is None else [str(label) for label in self.labels]
        return {"inputs": self.hashes, "labels": labels, "pairs": pairs}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples for evaluation, calibration and (where there are any) training; they never overlap.

    ``source`` is one sentence on where the data come from and how they were split.
    """

    name: str
    licence: str
    source: str
    evaluation: Split
    calibration: Split
    training: Split | None = None

    def __post_init__(self) -> None:
        held_out = set(self.evaluation.hashes)
        for what, split in (("calibration", self.calibration), ("training", self.training)):
            shared = held_out.intersection(split.hashes if split else ())
            if shared:
                raise DataError(f"{self.name}: {len(shared)} {what} samples are in evaluation too.")

    def joined(self) -> Split:
        """All samples of all parts, without what says how they should be judged against others."""
        parts = [part for part in (self.training, self.calibration, self.evaluation) if part]
        labelled = all(part.labels is not None for part in parts)
        return Split(
            [item for part in parts for item in part.inputs],
            [label for part in parts for label in part.labels or ()] if labelled else None,
            [name for part in parts for name in part.ids],
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 over what is evaluated and calibrated with: contents, labels, split."""
        return digest([split.described() for split in (self.evaluation, self.calibration)])


def datasets() -> dict[str, Callable[[], Dataset]]:
    """The named data sets: name → function that loads it."""
    names = [i.name for i in pkgutil.iter_modules(__path__) if not i.name.startswith("_")]
    return {name.replace("_", "-"): _loader(name) for name in sorted(names)}


@cache
def _loader(module: str) -> Callable[[], Dataset]:
    found = importlib.import_module(f"{__name__}.{module}")
    return cast("Callable[[], Dataset]", found.load)


def load_dataset(spec: str, *, folder: Path) -> Dataset:
    """A named data set, or one read from a file or folder.

    Args:
        spec: a name that :func:`datasets` lists, or a path: ``.npz``, ``.csv``, ``.parquet`` or a
            folder, as :mod:`workbench.datasets._files` describes.
        folder: what a relative path is relative to, such as the recipe's folder.

    Raises:
        DataError: no such data, or they are malformed.
        MissingError: a package is missing; the message says what to type.
    """
    known = datasets()
    name = spec.replace("_", "-")
    if name in known:
        return known[name]()
    path = folder / Path(spec).expanduser()
    if not path.exists():
        raise DataError(
            f"There are no data '{spec}': no data set of that name, and no {path}.",
            hint=did_you_mean(name, known),
        )
    from workbench.datasets._files import load_path

    return load_path(path)


def shorten(text: str, width: int = 60) -> str:
    """A text on one line, cut to ``width`` characters."""
    line = " ".join(text[: width * 4].split())
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"


def _pairs_among(pairs: Pairs, positions: Sequence[int]) -> Pairs:
    import numpy as np

    place = {old: new for new, old in enumerate(positions)}
    kept = [
        (place[a], place[b], score)
        for a, b, score in zip(pairs.left, pairs.right, pairs.scores, strict=True)
        if a in place and b in place
    ]
    left, right, scores = zip(*kept, strict=True) if kept else ((), (), ())
    return Pairs(np.array(left, np.int64), np.array(right, np.int64), np.array(scores, np.float64))


__all__ = ["Dataset", "Label", "Pairs", "Split", "TrainingSet", "datasets", "load_dataset"]
