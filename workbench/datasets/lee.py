"""Lee: 50 short news texts, all 1,225 pairs scored for similarity by people; 300 more to calibrate.

Lee, Pincombe and Welsh (2005), An empirical evaluation of models of text document similarity.
"""

from __future__ import annotations

from workbench.datasets import Dataset, Pairs, Split
from workbench.datasets._packages import package_file
from workbench.errors import DataError

PACKAGE = "gensim==4.4.0"
FOLDER = "gensim/test/test_data"
LICENCE = "LGPL-2.1-only (the package's)"


def load() -> Dataset:
    """The data set, read from an installed gensim.

    Raises:
        MissingError: gensim is not installed.
    """
    import numpy as np

    texts = _lines("lee.cor")
    matrix = np.loadtxt(package_file(PACKAGE, f"{FOLDER}/similarities0-1.txt"))
    if matrix.shape != (len(texts), len(texts)):
        raise DataError(f"lee: {len(texts)} texts, but scores of shape {matrix.shape}.")
    left, right = np.triu_indices(len(texts), 1)
    return Dataset(
        name="lee",
        licence=LICENCE,
        source=f"Lee et al. 2005, from {PACKAGE}; calibration: the 300 texts of Lee background, "
        "without those that are in the evaluation.",
        evaluation=Split(
            texts,
            ids=[f"lee {n}" for n in range(len(texts))],
            pairs=Pairs(left, right, matrix[left, right]),
        ),
        calibration=background(without=texts),
    )


def background(*, without: list[str]) -> Split:
    """The distinct texts of Lee background, without some."""
    texts = [text for text in dict.fromkeys(_lines("lee_background.cor")) if text not in without]
    return Split(texts, ids=[f"lee background {n}" for n in range(len(texts))])


def _lines(name: str) -> list[str]:
    content = package_file(PACKAGE, f"{FOLDER}/{name}").read_text(encoding="latin-1")
    return [line.strip() for line in content.split("\n") if line.strip()]
