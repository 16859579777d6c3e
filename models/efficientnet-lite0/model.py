"""EfficientNet-Lite0 by hand (Tan and Le 2019, without squeeze-and-excitation, with ReLU6).

Modules are named as in the checkpoint, which loads with ``strict=True``.
"""

import torch
from torch import nn
from torch.nn import functional

STAGES = (  # repeats, kernel, stride, expansion, width
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def norm(width: int) -> nn.BatchNorm2d:
    """Batch normalisation with the settings of the original."""
    return nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: with stride 2, the extra pixel at the far end."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Convolve float32 ``[batch, channels, height, width]``, the sides multiples of 2."""
        total = self.kernel_size[0] - self.stride[0]
        near, far = total // 2, total - total // 2
        return super().forward(functional.pad(input, (near, far, near, far)))


class Block(nn.Module):
    """Expand, convolve each channel, project; with a way around when the shape is kept."""

    def __init__(self, narrow: int, wide: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = narrow * expansion
        self.expands, self.around = expansion > 1, stride == 1 and narrow == wide
        if self.expands:
            self._expand_conv = nn.Conv2d(narrow, middle, 1, bias=False)
            self._bn0 = norm(middle)
        self._depthwise_conv = SameConv2d(middle, middle, kernel, stride, groups=middle, bias=False)
        self._bn1 = norm(middle)
        self._project_conv = nn.Conv2d(middle, wide, 1, bias=False)
        self._bn2 = norm(wide)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 ``[batch, narrow, h, w]`` → ``[batch, wide, h / stride, w / stride]``."""
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.around else y


class EfficientNetLite0(nn.Module):
    """Float32 ``[batch, 3, 224, 224]``, ``(pixel - 127) / 128`` → logits of 1,000 classes."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(3, 32, 3, 2, bias=False)
        self._bn0 = norm(32)
        blocks, narrow = [], 32
        for repeats, kernel, stride, expansion, wide in STAGES:
            for number in range(repeats):
                blocks.append(Block(narrow, wide, kernel, 1 if number else stride, expansion))
                narrow = wide
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(narrow, 1280, 1, bias=False)
        self._bn1 = norm(1280)
        self._dropout = nn.Dropout(0.2)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of the ImageNet classes."""
        x = functional.relu6(self._bn0(self._conv_stem(image)))
        for block in self._blocks:
            x = block(x)
        x = functional.relu6(self._bn1(self._conv_head(x))).mean((2, 3))
        logits: torch.Tensor = self._fc(self._dropout(x))
        return logits


def build() -> nn.Module:
    """The untrained network."""
    return EfficientNetLite0()
