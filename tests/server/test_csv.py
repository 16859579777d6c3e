"""Plain CSV is read on a short way, anything else with care: both give the same."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_server.codecs import csv_body
from onnx_server.errors import BadRequest

from tests.server.test_codecs import CSV, manifest, read, refused, tensor

FREE = {dtype: manifest(tensor("x", "batch", "width", dtype=dtype))
        for dtype in ("float32", "float64", "int64", "uint8", "bool")}  # fmt: skip
CELLS = st.one_of(
    st.integers(-(2**63), 2**64).map(str),
    st.integers(-3, 300).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["-0", "1e5", "1E+2", "0.1", " 1", "1 ", "1\t", ".5", "1.", "+1", "01"]),
    st.sampled_from(["", "x"]),
)
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\n\n"])
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=5)
)


def either(body: bytes, dtype: str):
    try:
        return read(body, CSV, FREE[dtype])[1]["x"]
    except BadRequest:
        return None


@settings(max_examples=400, deadline=None)
@given(TABLES, ENDS, ENDS, st.sampled_from(list(FREE)), st.sampled_from(["", "x\n"]))
def test_the_short_way_gives_what_care_gives(table, end, last, dtype, header):
    body = (header + end.join(map(",".join, table)) + last).encode()
    short = either(body, dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_body, "_plain", lambda body: None)
        careful = either(body, dtype)
    if careful is None:
        assert short is None
    else:
        np.testing.assert_array_equal(short, careful)
        assert short.dtype == careful.dtype


@pytest.mark.parametrize("body", ["1,2\n3\n4", "1\n2,3\n4", "1,2\n3,4,5\n6", "1,2,3\n4\n5,6"])
def test_uneven_rows_are_refused_though_their_sum_is_even(body):
    assert "Line " in refused(body.encode(), CSV, FREE["float32"]).message


@pytest.mark.parametrize("line", [b"1,2,3,4\n", b".5,2,3,4\n", b'"1",2,3,4\n'])
def test_memory_stays_within_a_few_times_the_body(line):
    body = line * 50_000
    tracemalloc.start()
    try:
        read(body, CSV, FREE["float32"])
        assert tracemalloc.get_traced_memory()[1] < 30 * len(body)
    finally:
        tracemalloc.stop()
