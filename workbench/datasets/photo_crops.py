"""Random crops of photographs: unlabelled pictures in number, to calibrate and to compare models.

Ten lossless photographs and micrographs that scikit-image ships. Crops of one photograph overlap
and look alike, so that 512 of them are far fewer independent samples: an interval over
them is too narrow, and a share of agreement speaks for these four scenes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from workbench.datasets import Dataset, Split
from workbench.datasets._packages import package_file
from workbench.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    Pixels = np.ndarray[Any, np.dtype[np.uint8]]

PACKAGE = "scikit-image==0.26.0"
EVALUATION = dict.fromkeys(("astronaut", "camera", "chelsea", "coffee"), 128)
"""Crops per photograph that judge."""

CALIBRATION = {
    "motorcycle_left": 64,
    **dict.fromkeys(("brick", "clock_motion", "coins", "grass", "gravel"), 16),
    "ihc": 48,
}
"""Crops per photograph that calibrate: of other scenes, with more of those in colour."""

SMALLEST = 128
"""Pixels of the smallest crop's side; the largest is the photograph's shorter side."""


def load() -> Dataset:
    """Square crops as uint8 ``[side, side, 3]``, from 128 pixels to the photograph's shorter side.

    Where a crop lies follows from the SHA-256 of the photograph's pixels and the crop's number:
    the same crops on every machine. They are views of the photographs and take no memory.

    Raises:
        MissingError: scikit-image is not installed.
        DataError: one of its photographs cannot be read.
    """
    return Dataset(
        name="photo-crops",
        licence="CC0 or public domain, and BSD-3-Clause (the package's LICENSE and data/README)",
        source=f"Random square crops, half of them mirrored, of photographs in {PACKAGE}: "
        f"evaluation {_listed(EVALUATION)}; calibration, other photographs: "
        f"{_listed(CALIBRATION)}.",
        evaluation=_split(EVALUATION),
        calibration=_split(CALIBRATION),
    )


def crops(photo: Pixels, count: int) -> list[Pixels]:
    """``count`` square crops of a photograph ``[height, width, 3]``, as views; half are mirrored.

    The first 8 bytes of ``sha256(pixels' digest + number)`` give the side, the next two 8 the place
    and the next one whether it is mirrored.
    """
    height, width = photo.shape[:2]
    shorter = min(height, width)
    seed = hashlib.sha256(photo.tobytes()).digest()
    made = []
    for number in range(count):
        drawn = hashlib.sha256(seed + number.to_bytes(4, "big")).digest()
        size, down, right, turn = (int.from_bytes(drawn[i : i + 8], "big") for i in (0, 8, 16, 24))
        side = SMALLEST + size % (shorter - SMALLEST + 1)
        top, left = down % (height - side + 1), right % (width - side + 1)
        crop = photo[top : top + side, left : left + side]
        made.append(crop[:, ::-1] if turn % 2 else crop)
    return made


def _split(counts: dict[str, int]) -> Split:
    inputs: list[Pixels] = []
    ids: list[str] = []
    for name, count in counts.items():
        inputs += crops(_photo(name), count)
        ids += [f"{name} {number}" for number in range(count)]
    return Split(inputs, None, ids)


def _photo(name: str) -> Pixels:
    import numpy as np
    from PIL import Image

    path = package_file(PACKAGE, f"skimage/data/{name}.png")
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path} cannot be read as an image: {error}.") from error


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
