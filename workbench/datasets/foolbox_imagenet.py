"""Twenty ImageNet photographs of 19 classes: a smoke alarm for an image model, no benchmark.

One photograph is five points of accuracy: read the agreement with the baseline beside it. The
package has no further photographs, so that 40 small CIFAR pictures, enlarged by the
model's preprocessing, serve for calibration; they are less sharp than what the model is for.
"""

from __future__ import annotations

from workbench.datasets import Dataset, Split
from workbench.datasets._packages import package_file
from workbench.errors import DataError

PACKAGE = "foolbox==3.3.4"


def load() -> Dataset:
    """Photographs as files of 512 × 512 or 1024 × 683 pixels, ImageNet class indices as labels.

    Raises:
        MissingError: foolbox is not installed.
    """
    folder = package_file(PACKAGE, "foolbox/data")
    files = sorted(folder.glob("imagenet_*_*.jpg"))
    if not files:
        raise DataError(f"{folder} holds no imagenet_*.jpg.")
    small = sorted(folder.glob("cifar*.png"))
    return Dataset(
        name="foolbox-imagenet",
        licence="MIT (the package's; the photographs are ImageNet's)",
        source=f"ImageNet, from {PACKAGE}, label in the file name; calibration: CIFAR.",
        evaluation=Split(
            files, [int(f.stem.split("_")[2]) for f in files], [f.stem for f in files]
        ),
        calibration=Split(small, None, [f.stem for f in small]),
    )
