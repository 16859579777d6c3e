"""Arrow streams and Parquet files: the feed they give, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_server import codecs
from onnx_server.checks import check_feed
from onnx_server.codecs import arrow
from onnx_server.errors import BadRequest, ServerError, TooLarge

from tests.server.test_codecs import ONE, ROWS, TWO, Echo, manifest, tensor

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

TEXT = manifest(tensor("x", "batch", 1, dtype="int64"))


def stream(table, **options) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def parquet(table, **options) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


FORMATS = {arrow.STREAM: stream, arrow.PARQUET: parquet}


def read(body: bytes, media: str, model=ONE, preprocessor=None):
    decoded = codecs.decode(body, media, model, preprocessor)
    return check_feed(decoded.feed, model.inputs)[0]


@pytest.mark.parametrize("media", FORMATS)
def test_columns_of_numbers_are_the_features_of_the_one_input(media):
    table = pa.table({f"f{i}": [row[i] for row in ROWS] for i in range(4)})
    assert read(FORMATS[media](table), media)["x"].tolist() == ROWS


@pytest.mark.parametrize("media", FORMATS)
def test_a_column_of_lists_holds_the_rows_of_an_input(media):
    table = pa.table({"x": ROWS})
    assert read(FORMATS[media](table), media)["x"].tolist() == ROWS


@pytest.mark.parametrize("media", FORMATS)
def test_several_inputs_are_columns_by_name(media):
    table = pa.table({"box": [[1, 2, 3, 4]] * 2, "age": [7, 8]})
    feed = read(FORMATS[media](table), media, TWO)
    assert feed["age"].tolist() == [7, 8]
    assert feed["box"].tolist() == [[[1, 2], [3, 4]]] * 2


def test_text_and_pair_are_read_by_text_models():
    echo = Echo("text")
    read(parquet(pa.table({"text": ["a", "b"], "pair": ["c", "d"]})), arrow.PARQUET, TEXT, echo)
    assert echo.samples == [("a", "c"), ("b", "d")]


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({"x": [[1.0], [1.0, 2.0]]}, "differing"),
        ({"x": [[1.0, None, 2.0, 3.0]]}, "null"),
        ({"f": [None]}, "null"),
        ({"x": ["a"]}, "text"),
        ({"f": [{"a": 1}]}, "struct"),
        ({"x": pa.array([], pa.float32())}, "no row"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_column(columns, word):
    with pytest.raises(BadRequest, match=word):
        read(stream(pa.table(columns)), arrow.STREAM)


def test_an_unknown_column_is_named():
    with pytest.raises(BadRequest, match="hight"):
        read(stream(pa.table({"hight": [1], "age": [2], "box": [[1, 2, 3, 4]]})), arrow.STREAM, TWO)


def test_a_table_that_unpacks_to_too_much_is_refused():
    rows = 3_000_000
    table = pa.table({f"f{i}": np.zeros(rows) for i in range(12)})
    body = parquet(table, compression="zstd")
    assert len(body) < 200_000
    with pytest.raises(TooLarge):
        read(body, arrow.PARQUET)


def test_a_compressed_stream_is_refused():
    with pytest.raises(BadRequest, match="compressed"):
        read(stream(pa.table({"x": ROWS * 100}), compression="zstd"), arrow.STREAM)


def test_an_answer_is_read_back_as_it_was():
    outputs = {"y": np.arange(12, dtype=np.float32).reshape(2, 3, 2), "n": np.array([1, 2])}
    body = codecs.encode(outputs, arrow.STREAM, "rows", ONE)
    table = pa.ipc.open_stream(body).read_all()
    assert np.array_equal(np.array(table["y"].to_pylist()), outputs["y"])
    assert table["n"].to_pylist() == [1, 2]


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_broken_tables_are_only_ever_refused(data):
    media = data.draw(st.sampled_from(sorted(FORMATS)))
    body = bytearray(FORMATS[media](pa.table({"x": ROWS, "s": ["a", "bb"]})))
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(body[: data.draw(st.integers(0, len(body)))]), media)
    except ServerError as error:
        assert error.status < 500
