"""WordSim-353: 353 pairs of English words scored for relatedness by people; Lee's to calibrate.

Finkelstein et al. (2002), Placing search in context: the concept revisited.
"""

from __future__ import annotations

from workbench.datasets import Dataset, Pairs, Split
from workbench.datasets._packages import package_file
from workbench.datasets.lee import FOLDER, LICENCE, PACKAGE, background


def load() -> Dataset:
    """The data set, read from an installed gensim.

    Raises:
        MissingError: gensim is not installed.
    """
    import numpy as np

    content = package_file(PACKAGE, f"{FOLDER}/wordsim353.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in content.splitlines() if line and not line.startswith("#")]
    place: dict[str, int] = {}
    left: list[int] = []
    right: list[int] = []
    for first, second, _ in rows:
        left.append(place.setdefault(first, len(place)))
        right.append(place.setdefault(second, len(place)))
    words = list(place)
    scores = np.array([float(score) for _, _, score in rows])
    return Dataset(
        name="wordsim353",
        licence=LICENCE,
        source=f"Finkelstein et al. 2002, from {PACKAGE}; calibration: Lee background.",
        evaluation=Split(
            words,
            ids=[f"word {n}" for n in range(len(words))],
            pairs=Pairs(np.array(left, np.int64), np.array(right, np.int64), scores),
        ),
        calibration=background(without=words),
    )
