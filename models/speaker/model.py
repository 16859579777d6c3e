"""Resemblyzer's speaker encoder, by hand, so that the package's code is not needed.

Wan et al. 2018, Generalized end-to-end loss for speaker verification, arXiv:1710.10467.
"""

import torch
from torch import nn

MELS, WIDTH, LAYERS = 40, 256, 3


class SpeakerEncoder(nn.Module):
    """Three LSTM layers and a linear one; float32 ``[batch, frames, 40]`` → unit vectors of 256."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(MELS, WIDTH, LAYERS, batch_first=True)
        self.linear = nn.Linear(WIDTH, WIDTH)
        # The scale of training's loss: in the checkpoint, and used by nothing here.
        self.similarity_weight = nn.Parameter(torch.zeros(1))
        self.similarity_bias = nn.Parameter(torch.zeros(1))

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """Embeddings of the speakers, from mel spectrograms of 1.6 s."""
        _, (hidden, _) = self.lstm(mels)
        return nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)


def build() -> nn.Module:
    """The untrained network; its checkpoint loads with ``strict=True``."""
    return SpeakerEncoder()
