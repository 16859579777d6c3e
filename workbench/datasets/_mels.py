"""Mel spectrograms as Resemblyzer's encoder takes them, from waves of any rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

RATE, WINDOW, HOP, MELS = 16000, 400, 160, 40
"""Samples a second, per window (25 ms) and per step (10 ms); mel bands (Resemblyzer's hparams)."""

LOUDNESS_DB = -30.0
"""Root mean square to which quieter waves are raised, relative to full scale."""


def resample(wave: Array, rate: int) -> Array:
    """A wave at :data:`RATE`: its spectrum cut (or continued with zeros) at half of the lower rate.

    Args:
        wave: float ``[samples]``.
        rate: samples per second.
    """
    import numpy as np

    whole = rate // np.gcd(rate, RATE)
    padded = np.pad(wave, (0, -len(wave) % whole))
    count = len(padded) * RATE // rate
    return np.fft.irfft(np.fft.rfft(padded), count) * (count / len(padded))


def loud_enough(wave: Array) -> Array:
    """A wave (1.0 is full scale) raised to -30 dBFS where it is quieter."""
    import numpy as np

    level = float(np.sqrt(np.square(wave).mean()))
    return wave * max(1.0, 10 ** (LOUDNESS_DB / 20) / max(level, 1e-9))


def mel_bands() -> Array:
    """Triangular filters, float64 ``[40, 201]``: Slaney's mel scale, each of area 1.

    Slaney (1998), Auditory Toolbox: linear to 1000 Hz at 3 mels in 200 Hz, then 27 mels for
    a factor of 6.4. It is librosa's default, with which Resemblyzer was trained.
    """
    import numpy as np

    top = 15 + 27 * np.log(RATE / 2 / 1000) / np.log(6.4)
    mels = np.linspace(0, top, MELS + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))
    at = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    low, middle, high = (edges[start : start + MELS, None] for start in range(3))
    rising, falling = (at - low) / (middle - low), (high - at) / (high - middle)
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low))


def mel_spectrogram(wave: Array) -> Array:
    """Power in mel bands, float32 ``[1 + samples // 160, 40]``; no logarithm is taken.

    Args:
        wave: float ``[samples]`` at :data:`RATE`, 1.0 for full scale.
    """
    import numpy as np

    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    padded = np.pad(wave, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.square(np.abs(np.fft.rfft(frames * hann, axis=1)))
    return np.asarray(power @ mel_bands().T, np.float32)
