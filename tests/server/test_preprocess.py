"""Raw samples into feeds: what a model reads, and how hostile samples are refused."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from onnx_server.errors import BadRequest, InvalidModel, ServerError, TooLarge
from onnx_server.manifest import Manifest, Preprocess, Tensor
from onnx_server.preprocess import make_preprocessor
from PIL import Image

TOKENS = ("batch", "sequence")


def words(folder: Path) -> Path:
    """A tokenizer of a few words, with the type ids of pairs."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    ids = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[SEP]", "a", "b", "c"])}
    tokenizer = Tokenizer(WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="$A [SEP]", pair="$A [SEP] $B:1 [SEP]:1", special_tokens=[("[SEP]", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def model(folder: Path, kind: str | None, *inputs: Tensor, **options) -> Manifest:
    preprocess = None if kind is None else Preprocess(kind, {"kind": kind, **options})
    return Manifest("m", folder, "model.onnx", inputs, (), preprocess)


def text(folder: Path, *names: str, length: int | str = "sequence", **options) -> Manifest:
    inputs = [Tensor(name, np.dtype("int64"), ("batch", length)) for name in names]
    return model(words(folder), "text", *inputs, **{"max_length": 6, **options})


def image(folder: Path, **options) -> Manifest:
    wanted = Tensor("image", np.dtype("float32"), ("batch", 1, 4, 4))
    default = {"size": [4, 4], "mean": [10.0], "std": [2.0], "channels": "L"}
    return model(folder, "image", wanted, **(default | options))


def contents(folder: Path) -> Manifest:
    wanted = Tensor("bytes", np.dtype("int32"), ("batch", 8))
    return model(folder, "bytes", wanted, begin=4, end=4, block=16, padding=256)


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def declared(width: int, height: int) -> bytes:
    """A PNG whose header says a size that its few bytes do not hold."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b""))


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def test_a_model_of_arrays_has_no_preprocessing(tmp_path):
    assert make_preprocessor(model(tmp_path, None)) is None


class TestText:
    def test_pads_to_the_longest_of_the_batch(self, tmp_path):
        read = make_preprocessor(text(tmp_path, "input_ids", "attention_mask"))
        feed = read(["a b", "c"])
        assert feed["input_ids"].tolist() == [[3, 4, 2], [5, 2, 0]]
        assert feed["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]

    def test_pairs_have_type_ids_and_are_truncated_together(self, tmp_path):
        read = make_preprocessor(text(tmp_path, "input_ids", "token_type_ids", max_length=5))
        feed = read([("a", "b"), ("a a a a", "b b b b")])
        assert feed["input_ids"].tolist() == [[3, 2, 4, 2, 0], feed["input_ids"][1].tolist()]
        assert feed["input_ids"].shape == (2, 5)
        assert feed["token_type_ids"][0].tolist() == [0, 0, 1, 1, 0]

    def test_fills_a_fixed_length(self, tmp_path):
        read = make_preprocessor(text(tmp_path, "input_ids", length=4))
        assert read(["a"])["input_ids"].tolist() == [[3, 2, 0, 0]]

    @pytest.mark.parametrize("sample", [b"a", 1, None, ("a",), ("a", 1), "\ud800"])
    def test_refuses_what_is_no_text(self, tmp_path, sample):
        with pytest.raises(BadRequest):
            make_preprocessor(text(tmp_path, "input_ids"))(["a", sample])

    def test_a_missing_or_broken_tokenizer_is_an_invalid_model(self, tmp_path):
        wanted = text(tmp_path, "input_ids")
        (tmp_path / "tokenizer.json").write_text("{}")
        with pytest.raises(InvalidModel, match="cannot be read as a tokenizer"):
            make_preprocessor(wanted)
        (tmp_path / "tokenizer.json").unlink()
        with pytest.raises(InvalidModel, match="is missing"):
            make_preprocessor(wanted)

    def test_a_tokenizer_outside_the_folder_is_not_read(self, tmp_path):
        words(tmp_path)
        inside = tmp_path / "model"
        inside.mkdir()
        with pytest.raises(InvalidModel, match="outside"):
            make_preprocessor(text(inside, "input_ids", tokenizer="../tokenizer.json"))

    def test_an_input_that_no_tokenizer_makes_is_named(self, tmp_path):
        with pytest.raises(InvalidModel, match="'pixels' cannot be made from text"):
            make_preprocessor(text(tmp_path, "input_ids", "pixels"))


class TestImage:
    def test_crops_the_centre_and_normalises(self, tmp_path):
        pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
        made = make_preprocessor(image(tmp_path))([png(pixels)])["image"]
        assert made.dtype == np.float32
        np.testing.assert_array_equal(made[0, 0], (pixels[2:6, 2:6].astype("f4") - 10) / 2)

    def test_reads_jpeg_of_any_mode(self, tmp_path):
        colours = np.full((9, 7, 3), 100, np.uint8)
        made = make_preprocessor(image(tmp_path, resize=4))([png(colours, "JPEG")])["image"]
        np.testing.assert_allclose(made, 45.0, atol=1)

    @pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP", "PPM"])
    def test_reads_no_other_format(self, tmp_path, kind):
        with pytest.raises(BadRequest, match="PNG or JPEG"):
            make_preprocessor(image(tmp_path))([png(np.zeros((8, 8), np.uint8), kind)])

    @pytest.mark.parametrize("side", [8_000, 30_000])
    def test_a_bomb_is_refused_by_its_header(self, tmp_path, side):
        with pytest.raises(TooLarge, match="larger than the limit"):
            make_preprocessor(image(tmp_path))([declared(side, side)])

    def test_a_strip_that_would_grow_by_the_resize_is_refused(self, tmp_path):
        strip = png(np.zeros((1, 60_000), np.uint8))
        with pytest.raises(TooLarge):
            make_preprocessor(image(tmp_path, resize=2_000))([strip])

    def test_many_images_may_not_have_more_pixels_together_than_can_be_unpacked(
        self, tmp_path, monkeypatch
    ):
        sample = png(np.zeros((8, 8), np.uint8))
        monkeypatch.setattr("onnx_server.preprocess.image.MAX_ALL_PIXELS", 150)
        read = make_preprocessor(image(tmp_path))
        assert len(read([sample] * 2)["image"]) == 2
        with pytest.raises(TooLarge, match="150 pixels together"):
            read([sample] * 3)

    def test_too_small_an_image_says_both_sizes(self, tmp_path):
        with pytest.raises(BadRequest, match=r"3 × 3 .* 4 × 4"):
            make_preprocessor(image(tmp_path))([png(np.zeros((3, 3), np.uint8))])

    @pytest.mark.parametrize("cut", [0, 1, 8, 20, 33, 50, -40])
    def test_a_cut_image_is_refused(self, tmp_path, cut):
        whole = png(np.arange(64, dtype=np.uint8).reshape(8, 8))
        with pytest.raises(BadRequest):
            make_preprocessor(image(tmp_path))([whole[:cut]])

    def test_flipped_bytes_never_end_in_anything_but_a_refusal(self, tmp_path):
        read = make_preprocessor(image(tmp_path))
        draw = np.random.default_rng(0)
        for kind in ("PNG", "JPEG"):
            whole = png(draw.integers(0, 255, (8, 8), np.uint8), kind)
            refused = 0
            for _ in range(200):
                broken = bytearray(whole)
                broken[draw.integers(len(broken))] ^= int(draw.integers(1, 256))
                try:
                    assert read([bytes(broken)])["image"].shape == (1, 1, 4, 4)
                except ServerError as error:
                    assert 400 <= error.status < 500
                    refused += 1
            assert refused


class TestContents:
    def test_takes_both_ends_without_white_space(self, tmp_path):
        made = make_preprocessor(contents(tmp_path))([b"  abcdefgh \n", b"x"])["bytes"]
        assert made.tolist() == [list(b"abcdefgh"), [120, 256, 256, 256, 256, 256, 256, 120]]

    def test_an_empty_content_is_all_padding(self, tmp_path):
        assert make_preprocessor(contents(tmp_path))([b""])["bytes"].tolist() == [[256] * 8]

    def test_refuses_what_is_no_content(self, tmp_path):
        with pytest.raises(BadRequest, match="row 1"):
            make_preprocessor(contents(tmp_path))([b"", 3])


@pytest.mark.parametrize(
    ("make", "package", "extra"), [(text, "tokenizers", "text"), (image, "PIL", "image")]
)
def test_a_missing_package_says_which_extra_to_install(tmp_path, monkeypatch, make, package, extra):
    wanted = make(tmp_path, "input_ids") if make is text else make(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InvalidModel, match=rf"onnx-server\[{extra}\]"):
        make_preprocessor(wanted)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("audio", {}),
        ("image", {"size": [4, 4]}),
        ("image", {"size": 4, "mean": [0], "std": [1]}),
        ("image", {"size": [4, 4], "mean": [0], "std": [1], "resample": "magic"}),
        ("bytes", {"begin": 0, "end": 4, "block": 16, "padding": 256}),
        ("bytes", {"begin": "x", "end": 4, "block": 16, "padding": 256}),
    ],
)
def test_wrong_options_are_an_invalid_model(tmp_path, kind, options):
    with pytest.raises(InvalidModel, match=kind):
        make_preprocessor(model(tmp_path, kind, Tensor("x", np.dtype("f4"), TOKENS), **options))
