"""The example of a call fits the model."""

from __future__ import annotations

import json
import shlex

import pytest

from workbench.records import (
    BytesPreprocess,
    ImagePreprocess,
    Manifest,
    Preprocess,
    Signature,
    TensorSpec,
    TextPreprocess,
)
from workbench.serving.examples import curl


def example(
    *inputs: tuple[str, tuple[int | str, ...]], preprocess: Preprocess | None = None
) -> tuple[str, str]:
    """Content type and data of the example for inputs of these types and shapes."""
    specs = tuple(TensorSpec(name=f"x{i}", dtype=d, shape=s) for i, (d, s) in enumerate(inputs))
    manifest = Manifest(
        name="m",
        format="onnx",
        model_file="model.onnx",
        signature=Signature(inputs=specs),
        preprocess=preprocess,
    )
    words = shlex.split(curl("http://h/invocations", manifest, {"X-A": "it's"}))
    assert words[:5] == ["curl", "http://h/invocations", "-H", "X-A: it's", "-H"]
    assert words[6] == "--data-binary"
    return words[5].removeprefix("Content-Type: "), words[7]


@pytest.mark.parametrize(
    ("inputs", "body"),
    [
        ([("float32", ("batch", 2))], {"instances": [[0.0, 0.0]]}),
        ([("int64", (2, "length"))], {"instances": [[0], [0]]}),
        (
            [("bool", ("n",)), ("string", ("n", 1))],
            {"inputs": {"x0": [False], "x1": [[""]]}},
        ),
    ],
)
def test_small_inputs_are_written_out(
    inputs: list[tuple[str, tuple[int | str, ...]]], body: object
) -> None:
    kind, data = example(*inputs)
    assert (kind, json.loads(data)) == ("application/json", body)


def test_large_inputs_are_files() -> None:
    large = ("float32", ("batch", 3, 224, 224))
    assert example(large) == ("application/x-npy", "@input.npy")
    assert example(large, large) == ("application/x-npz", "@inputs.npz")


def test_raw_content_is_sent_as_it_is() -> None:
    ids = ("int64", ("batch", "length"))
    kind, data = example(ids, preprocess=TextPreprocess(max_length=8))
    assert kind == "application/json"
    assert all(isinstance(text, str) for text in json.loads(data)["instances"])
    image = ImagePreprocess(size=(2, 2), mean=(0.0,), std=(1.0,))
    assert example(ids, preprocess=image) == ("image/png", "@picture.png")
    raw = BytesPreprocess(begin=1, end=1, block=1, padding=0)
    assert example(ids, preprocess=raw) == ("application/octet-stream", "@any.file")


def test_without_a_manifest_the_body_is_a_file() -> None:
    assert curl("http://h", None).endswith("--data-binary @request.json")
