"""PNG and JPEG become float32 NCHW: shorter side to ``resize``, centre crop, normalise."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np

from onnx_server.checks import Array, Feed
from onnx_server.errors import BadRequest, InvalidModel, TooLarge
from onnx_server.manifest import Manifest

FORMATS = ("PNG", "JPEG")
MAX_PIXELS = 50_000_000  # of one image, as sent and as resized: some 150 MB in RGB
MAX_ALL_PIXELS = 500_000_000  # of all images of a request: some seconds of unpacking


class ImagePreprocessor:
    """Decodes, resizes, crops and normalises with ``(pixel - mean) / std`` on the scale 0..255."""

    kind = "image"

    def __init__(self, manifest: Manifest) -> None:
        try:
            from PIL import Image  # an extra
        except ImportError:
            raise InvalidModel(
                "The model reads images, which needs the package pillow: "
                "install onnx-server[image]."
            ) from None
        if len(manifest.inputs) != 1:
            raise InvalidModel("A model that reads images has one input.")
        options = manifest.preprocess.options if manifest.preprocess else {}
        self._pillow = Image
        self._input = manifest.inputs[0].name
        self._height, self._width = (int(size) for size in options["size"])
        self._resize = None if options.get("resize") is None else int(options["resize"])
        self._filter = Image.Resampling[str(options.get("resample", "bilinear")).upper()]
        self._channels = str(options.get("channels", "RGB"))
        self._mean = np.asarray(options["mean"], np.float32)
        self._std = np.asarray(options["std"], np.float32)

    def __call__(self, samples: Sequence[Any]) -> Feed:
        """Float32 pixels ``[samples, channels, height, width]``."""
        left = MAX_ALL_PIXELS
        crops = []
        for sample in samples:
            crop, size = self._pixels(sample)
            crops.append(crop)
            left -= size
            if left < 0:
                raise TooLarge(
                    f"The images of a request may have {MAX_ALL_PIXELS:,} pixels together."
                )
        pixels = np.stack(crops).astype(np.float32)
        batch = ((pixels - self._mean) / self._std).transpose(0, 3, 1, 2)
        return {self._input: np.ascontiguousarray(batch)}

    def _pixels(self, sample: object) -> tuple[Array, int]:
        """``uint8`` pixels ``[height, width, channels]`` of the crop, and how many were read."""
        image = self._opened(sample)
        read = image.width * image.height
        if self._resize is not None:
            image = self._resized(image, self._resize)
        height, width = self._height, self._width
        if image.height < height or image.width < width:
            raise BadRequest(
                f"An image of {image.height} × {image.width} pixels is smaller than the model's "
                f"{height} × {width}."
            )
        top, left = round((image.height - height) / 2), round((image.width - width) / 2)
        image = image.crop((left, top, left + width, top + height))
        return np.asarray(image, np.uint8).reshape(height, width, len(self._channels)), read

    def _opened(self, sample: object) -> Any:
        if not isinstance(sample, bytes):
            raise BadRequest(
                f"The model reads images as PNG or JPEG, but got {type(sample).__name__}; "
                'in JSON they are {"b64": "…"}.'
            )
        try:
            image = self._pillow.open(BytesIO(sample), formats=FORMATS)
            # The header is read, the pixels are not: what is too large is never unpacked.
            _check_pixels(*image.size)
            image.load()
            return image.convert(self._channels)
        except TooLarge:
            raise
        except self._pillow.DecompressionBombError:  # Pillow's own limit, beyond ours
            raise TooLarge(f"An image is larger than the limit of {MAX_PIXELS:,} pixels.") from None
        except Exception as error:  # a decoder of hostile bytes fails in many ways
            raise BadRequest(
                f"The image cannot be read as PNG or JPEG ({type(error).__name__})."
            ) from None

    def _resized(self, image: Any, shorter: int) -> Any:
        """Shorter side to ``shorter``, with antialiasing: torchvision's ``Resize(int)``."""
        least = min(image.size)
        scale = shorter / least
        size = tuple(shorter if side == least else int(side * scale) for side in image.size)
        _check_pixels(*size)
        return image.resize(size, self._filter)


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise TooLarge(
            f"An image of {height} × {width} pixels is larger than the limit of "
            f"{MAX_PIXELS:,} pixels."
        )
