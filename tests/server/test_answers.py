"""Outputs of every type and shape as answers: exact, or 406, but never a failure."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from onnx_server import codecs
from onnx_server.errors import NotAcceptable

from tests.server.test_codecs import CSV, JSON, LINES, NPY, NPZ, ONE

DTYPES = st.sampled_from(["f2", "f4", "f8", "i1", "i8", "longlong", "u8", "bool"])
SHAPES = npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3)
ARRAYS = DTYPES.flatmap(lambda dtype: npst.arrays(dtype, SHAPES))
TEXTS = np.array(["a", "ü"], object)


def plain(array: np.ndarray):
    """As JSON has it: NaN and infinity are null, half precision is written as single."""
    wide = array.astype("f4") if array.dtype == "f2" else array
    return json.loads(orjson.dumps(np.ascontiguousarray(wide), option=orjson.OPT_SERIALIZE_NUMPY))


@settings(deadline=None)
@given(ARRAYS)
def test_lines_are_the_rows(array):
    lines = codecs.encode({"y": array}, LINES, "rows", ONE).splitlines()
    assert [json.loads(line) for line in lines] == plain(array)


@settings(deadline=None)
@given(ARRAYS, st.data())
def test_rows_of_several_outputs_have_them_by_name(array, data):
    other = data.draw(npst.arrays("longlong", len(array)))
    wanted = [{"y%b": y, "z": z} for y, z in zip(plain(array), other.tolist(), strict=True)]
    body = codecs.encode({"y%b": array, "z": other}, JSON, "instances", ONE)
    assert json.loads(body) == {"predictions": wanted}


@settings(deadline=None)
@given(ARRAYS.filter(lambda array: array.dtype.kind != "b"))
def test_csv_keeps_every_value(array):
    body = codecs.encode({"y": array}, CSV, "rows", ONE).decode()
    rows = [list(map(float, row)) for row in csv.reader(io.StringIO(body))]
    if array.size:
        flat = np.array(rows).reshape(array.shape)
        kept = array.astype("f8").astype(array.dtype)
        np.testing.assert_array_equal(flat.astype(array.dtype), kept)


def test_outputs_that_have_no_row_each_are_given_by_name():
    outputs = {"y": np.zeros((2, 1), np.float32), "total": np.array(3), "found": np.array([7])}
    wanted = {"outputs": {"y": [[0.0], [0.0]], "total": 3, "found": [7]}}
    assert json.loads(codecs.encode(outputs, JSON, "instances", ONE)) == wanted
    with pytest.raises(NotAcceptable):
        codecs.encode(outputs, LINES, "instances", ONE)


@pytest.mark.parametrize("media", [CSV, LINES])
def test_one_value_without_an_axis_is_no_row(media):
    with pytest.raises(NotAcceptable):
        codecs.encode({"y": np.array(3.0)}, media, "rows", ONE)


@pytest.mark.parametrize("media", [NPY, NPZ])
def test_texts_are_never_pickled(media):
    with pytest.raises(NotAcceptable):
        codecs.encode({"y": TEXTS}, media, "rows", ONE)
    assert json.loads(codecs.encode({"y": TEXTS}, JSON, "rows", ONE)) == {"predictions": ["a", "ü"]}


def test_an_output_may_have_any_name():
    outputs = {"file": np.arange(3), "allow_pickle": np.arange(2)}
    with np.load(io.BytesIO(codecs.encode(outputs, NPZ, "rows", ONE))) as archive:
        assert {name: array.tolist() for name, array in archive.items()} == {
            "file": [0, 1, 2],
            "allow_pickle": [0, 1],
        }
