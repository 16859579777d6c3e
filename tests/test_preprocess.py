from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import needs
from tests.tasks.small_models import write_tokenizer
from workbench.artifact import Artifact
from workbench.errors import DataError, ModelError
from workbench.preprocess import batches, make_feed
from workbench.records import (
    BytesPreprocess,
    ImagePreprocess,
    Manifest,
    Preprocess,
    Signature,
    TensorSpec,
    TextPreprocess,
)

IMAGE = TensorSpec(name="image", dtype="float32", shape=("batch", 1, 4, 4))
GREY = ImagePreprocess(size=(4, 4), mean=(10.0,), std=(2.0,), channels="L")
MAGIKA = BytesPreprocess(begin=4, end=4, block=16, padding=256)


def model(folder: Path, preprocess: Preprocess | None, *inputs: TensorSpec) -> Artifact:
    return Artifact(
        folder,
        Manifest(
            name="m",
            format="onnx",
            model_file="model.onnx",
            signature=Signature(inputs=inputs),
            preprocess=preprocess,
        ),
    )


def tokens(*names: str, dtype: str = "int64", length: int | str = "sequence") -> list[TensorSpec]:
    return [TensorSpec(name=n, dtype=dtype, shape=("batch", length)) for n in names]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tokenizer(tmp_path)
    return tmp_path


class TestText:
    def test_pads_to_the_longest_of_the_batch_and_makes_only_what_the_model_wants(
        self, folder: Path
    ) -> None:
        wanted = tokens("input_ids", "attention_mask", dtype="int32")
        feed = make_feed(model(folder, TextPreprocess(max_length=8), *wanted), ["a b c d", "a"])
        assert list(feed) == ["input_ids", "attention_mask"]
        assert feed["input_ids"].dtype == np.int32
        assert feed["input_ids"].tolist() == [[2, 3, 4, 5], [2, 0, 0, 0]]
        assert feed["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 0, 0, 0]]

    def test_truncates_to_the_models_length(self, folder: Path) -> None:
        subject = model(folder, TextPreprocess(max_length=2), *tokens("input_ids"))
        assert make_feed(subject, ["a b c d"])["input_ids"].tolist() == [[2, 3]]

    def test_fills_a_fixed_sequence_axis(self, folder: Path) -> None:
        subject = model(folder, TextPreprocess(max_length=8), *tokens("input_ids", length=5))
        assert make_feed(subject, ["a b"])["input_ids"].shape == (1, 5)
        assert make_feed(subject, ["a b c d a b c"])["input_ids"].shape == (1, 5)

    def test_reads_text_files(self, folder: Path) -> None:
        (folder / "t.txt").write_text("a b")
        subject = model(folder, TextPreprocess(max_length=8), *tokens("input_ids"))
        assert make_feed(subject, [folder / "t.txt"])["input_ids"].tolist() == [[2, 3]]

    def test_refuses_an_input_that_no_tokenizer_makes(self, folder: Path) -> None:
        subject = model(folder, TextPreprocess(max_length=8), *tokens("input_ids", "pixels"))
        with pytest.raises(DataError, match="'pixels' cannot be made from text"):
            make_feed(subject, ["a"])

    def test_refuses_what_is_no_text(self, folder: Path) -> None:
        subject = model(folder, TextPreprocess(max_length=8), *tokens("input_ids"))
        with pytest.raises(DataError, match="reads texts, but the data give an array"):
            make_feed(subject, [np.zeros(3)])

    @pytest.mark.parametrize("content", [None, "{"])
    def test_names_a_missing_or_broken_tokenizer(self, tmp_path: Path, content: str | None) -> None:
        if content:
            (tmp_path / "tokenizer.json").write_text(content)
        subject = model(tmp_path, TextPreprocess(max_length=8), *tokens("input_ids"))
        with pytest.raises(ModelError, match=r"tokenizer"):
            make_feed(subject, ["a"])


class TestImages:
    def test_normalises_pixels_of_the_right_size(self, tmp_path: Path) -> None:
        pixels = np.arange(16, dtype=np.uint8).reshape(4, 4)
        feed = make_feed(model(tmp_path, GREY, IMAGE), [pixels])
        assert feed["image"].shape == (1, 1, 4, 4)
        assert feed["image"].dtype == np.float32
        assert np.array_equal(feed["image"][0, 0], (pixels.astype(np.float32) - 10) / 2)

    def test_path_bytes_and_pixels_give_the_same(self, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (9, 7), np.uint8)
        file = tmp_path / "i.png"
        Image.fromarray(pixels).save(file)
        subject = model(tmp_path, GREY, IMAGE)
        feed = make_feed(subject, [pixels, file, file.read_bytes(), pixels[:, :, None]])["image"]
        assert (feed == feed[0]).all()

    def test_crops_the_centre(self, tmp_path: Path) -> None:
        pixels = np.zeros((8, 6), np.uint8)
        pixels[2:6, 1:5] = 12
        assert (make_feed(model(tmp_path, GREY, IMAGE), [pixels])["image"] == 1).all()

    def test_resizes_the_shorter_side(self, tmp_path: Path) -> None:
        pixels = np.full((40, 20), 12, np.uint8)
        pixels[:8] = pixels[-8:] = 0
        subject = model(tmp_path, GREY.model_copy(update={"resize": 4}), IMAGE)
        assert np.allclose(make_feed(subject, [pixels])["image"][0, 0], 1)

    def test_colours_become_channels_first(self, tmp_path: Path) -> None:
        colour = ImagePreprocess(size=(2, 2), mean=(0, 0, 0), std=(1, 1, 1))
        spec = TensorSpec(name="image", dtype="float16", shape=("batch", 3, 2, 2))
        pixels = np.zeros((2, 2, 3), np.uint8) + np.array([1, 2, 3], np.uint8)
        feed = make_feed(model(tmp_path, colour, spec), [pixels])["image"]
        assert feed.dtype == np.float16
        assert feed[0, :, 0, 0].tolist() == [1, 2, 3]

    def test_refuses_an_image_smaller_than_the_model(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="3 × 9 pixels is smaller than the model's 4 × 4"):
            make_feed(model(tmp_path, GREY, IMAGE), [np.zeros((3, 9), np.uint8)])

    @pytest.mark.parametrize("cut", [0, 40, 70])
    def test_names_a_file_that_is_no_whole_image(self, tmp_path: Path, cut: int) -> None:
        whole = io.BytesIO()
        noise = np.random.default_rng(0).integers(0, 256, (9, 9), np.uint8)
        Image.fromarray(noise).save(whole, "png")
        (tmp_path / "cut.png").write_bytes(whole.getvalue()[:cut])
        with pytest.raises(DataError, match=r"cut.png cannot be read as an image"):
            make_feed(model(tmp_path, GREY, IMAGE), [tmp_path / "cut.png"])

    def test_refuses_pixels_that_are_no_bytes(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="reads images, but the data give an array float64"):
            make_feed(model(tmp_path, GREY, IMAGE), [np.zeros((4, 4))])


class TestFileContents:
    SPEC = TensorSpec(name="bytes", dtype="int32", shape=("batch", 8))

    @pytest.mark.parametrize(
        ("content", "wanted"),
        [
            (b"abcdefgh", list(b"abcdefgh")),
            (b"  ab\n", [97, 98, 10, 256, *b"  ab"]),
            (b"", [256] * 8),
            (b" " * 20 + b"xyz" + b" " * 20, [256] * 8),
            (b"0123456789" * 4, list(b"01236789")),
        ],
    )
    def test_takes_first_and_last_bytes(
        self, tmp_path: Path, content: bytes, wanted: list[int]
    ) -> None:
        subject = model(tmp_path, MAGIKA, self.SPEC)
        (tmp_path / "file").write_bytes(content)
        feed = make_feed(subject, [content, tmp_path / "file"])["bytes"]
        assert feed.tolist() == [wanted, wanted]

    @needs("magika")
    def test_agrees_with_magikas_own_features(self, tmp_path: Path) -> None:
        magika = pytest.importorskip("magika.magika", reason="magika's own requirements")
        seekable = pytest.importorskip("magika.types.seekable")
        spec = TensorSpec(name="bytes", dtype="int32", shape=("batch", 2048))
        full = BytesPreprocess(begin=1024, end=1024, block=4096, padding=256)
        for file in sorted(Path(__file__).parent.rglob("*.py")):
            own = magika.Magika._extract_features_from_seekable(
                seekable.Seekable(io.BytesIO(file.read_bytes())), 1024, 0, 1024, 256, 4096, False
            )
            feed = make_feed(model(tmp_path, full, spec), [file])["bytes"]
            assert feed[0].tolist() == own.beg + own.end


class TestArrays:
    X = TensorSpec(name="x", dtype="float32", shape=("batch", 2))
    IDS = TensorSpec(name="ids", dtype="int64", shape=("batch", 3))

    def test_stacks_and_casts(self, tmp_path: Path) -> None:
        feed = make_feed(model(tmp_path, None, self.X), [np.array([1, 2]), np.array([0.5, 4.0])])
        assert feed["x"].dtype == np.float32
        assert feed["x"].tolist() == [[1, 2], [0.5, 4]]

    def test_takes_dicts_by_input_name(self, tmp_path: Path) -> None:
        sample = {"ids": np.arange(3, dtype=np.int32), "x": np.zeros(2), "more": np.zeros(1)}
        feed = make_feed(model(tmp_path, None, self.X, self.IDS), [sample, sample])
        assert {name: array.shape for name, array in feed.items()} == {"x": (2, 2), "ids": (2, 3)}

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (
                [np.zeros(3)],
                r"Input 'x' wants float32\[batch, 2\], but the data give float64\[1, 3\]",
            ),
            ([np.zeros((2, 1))], r"but the data give float64\[1, 2, 1\]"),
            ([np.zeros(2), np.zeros(3)], r"differ in shape: \[2\] and \[3\]"),
            ([np.array(["a", "b"])], r"wants float32\[batch, 2\]"),
            (["text"], "wants arrays, but the data give a str"),
            ([{"y": np.zeros(2)}], "Input 'x' is missing"),
            ([], "no sample"),
        ],
    )
    def test_says_what_does_not_fit(self, tmp_path: Path, rows: list[object], message: str) -> None:
        with pytest.raises(DataError, match=message):
            make_feed(model(tmp_path, None, self.X), rows)

    def test_never_rounds_fractions_to_token_ids(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="Input 'ids'"):
            make_feed(model(tmp_path, None, self.IDS), [np.array([0.5, 1, 2])])
        assert make_feed(model(tmp_path, None, self.IDS), [np.array([0.0, 1, 2])])

    def test_refuses_one_array_for_two_inputs(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="the model wants x, ids"):
            make_feed(model(tmp_path, None, self.X, self.IDS), [np.zeros(2)])


def test_batches_cover_everything_once() -> None:
    assert [list(part) for part in batches(range(5), 2)] == [[0, 1], [2, 3], [4]]
