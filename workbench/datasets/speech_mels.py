"""Synthesised speech of many voices as mel spectrograms: 1.6 s each, to compare speaker encoders.

eSpeak NG speaks eight sentences in each voice. It is clean and regular, easier than recorded
speech of people: good enough to see how far a compressed encoder is from the original, and no
measure of how well either tells people apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.datasets import Dataset, Split
from workbench.datasets._espeak import PACKAGE, RATE, speak
from workbench.datasets._mels import loud_enough, mel_spectrogram, resample

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

FRAMES = 160
"""Frames of a sample: 1.6 s, the length that Resemblyzer's encoder was trained on."""

SENTENCES = (
    "The old harbour was quiet before the fishing boats came back in the morning.",
    "Please bring three boxes of paper and a new lamp to the second floor.",
    "She would rather walk along the river than wait for another crowded train.",
    "Nobody knew why the bright yellow door had been left open all night.",
    "A heavy rain fell on the hills while we were looking for the path.",
    "Every winter my uncle mends the wooden fence behind his garden.",
    "You should have told them earlier that the shop closes at five.",
    "The young pilot checked her instruments twice and turned towards the coast.",
)
EVALUATION = (
    *("m1", "m3", "m5", "m7", "f1", "Andy", "Annie", "steph", "max", "zac"),
    *("adam", "anika", "edward", "ian", "iven", "klatt", "marcelo", "michel", "norbert", "paul"),
    *("quincy", "robert"),
)
CALIBRATION = (
    *("m2", "m4", "m6", "m8", "f4", "Alex", "belinda", "john", "linda", "Denis", "Diogo"),
    *("pablo", "rob", "travis"),
)
"""Voices, all of them speaking American English; none is in both.

f2, f3, f5 and victor are left out: their breath is noise that differs each time.
"""


def load() -> Dataset:
    """Spectrograms as float32 ``[160, 40]`` with the voices as labels, spoken as it is loaded.

    Raises:
        MissingError: espeakng-loader is not installed, or its library does not run here.
    """
    voices = (*EVALUATION, *CALIBRATION)
    said = [(f"en-us+{voice}", sentence) for voice in voices for sentence in SENTENCES]
    samples = Split(
        [_middle(wave) for wave in speak(said)],
        [voice for voice in voices for _ in SENTENCES],
        [f"{voice}, sentence {n + 1}" for voice in voices for n in range(len(SENTENCES))],
    )
    held_out = len(EVALUATION) * len(SENTENCES)
    return Dataset(
        name="speech-mels",
        licence="none (made by eSpeak NG, GPL-3.0-or-later, which is run and not shipped)",
        source=f"{len(SENTENCES)} sentences, each in {len(EVALUATION)} voices to evaluate and "
        f"{len(CALIBRATION)} other voices to calibrate, spoken by eSpeak NG of {PACKAGE}.",
        evaluation=samples.take(range(held_out)),
        calibration=samples.take(range(held_out, len(samples))),
    )


def _middle(wave: Array) -> Array:
    """The middle 160 frames of a spoken sentence (int16)."""
    mels = mel_spectrogram(loud_enough(resample(wave / 32768, RATE)))
    start = (len(mels) - FRAMES) // 2
    return mels[start : start + FRAMES]
