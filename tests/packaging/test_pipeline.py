"""Which models fit together as stages of a pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.artifact import Artifact
from workbench.errors import InputError
from workbench.packaging.pipeline import check_pipeline
from workbench.packaging.sources import Source
from workbench.records import Dimension, Manifest, Signature, TensorSpec, TextPreprocess


def stage(
    name: str,
    takes: tuple[str, tuple[Dimension, ...]],
    gives: tuple[str, tuple[Dimension, ...]],
    *,
    outputs: int = 1,
    text: bool = False,
) -> Source:
    signature = Signature(
        inputs=(TensorSpec(name="x", dtype=takes[0], shape=takes[1]),),
        outputs=tuple(
            TensorSpec(name=f"y{n}", dtype=gives[0], shape=gives[1]) for n in range(outputs)
        ),
    )
    preprocess = TextPreprocess(max_length=16) if text else None
    manifest = Manifest(
        name=name, format="onnx", model_file="m.onnx", signature=signature, preprocess=preprocess
    )
    return Source(name, Artifact(Path(name), manifest))


FLOATS = ("float32", ("batch", 4))


def test_outputs_that_are_the_next_inputs_fit() -> None:
    embed = stage("embed", ("int64", ("batch", "sequence")), FLOATS, text=True)
    check_pipeline([embed, stage("classify", FLOATS, ("float32", ("batch", 2)))])


def test_an_axis_of_any_size_takes_a_fixed_one() -> None:
    check_pipeline([stage("a", FLOATS, FLOATS), stage("b", ("float32", ("n", "m")), FLOATS)])


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (stage("b", ("float64", ("batch", 4)), FLOATS), "y0: float32"),
        (stage("b", ("float32", ("batch", 5)), FLOATS), "y0: float32"),
        (stage("b", ("float32", ("batch", 4, 1)), FLOATS), "y0: float32"),
        (stage("b", FLOATS, FLOATS, text=True), "it reads text"),
    ],
)
def test_other_types_and_shapes_are_refused(after: Source, why: str) -> None:
    with pytest.raises(InputError, match=why):
        check_pipeline([stage("a", FLOATS, FLOATS), after])


def test_several_outputs_are_refused() -> None:
    with pytest.raises(InputError, match="2 outputs go to 1 input"):
        check_pipeline([stage("a", FLOATS, FLOATS, outputs=2), stage("b", FLOATS, FLOATS)])


def test_at_most_fifteen_stages() -> None:
    with pytest.raises(InputError, match="2 to 15 containers, not 16"):
        check_pipeline([stage(f"s{n}", FLOATS, FLOATS) for n in range(16)])
