"""Images moved, turned and scaled at random while training, so that few samples go further."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from workbench.errors import StepError

IMAGE_AXES = 4


class Augment(BaseModel):
    """By how much training images are moved, turned and scaled at random; labels must bear it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shift: float = Field(0.0, ge=0, lt=0.5, description="At most so much of the side, either way.")
    rotate: float = Field(0.0, ge=0, le=180, description="At most so many degrees, either way.")
    scale: float = Field(0.0, ge=0, lt=1, description="At most so much larger or smaller.")

    def apply(self, tensors: dict[str, Any]) -> dict[str, Any]:
        """The feed with its images, float ``[batch, channels, height, width]``, changed.

        What comes in from outside of an image has the image's smallest value.

        Raises:
            StepError: no input is an image.
        """
        found = {
            name: value
            for name, value in tensors.items()
            if value.ndim == IMAGE_AXES and value.is_floating_point()
        }
        if not found:
            raise StepError(
                "`augment` moves images, but the model has no input "
                "[batch, channels, height, width]."
            )
        return tensors | {name: self._moved(value) for name, value in found.items()}

    def _moved(self, images: Any) -> Any:
        import torch
        from torch.nn import functional

        count = len(images)

        def draw(most: float, *shape: int) -> Any:
            return (torch.rand(count, *shape) * 2 - 1) * most

        angle, size = draw(self.rotate * math.pi / 180), 1 + draw(self.scale)
        matrix = torch.zeros(count, 2, 3)
        matrix[:, 0, 0], matrix[:, 0, 1] = angle.cos() / size, -angle.sin() / size
        matrix[:, 1, 0], matrix[:, 1, 1] = angle.sin() / size, angle.cos() / size
        matrix[:, :, 2] = draw(2 * self.shift, 2)  # grid_sample's sides go from -1 to 1
        grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
        floor = images.amin((1, 2, 3), keepdim=True)
        return functional.grid_sample(images - floor, grid, align_corners=False) + floor
