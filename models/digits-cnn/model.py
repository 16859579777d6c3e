"""The network of digit-recognizer-py, by hand, so that the package's code is not needed."""

import torch
from torch import nn


class DigitsCNN(nn.Module):
    """Three convolutions and two linear layers; float32 ``[batch, 1, 28, 28]`` → 10 logits."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for narrow, wide in ((1, 32), (32, 64), (64, 128)):
            layers += [nn.Conv2d(narrow, wide, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.conv_layers = nn.Sequential(*layers)
        self.fc_layers = nn.Sequential(nn.Linear(128 * 3 * 3, 256), nn.ReLU(), nn.Linear(256, 10))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of the ten digits."""
        logits: torch.Tensor = self.fc_layers(self.conv_layers(image).flatten(1))
        return logits


def build() -> nn.Module:
    """The untrained network; its checkpoint loads with ``strict=True``."""
    return DigitsCNN()
