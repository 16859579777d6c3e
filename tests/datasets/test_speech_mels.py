"""Speech that is made as it is loaded: the same each time, of voices that do not overlap."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import needs
from workbench.datasets import _espeak, speech_mels
from workbench.datasets._mels import RATE, mel_bands, mel_spectrogram, resample
from workbench.errors import MissingError


@needs("espeakng-loader")
def test_the_voices_are_split_and_sound_the_same_every_time() -> None:
    first, again = speech_mels.load(), speech_mels.load()
    assert first.digest == again.digest
    assert not set(first.evaluation.labels or ()) & set(first.calibration.labels or ())
    assert {sample.shape for sample in first.evaluation.inputs} == {(160, 40)}
    assert all(sample.max() > 0 for sample in first.evaluation.inputs)


@needs("espeakng-loader")
def test_a_voice_that_is_not_there_is_refused() -> None:
    with pytest.raises(MissingError, match="no voice 'xx-none'"):
        _espeak.speak([("xx-none", "Hello.")])


def test_a_tone_falls_into_the_band_of_its_frequency() -> None:
    time = np.arange(RATE) / RATE
    for hertz in (300.0, 1000.0, 3000.0):
        mels = mel_spectrogram(np.sin(2 * np.pi * hertz * time)).mean(0)
        at = np.linspace(0, RATE / 2, 201)
        centres = at[mel_bands().argmax(1)]
        assert abs(centres[mels.argmax()] - hertz) < 0.12 * hertz + 40


def test_resampling_keeps_a_tone_and_its_length() -> None:
    rate = 22050
    wave = np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    got = resample(wave, rate)
    assert len(got) == RATE
    spectrum = np.abs(np.fft.rfft(got))
    assert spectrum.argmax() == 440
    assert np.abs(got).max() == pytest.approx(1.0, abs=0.02)
