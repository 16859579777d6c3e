"""A student for CREPE: logarithmic frequency first, so that every pitch is learned as one.

A tone of another pitch is the same tone, moved along a logarithmic axis of frequency. The network
has such an axis and looks at each of its bins, at its overtones and at its undertones with the same
weights (harmonic stacking: Bittner et al. 2017, Deep salience representations for F0 estimation in
polyphonic music, ISMIR), so that it learns from few samples and needs little arithmetic.
"""

import math

import torch
from torch import nn
from torch.nn import functional

RATE, FRAME, BINS = 16_000, 1024, 360
FIRST_HZ = 10 * 2 ** (1997.3794084376191 / 1200)
"""Of CREPE's bin 0."""

STEP_CENTS, BINS_PER_STEP = 40, 2
PER_OCTAVE = 1200 // STEP_CENTS
FREQUENCIES = 224
"""Of the axis: 31.7 Hz to 5.5 kHz in steps of 40 cents, which are two of CREPE's bins."""

PERIODS = 28
"""A filter spans so many periods, where the frame has that many (500 Hz and above)."""

HARMONICS = (1 / 3, 1 / 2, 1, 2, 3, 4, 5, 6, 7, 8)
"""What each pitch is seen with: a power at its third or its half speaks against it."""

FLOOR = 1e-3
"""Power that counts as nothing; a frame's own is 1 a sample."""


class Filters(nn.Module):
    """Power at each frequency, float32 ``[batch, 1024]`` → ``[batch, 224]``.

    Windowed cosines and sines around the middle of the frame. A cosine sees only the even part of
    a frame and a sine the odd part: half the weights do.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cosines = nn.Parameter(torch.empty(FREQUENCIES, FRAME // 2))
        self.sines = nn.Parameter(torch.empty(FREQUENCIES, FRAME // 2))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Hann windows of 28 periods, or of the frame where that is shorter; sum of squares 1."""
        hertz = FIRST_HZ * 2 ** (torch.arange(FREQUENCIES)[:, None] / PER_OCTAVE)
        time = (torch.arange(FRAME // 2) + 0.5)[None, :] / RATE
        half = torch.clamp(PERIODS / hertz / 2, max=FRAME / RATE / 2)
        window = torch.where(time < half, 0.5 + 0.5 * torch.cos(math.pi * time / half), 0.0)
        window = window / window.square().sum(1, keepdim=True).sqrt()
        with torch.no_grad():
            self.cosines.copy_(window * torch.cos(2 * math.pi * hertz * time))
            self.sines.copy_(window * torch.sin(2 * math.pi * hertz * time))

    def forward(self, frame: torch.Tensor) -> torch.Tensor:
        """The power."""
        after, before = frame[:, FRAME // 2 :], frame[:, : FRAME // 2].flip(1)
        even = functional.linear(after + before, self.cosines)
        odd = functional.linear(after - before, self.sines)
        return even.square() + odd.square()


class Harmonic(nn.Module):
    """Float32 ``[batch, 1024]`` at 16 kHz, at any loudness → CREPE's 360 pitch bins, 0 to 1."""

    def __init__(self, width: int, layers: int, kernel: int) -> None:
        super().__init__()
        self.filters = Filters()
        self.shifts = [round(PER_OCTAVE * math.log2(harmonic)) for harmonic in HARMONICS]
        parts: list[nn.Module] = []
        for narrow in (len(HARMONICS), *[width] * (layers - 1)):
            parts.append(nn.Conv1d(narrow, width, kernel, padding=kernel // 2))
            parts += [nn.ReLU(), nn.BatchNorm1d(width)]
        self.layers = nn.Sequential(*parts)
        self.head = nn.Conv1d(width, BINS_PER_STEP, 1)

    def forward(self, frame: torch.Tensor) -> torch.Tensor:
        """How likely the pitch is near each bin."""
        x = frame - frame.mean(1, keepdim=True)
        x = x / (x.square().mean(1, keepdim=True).sqrt().clamp(min=1e-10))
        power = torch.log(self.filters(x) + FLOOR)
        low, high, count = -min(self.shifts), max(self.shifts), BINS // BINS_PER_STEP
        axis = functional.pad(power, (low, count + high - FREQUENCIES), value=math.log(FLOOR))
        stacked = torch.stack([axis[:, low + s : low + s + count] for s in self.shifts], 1)
        bins: torch.Tensor = self.head(self.layers(stacked))
        return bins.transpose(1, 2).flatten(1).sigmoid()


def build(width: int = 32, layers: int = 4, kernel: int = 5) -> nn.Module:
    """The untrained network.

    Args:
        width: channels of its convolutions.
        layers: how many there are.
        kernel: their width, in steps of 40 cents.
    """
    return Harmonic(width, layers, kernel)
