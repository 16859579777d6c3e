"""Tones: always the same ones, their pitch as labelled, no part like another."""

import numpy as np
import pytest

from workbench.datasets import Split, load_dataset, tones
from workbench.datasets.tones import HIGHEST, LOWEST, frequency


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load_dataset("tones", folder=tmp_path_factory.getbasetemp())


def parts(data) -> dict[str, Split]:
    return {"training": data.training, "evaluation": data.evaluation, "cal": data.calibration}


def test_frames_are_sixteen_bit_sound_with_whole_cents(data):
    for split in parts(data).values():
        assert {(str(frame.dtype), frame.shape) for frame in split.inputs} == {("int16", (1024,))}
        assert all(type(cents) is int and LOWEST <= cents <= HIGHEST for cents in split.labels)
        peaks = np.array([np.abs(frame.astype(int)).max() for frame in split.inputs])
        assert peaks.min() >= 32767 / 10**1.5 - 1  # 30 dB below full scale
        assert peaks.max() <= 32767


def test_no_pitch_and_no_frame_is_in_two_parts(data):
    pitches = [set(split.labels) for split in parts(data).values()]
    assert not pitches[0] & pitches[1] | pitches[0] & pitches[2] | pitches[1] & pitches[2]
    total = sum(len(split) for split in parts(data).values())
    assert len({key for split in parts(data).values() for key in split.hashes}) == total


def test_no_noise_level_is_in_two_parts(data):
    levels = [{name.rsplit(" at ")[1] for name in split.ids} for split in parts(data).values()]
    assert sum(map(len, levels)) == len(set.union(*levels))
    counted = [sum(name.endswith(" at -5 dB") for name in data.evaluation.ids)]
    assert counted == [len(data.evaluation) // len(tones.EVALUATION_SNR)]


def test_pitches_cover_the_range_evenly(data):
    counts, _ = np.histogram(data.training.labels, bins=7, range=(LOWEST, HIGHEST + 1))
    assert counts.min() > len(data.training) / 7 * 0.85


def test_a_clean_tone_repeats_after_its_period():
    generator = np.random.default_rng(0)
    for cents in (5000, 5777, 6551):
        frame = tones._frame(generator, frequency(cents), 90, tones._formants).astype(float)
        period = tones.RATE / frequency(cents)
        lags = np.arange(8, int(1.5 * period))
        alike = [np.corrcoef(frame[lag:], frame[:-lag])[0, 1] for lag in lags]
        assert abs(int(lags[np.argmax(alike)]) - period) <= 1
        assert max(alike) > 0.95


@pytest.mark.parametrize("level", [30, 0, -5])
def test_noise_is_as_strong_as_said(level, monkeypatch):
    hiss = tones._noise(np.random.default_rng(1))
    monkeypatch.setattr(tones, "_noise", lambda generator: hiss.copy())

    def frame(decibels):
        generator = np.random.default_rng(7)
        return tones._frame(generator, 220.0, decibels, tones._power_law).astype(float)

    clean = frame(300)
    parts = np.stack([clean, hiss], 1)
    gains, *_ = np.linalg.lstsq(parts, frame(level), rcond=None)
    power = np.mean((parts * gains) ** 2, 0)
    assert 10 * np.log10(power[0] / power[1]) == pytest.approx(level, abs=0.05)


def test_the_pitch_of_cents():
    assert frequency(1200) == 20
    assert frequency(LOWEST) == pytest.approx(32.70, abs=0.01)
    assert frequency(HIGHEST) == pytest.approx(1975.5, abs=0.5)


def test_the_frames_are_the_same_everywhere(data):
    assert data.digest == DIGEST


DIGEST = "b2d610a760ae19bd06afa57b6ba87c054b5c06d4d47407082ef9243a6676cda6"
"""What sums differ in between processors is far below half a step of 16 bit."""
