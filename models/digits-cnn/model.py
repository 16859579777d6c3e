"""The network of digit-recognizer-py, by hand, so that the package's code is not needed."""

import torch
from torch import nn

CHANNELS, HIDDEN = (32, 64, 128), 256


class DigitsCNN(nn.Module):
    """Three convolutions and two linear layers; float32 ``[batch, 1, 28, 28]`` → 10 logits."""

    def __init__(self, channels: tuple[int, ...], hidden: int, batch_norm: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for narrow, wide in zip((1, *channels), channels, strict=False):
            layers.append(nn.Conv2d(narrow, wide, 3, padding=1, bias=not batch_norm))
            layers += [nn.BatchNorm2d(wide)] if batch_norm else []
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
        self.conv_layers = nn.Sequential(*layers)
        features = channels[-1] * 3 * 3
        head = [nn.Linear(features, hidden), nn.ReLU()] if hidden else []
        self.fc_layers = nn.Sequential(*head, nn.Linear(hidden or features, 10))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of the ten digits."""
        logits: torch.Tensor = self.fc_layers(self.conv_layers(image).flatten(1))
        return logits


def build(
    channels: tuple[int, ...] = CHANNELS, hidden: int = HIDDEN, batch_norm: bool = False
) -> nn.Module:
    """The untrained network; with the defaults its checkpoint loads with ``strict=True``.

    Args:
        channels: of the three convolutions.
        hidden: width of the first linear layer; 0: there is one linear layer only.
        batch_norm: whether each convolution is followed by one.
    """
    return DigitsCNN(tuple(channels), hidden, batch_norm)
