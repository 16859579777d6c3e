"""Tones: 64 ms of a synthesised harmonic tone in noise, 16 kHz, with its pitch known exactly.

A label is the pitch in whole cents above 10 Hz, the unit of CREPE (Kim et al. 2018,
arXiv:1802.06182): 1200 · log2(f / 10 Hz). Tones are steadier than voices and instruments: they
show what noise, timbre and compression do to a pitch tracker, not how it fares on recordings.

The parts share no pitch, no timbre and no noise level:

- training: partials that fall off by a power of their number, each louder or softer at random;
- evaluation: partials below three formants, as in sung vowels;
- calibration: odd and even partials of different loudness, as in reed pipes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.datasets import Dataset, Split

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]
    Timbre = Callable[[np.random.Generator, Array, float], Array]

RATE, FRAME = 16_000, 1024
"""Samples a second and in a frame: what CREPE reads."""

REFERENCE_HZ = 10.0
LOWEST, HIGHEST = 2051, 9151
"""In cents: C1 (32.70 Hz) and B7 (1975.5 Hz), the range of CREPE (section 2 of the paper)."""

TRAINING, CALIBRATION, EVALUATION = 4000, 256, 1500
"""How many frames."""

TRAINING_SNR = (27, 18, 12, 8, 3, -2, -6)
CALIBRATION_SNR = (24, 9, 2)
EVALUATION_SNR = (30, 10, 5, 0, -5)
"""Power of the tone over that of the noise, in dB; each level has as many frames as the others."""

PARTIALS, CEILING_HZ = 40, 7600.0
"""At most so many partials, none above so many Hz."""


def load() -> Dataset:
    """Frames as int16 ``[1024]``, as a sound file holds them, with cents as labels."""
    return Dataset(
        name="tones",
        licence="none (synthesised)",
        source=f"Synthesised: {TRAINING:,} tones to learn from, {CALIBRATION} to calibrate and "
        f"{EVALUATION:,} to evaluate, at signal-to-noise ratios from {EVALUATION_SNR[-1]} to "
        f"{EVALUATION_SNR[0]} dB, of other pitches, timbres and noise levels in each part.",
        evaluation=_part(0, EVALUATION, EVALUATION_SNR, _formants),
        calibration=_part(1, CALIBRATION, CALIBRATION_SNR, _odd_and_even),
        training=_part(2, TRAINING, TRAINING_SNR, _power_law),
    )


def frequency(cents: float) -> float:
    """Hz of a pitch in cents above 10 Hz."""
    return float(REFERENCE_HZ * 2 ** (cents / 1200))


def _part(number: int, count: int, levels: tuple[int, ...], timbre: Timbre) -> Split:
    """The tones of a part; its pitches are those that leave its number when divided by 3."""
    import numpy as np

    generator = np.random.default_rng([1802, 6182, number])
    pitches = np.arange(LOWEST, HIGHEST + 1)
    pitches = pitches[pitches % 3 == number]
    inputs, labels, ids = [], [], []
    for position in range(count):
        cents = int(pitches[generator.integers(len(pitches))])
        level = levels[position % len(levels)]
        inputs.append(_frame(generator, frequency(cents), level, timbre))
        labels.append(cents)
        ids.append(f"{frequency(cents):.1f} Hz at {level} dB")
    return Split(inputs, labels, ids)


def _frame(generator: np.random.Generator, hz: float, level: float, timbre: Timbre) -> Array:
    """A tone with noise at a level (dB), its peak from full scale down to 30 dB less."""
    import numpy as np

    partials = np.arange(1, min(PARTIALS, int(CEILING_HZ / hz)) + 1)
    amplitudes = timbre(generator, partials, hz)
    phases = generator.random(len(partials)) * 2 * np.pi
    first, waves = np.exp(2j * np.pi * hz / RATE * np.arange(FRAME)), np.zeros(FRAME, complex)
    for partial in (amplitudes * np.exp(1j * phases))[::-1]:  # Horner: partial k is its kth power
        waves = (waves + partial) * first
    tone = waves.imag
    noise = _noise(generator)
    noise *= np.sqrt(np.mean(tone**2) / np.mean(noise**2)) * 10 ** (-level / 20)
    frame = tone + noise
    peak = 32767 * 10 ** (-generator.random() * 30 / 20)
    return np.asarray(np.rint(frame * (peak / np.abs(frame).max())), np.int16)


def _noise(generator: np.random.Generator) -> Array:
    """Noise whose power falls as f^-slope, the slope from white (0) to brown (2)."""
    import numpy as np

    bands = np.fft.rfft(generator.standard_normal(FRAME))
    bands[0] = 0
    bands[1:] *= np.arange(1, len(bands)) ** (-generator.random())
    return np.asarray(np.fft.irfft(bands))


def _power_law(generator: np.random.Generator, partials: Array, hz: float) -> Array:
    """Partial k at k^-slope with a slope from 0 to 2, times a gain of some ± 5 dB."""
    import numpy as np

    slope = 2 * generator.random()
    return np.asarray(partials**-slope * 10 ** (generator.standard_normal(len(partials)) / 4))


def _formants(generator: np.random.Generator, partials: Array, hz: float) -> Array:
    """Partials at 1/k under three resonances: about 250-900, 900-2,500 and 2,500-3,500 Hz."""
    import numpy as np

    frequencies = partials * hz
    gain = np.full(len(partials), 0.1)
    for low, high in ((250.0, 900.0), (900.0, 2500.0), (2500.0, 3500.0)):
        centre = low + (high - low) * generator.random()
        gain += 1 / (1 + ((frequencies - centre) / (0.1 * centre + 40)) ** 2)
    return np.asarray(gain / partials)


def _odd_and_even(generator: np.random.Generator, partials: Array, hz: float) -> Array:
    """Partials at 1/k, the even ones softer by up to 30 dB."""
    import numpy as np

    softer = 10 ** (-generator.random() * 30 / 20)
    return np.asarray(np.where(partials % 2 == 0, softer, 1.0) / partials)
