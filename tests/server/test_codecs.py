"""Bodies in and out: every format gives the same feed, and hostile bodies are only ever refused."""

from __future__ import annotations

import base64
import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from onnx_server import codecs
from onnx_server.checks import check_feed
from onnx_server.codecs import numpy_archive, v2
from onnx_server.errors import (
    BadRequest,
    NotAcceptable,
    ServerError,
    TooLarge,
    UnsupportedMediaType,
)
from onnx_server.manifest import Manifest, Tensor

JSON, LINES, CSV = "application/json", "application/jsonlines", "text/csv"
NPY, NPZ = "application/x-npy", "application/x-npz"
RECORDS = "application/x-recordio-protobuf"
ROWS = [[1.5, 2.0, -3.0, 0.25], [5.0, 6.0, 7.0, 8.0]]


class Echo:
    """Keeps the samples it is asked to read; each is a row of its length."""

    def __init__(self, kind: str) -> None:
        self.kind, self.samples = kind, []

    def __call__(self, samples):
        self.samples = list(samples)
        return {"x": np.array([[len(s)] for s in samples], np.int64)}


def tensor(name: str, *shape: int | str, dtype: str = "float32") -> Tensor:
    return Tensor(name, np.dtype(dtype), shape)


def manifest(*inputs: Tensor, labels: tuple[str, ...] | None = None) -> Manifest:
    outputs = (tensor("y", "batch", 3),)
    return Manifest("m", Path(), "model.onnx", inputs, outputs, labels=labels)


ONE = manifest(tensor("x", "batch", 4))
WHOLE = manifest(tensor("x", "batch", 1, dtype="int64"))
TWO = manifest(tensor("age", "batch", dtype="int64"), tensor("box", "batch", 2, 2))
SAMPLES = manifest(tensor("x", "batch", 1, dtype="int64"))


def read(body: bytes | object, kind: str = JSON, model: Manifest = ONE, preprocessor=None):
    """The form and the checked feed of a body."""
    body = body if isinstance(body, bytes) else orjson.dumps(body)
    decoded = codecs.decode(body, kind, model, preprocessor)
    feed, rows = check_feed(decoded.feed, model.inputs)
    assert rows == decoded.rows
    return decoded.form, feed


def refused(body: bytes | object, kind: str = JSON, model: Manifest = ONE, preprocessor=None):
    with pytest.raises(ServerError) as caught:
        read(body, kind, model, preprocessor)
    assert 400 <= caught.value.status < 500
    return caught.value


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(method: int = zipfile.ZIP_DEFLATED, **entries: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def npy_header(text: str, content: bytes = b"") -> bytes:
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + content


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def record(values: np.ndarray, name: bytes = b"values", more: bytes = b"") -> bytes:
    """One RecordIO frame with one feature, as protobuf's packed encoding writes it."""
    kind = {"float32": 2, "float64": 3, "int32": 7}[str(values.dtype)]
    if values.dtype.kind == "i":
        packed = b"".join(varint(int(v) & (1 << 64) - 1) for v in values)
    else:
        packed = values.tobytes()
    value = field(kind, field(1, packed) + more)
    message = field(1, field(1, name) + field(2, value))
    return struct.pack("<II", 0xCED7230A, len(message)) + message + b"\0" * (-len(message) % 4)


class TestOneInputInEveryFormat:
    BODIES = (
        ({"instances": ROWS}, JSON, "instances"),
        (ROWS, JSON, "instances"),
        ({"instances": [{"x": row} for row in ROWS]}, JSON, "instances"),
        ({"inputs": {"x": ROWS}}, JSON, "inputs"),
        ({"inputs": ROWS}, JSON, "inputs"),
        ({"columns": list("abcd"), "data": ROWS}, JSON, "instances"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 4], "data": ROWS}]}, JSON,
         "inputs"),
        (b"\n".join(map(orjson.dumps, ROWS)), LINES, "instances"),
        (b'{"x": [1.5, 2, -3, 0.25]}\r\n\n{"x": [5, 6, 7, 8]}', "application/x-ndjson",
         "instances"),
        (b"1.5,2,-3,.25\n5,6,7,8\n", CSV, "rows"),
        (b'"1.5",2e0,-3,0.25\r\n5,6,7,8', "text/csv; charset=utf-8", "rows"),
        (npy(np.array(ROWS)), NPY, "inputs"),
        (npy(np.asfortranarray(np.array(ROWS, ">f4"))), NPY, "inputs"),
        (npz(x=npy(np.array(ROWS))), NPZ, "inputs"),
        (b"".join(record(np.array(row, "f4")) for row in ROWS), RECORDS, "rows"),
        (b"".join(record(np.array(row, "f8"), b"x") for row in ROWS), RECORDS, "rows"),
    )  # fmt: skip

    @pytest.mark.parametrize(("body", "kind", "form"), BODIES)
    def test_gives_the_same_feed(self, body, kind, form):
        got, feed = read(body, kind)
        assert got == form
        assert feed["x"].dtype == np.float32
        assert feed["x"].tolist() == ROWS

    def test_no_content_type_means_the_default(self):
        assert codecs.decode(b"1,2,3,4", None, ONE, None, default=CSV).form == "rows"
        assert codecs.decode(b"[[1,2,3,4]]", None, ONE, None).form == "instances"


class TestSeveralInputs:
    FEED = ([7, 9], [[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
    BODIES = (
        ({"instances": [{"age": a, "box": b} for a, b in zip(*FEED, strict=True)]}, JSON),
        ({"inputs": {"age": FEED[0], "box": FEED[1]}}, JSON),
        ({"columns": ["box", "age"],
          "data": [[b, a] for a, b in zip(*FEED, strict=True)]}, JSON),
        (b"7,1,2,3,4\n9,5,6,7,8\n", CSV),
        (npz(age=npy(np.array(FEED[0])), box=npy(np.array(FEED[1]))), NPZ),
    )  # fmt: skip

    @pytest.mark.parametrize(("body", "kind"), BODIES)
    def test_give_the_same_feed(self, body, kind):
        _, feed = read(body, kind, TWO)
        assert [feed["age"].tolist(), feed["box"].tolist()] == list(self.FEED)

    def test_a_header_gives_the_order_of_the_columns(self):
        model = manifest(tensor("a", "batch"), tensor("b", "batch"))
        _, feed = read(b"b,a\n1,2\n", CSV, model)
        assert (feed["a"].tolist(), feed["b"].tolist()) == ([2.0], [1.0])

    def test_what_carries_one_is_refused(self):
        assert refused(npy(np.zeros((1, 2, 2))), NPY, TWO).status == 415
        assert "age, box" in refused([[1]], JSON, TWO).message
        assert "box (4)" in refused(b"1,2\n", CSV, TWO).message


class TestSamples:
    PNG = b"\x89PNG\r\n\x1a\n\0\xff"
    B64 = base64.b64encode(PNG).decode()

    @pytest.mark.parametrize(
        ("body", "kind", "samples"),
        [
            ({"instances": ["a", "b c"]}, JSON, ["a", "b c"]),
            ({"inputs": "a"}, JSON, ["a"]),
            ({"inputs": ["a", "b"]}, JSON, ["a", "b"]),
            ({"instances": [["a", "b"], "c"]}, JSON, [("a", "b"), "c"]),
            (b'"a"\n["b", "c"]\n', LINES, ["a", ("b", "c")]),
            (b'text\na\n"b, ""c""\nd"\n', CSV, ["a", 'b, "c"\nd']),
            (b"text,pair\na,b\n", CSV, [("a", "b")]),
            ("ä\n\0b\n".encode(), "text/plain", ["ä\n\0b\n"]),
            ({"inputs": [{"name": "t", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]}]},
             JSON, ["a", "b"]),
        ],
    )  # fmt: skip
    def test_texts(self, body, kind, samples):
        echo = Echo("text")
        read(body, kind, SAMPLES, echo)
        assert echo.samples == samples

    def test_a_text_may_be_longer_than_the_csv_modules_own_limit(self):
        echo = Echo("text")
        read(b"a" * 200_000, CSV, SAMPLES, echo)
        assert len(echo.samples[0]) == 200_000

    @pytest.mark.parametrize("kind", ["image", "bytes"])
    @pytest.mark.parametrize(
        ("body", "media"),
        [
            (PNG, "image/png"),
            (PNG, "application/octet-stream"),
            ({"instances": [{"b64": B64}]}, JSON),
            (b'{"b64": "' + B64.encode() + b'"}', LINES),
        ],
    )
    def test_images_and_contents(self, kind, body, media):
        echo = Echo(kind)
        read(body, media, SAMPLES, echo)
        assert echo.samples == [self.PNG]

    @pytest.mark.parametrize(
        ("body", "media", "kind", "status"),
        [
            (b"\xff", "text/plain", "text", 400),
            (b"a", "text/plain", "image", 415),
            (b"a", "image/png", "text", 415),
            (b'{"instances": ["\\ud800"]}', JSON, "text", 400),
            ({"instances": [1, "a"]}, JSON, "text", 400),
            ({"instances": ["a", 1]}, JSON, "text", 400),
            ({"instances": ["a", None]}, JSON, "text", 400),
            ({"instances": [["a", "b", "c"]]}, JSON, "text", 400),
            ({"instances": [{"b64": "?"}]}, JSON, "image", 400),
            ({"instances": [{"b64": "é"}]}, JSON, "image", 400),
            ({"instances": ["path.png"]}, JSON, "image", 400),
            (b"a,b,c", CSV, "text", 400),
            (b'"a', CSV, "text", 400),
        ],
    )
    def test_what_is_no_sample_is_refused(self, body, media, kind, status):
        assert refused(body, media, SAMPLES, Echo(kind)).status == status

    def test_a_model_of_arrays_reads_no_samples(self):
        for media in ("text/plain", "image/jpeg", "application/octet-stream"):
            assert refused(b"a", media).status == 415
        assert "the text 'a' at [0]" in refused(["a"]).message

    def test_a_model_of_texts_takes_ready_made_ids(self):
        _, feed = read({"instances": [{"x": [5]}]}, JSON, SAMPLES, Echo("text"))
        assert feed["x"].tolist() == [[5]]


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ([[1, 2, 3, 4], [1, 2, None, 4]], "null at [1, 2]"),
            ([[1, 2, 3, "4"]], "the text '4' at [0, 3]"),
            ([[True, 1, 2, 3]], "true at [0, 0]"),
            ([[1, 2, 3, {}]], "an object at [0, 3]"),
            ([[1, 2, 3, 4], [1]], "differing lengths"),
            ([[1, 2, 3, 4], 1], "differing depths"),
            ([[1, 2, 3]], "float32[batch, 4], but got int64[1, 3]"),
            ([[1e39, 0, 0, 0]], "1e+39 in row 0"),
            ([[]], "holds no value"),
            ([[[1], 2, 3, 4]], "differing depths"),
        ],
    )
    def test_a_wrong_value_names_the_input_and_the_place(self, body, message):
        error = refused(body)
        assert error.field == "x"
        assert "Input 'x' wants float32[batch, 4]" in error.message
        assert message in error.message

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"", JSON), (b"{}", JSON), (b"1", JSON), (b"null", JSON), (b"[]", JSON),
            (b"[NaN]", JSON), (b"[1e999]", JSON), (b'{"instances": 1}', JSON), (b"\xff", JSON),
            (b'{"instances": {}}', JSON), (b'{"inputs": 1}', JSON), (b'{"inputs": []}', JSON),
            (b"[" * 100_000, JSON), (b"[" * 900 + b"1" + b"]" * 900, JSON),
            (b'{"columns": ["a"], "data": [[1, 2]]}', JSON), (b'{"columns": 1, "data": 1}', JSON),
            (b"", LINES), (b"\n\n", LINES), (b"[1,2,3,4]\n{", LINES),
            (b"", CSV), (b"x\n", CSV), (b"1,2,3,nan\n", CSV), (b"1,2,3,1e999\n", CSV),
            (b"1,2,3,1_0\n", CSV), (b"1,2,3,\n", CSV), (b"1,2,3,4\n1,2,3\n", CSV),
            (b"1,2,3,\0\n", CSV), (b"", NPY), (b"", NPZ), (b"PK", NPZ), (b"", RECORDS),
        ],
    )  # fmt: skip
    def test_malformed_bodies(self, body, kind):
        assert refused(body, kind).status == 400

    def test_unknown_content_types_are_415_and_say_what_there_is(self):
        for kind in ("application/xml", "text/html", "a", ";", "é", "application/x-python-pickle"):
            error = refused(b"", kind)
            assert error.status == 415
            assert JSON in error.message

    @pytest.mark.parametrize("number", [2**53 + 1, -(2**63), 2**63 - 1])
    @pytest.mark.parametrize("kind", [JSON, CSV])
    def test_large_integers_are_exact(self, number, kind):
        body = f"{number}\n1\n" if kind == CSV else f"[[{number}], [1.0]]"
        assert read(body.encode(), kind, WHOLE)[1]["x"].tolist() == [[number], [1]]

    @pytest.mark.parametrize("number", ["1.5", str(2**63), str(10**30), "9" * 5000])
    @pytest.mark.parametrize("kind", [JSON, CSV])
    def test_what_is_no_int64_is_refused(self, number, kind):
        body = number if kind == CSV else f"[[{number}]]"
        assert refused(body.encode(), kind, WHOLE).status == 400

    def test_a_long_text_among_many_does_not_take_memory_for_each(self):
        texts = ["a" * 1_000_000, *["b"] * 100_000]  # 400 GB, were each as wide as the widest
        assert refused({"instances": [texts]}).status == 400


class TestNpy:
    HEAD = "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }"

    @pytest.mark.parametrize(
        ("descr", "shape", "content"),
        [
            ("<f4", "0, 99999999999999999999", b""), ("<f4", "-1, -4", bytes(16)),
            ("<f4", "1000000000, 4", bytes(16)), ("<f4", "1, 4", bytes(15)),
            ("<f4", "1, 4", bytes(17)), ("<f4", "1," * 70, bytes(4)), ("<f4", "True, 4", bytes(16)),
            ("|O", "1, 4", bytes(32)), ("<U1", "1, 4", bytes(16)), ("|V4", "1, 4", bytes(16)),
            ("<M8", "1, 4", bytes(32)), ("<f3", "1, 4", bytes(12)), ("<f4", "1 1, 4", bytes(16)),
            ("<f4", "9" * 4000, b""), ("|b1", "1, 4", b"\0\1\2\1"), ("<c8", "1, 4", bytes(32)),
        ],
    )  # fmt: skip
    def test_a_header_that_its_bytes_are_not_is_refused(self, descr, shape, content):
        assert refused(npy_header(self.HEAD % (descr, shape), content), NPY).status == 400

    @pytest.mark.parametrize(
        "header", ["", "(" * 2000, "{'descr': __import__('os')}", "[]" * 3000, "\x93NUMPY"]
    )
    def test_a_header_is_never_evaluated(self, header):
        assert refused(npy_header(header, bytes(16)), NPY).status == 400

    def test_a_pickle_is_never_read(self):
        stream = io.BytesIO()
        np.save(stream, np.array([object], object), allow_pickle=True)
        assert refused(stream.getvalue(), NPY).status == 400

    def test_not_a_number_may_come_in_binary(self):
        _, feed = read(npy(np.full((1, 4), np.nan, np.float32)), NPY)
        assert np.isnan(feed["x"]).all()

    def test_an_archive_that_unpacks_to_too_much_is_413(self, monkeypatch):
        monkeypatch.setattr(numpy_archive, "UNPACKED_BYTES", 1_000_000)
        body = npz(x=npy(np.zeros((100_000, 4), np.float32)))
        assert len(body) < 10_000
        with pytest.raises(TooLarge):
            read(body, NPZ)

    def test_an_archive_of_many_entries_is_413(self):
        with pytest.raises(TooLarge):
            read(npz(**{f"a{i}": b"" for i in range(300)}), NPZ)

    @pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
    def test_other_compressions_are_refused(self, method):
        assert "deflated" in refused(npz(method, x=npy(np.zeros((1, 4)))), NPZ).message

    def test_an_archive_with_a_wrong_checksum_is_refused(self):
        body = bytearray(npz(zipfile.ZIP_STORED, x=npy(np.zeros((1, 4), np.float32))))
        body[body.index(b"}") + 60] ^= 1
        assert refused(bytes(body), NPZ).status == 400

    def test_an_unknown_entry_is_named(self):
        assert refused(npz(y=npy(np.zeros((1, 4)))), NPZ).field == "y"


class TestRecords:
    def test_integers_may_be_negative(self):
        _, feed = read(record(np.array([-5, 2**31 - 1], "i4")), RECORDS,
                       manifest(tensor("x", "batch", 2, dtype="int32")))  # fmt: skip
        assert feed["x"].tolist() == [[-5, 2**31 - 1]]

    def test_a_row_is_shaped_as_the_input(self):
        model = manifest(tensor("x", "batch", 2, 2))
        _, feed = read(record(np.arange(4, dtype="f4")), RECORDS, model)
        assert feed["x"].tolist() == [[[0, 1], [2, 3]]]

    @pytest.mark.parametrize(
        "body",
        [
            b"\0" * 8, b"\x0a\x23\xd7\xce", struct.pack("<II", 0xCED7230A, 99),
            struct.pack("<II", 0xCED7230A, 1 << 30), record(np.zeros(4, "f4"))[:-4],
            record(np.zeros(4, "f4"), more=field(2, b"\1")),
            record(np.zeros(4, "f4"), more=field(3, b"\5")),
            record(np.zeros(4, "f4"), more=field(3, b"\0")),
            record(np.zeros(4, "f4"), more=b"\x0f"), record(np.zeros(4, "f4"), b"other"),
            record(np.zeros(4, "f4"), b"\xff"),
            record(np.zeros(4, "f4")) + record(np.zeros(3, "f4")),
            record(np.zeros(0, "f4")), struct.pack("<II", 0xCED7230A, 0),
        ],
    )  # fmt: skip
    def test_malformed_records_are_refused(self, body):
        assert refused(body, RECORDS).status == 400


class TestNegotiate:
    @pytest.mark.parametrize(
        ("accept", "came", "default", "answer"),
        [
            (None, None, None, JSON), ("", CSV, None, JSON), ("*/*", NPY, None, JSON),
            (None, LINES, None, LINES), (None, JSON, CSV, CSV), ("*/*", JSON, CSV, CSV),
            ("text/csv", JSON, None, CSV), ("TEXT/CSV; q=0.5", JSON, None, CSV),
            ("text/csv;q=0.1, application/x-npy", JSON, None, NPY),
            ("image/png, application/json;q=0.5", JSON, None, JSON),
            ("text/*", JSON, None, CSV), ("application/*", JSON, None, JSON),
            ("image/png, */*;q=0.1", JSON, None, JSON),
        ],
    )  # fmt: skip
    def test_the_answer_follows_accept(self, accept, came, default, answer):
        assert codecs.negotiate(accept, came, default) == answer

    @pytest.mark.parametrize("accept", ["image/png", "text/csv;q=0", "x", ",", ";", "text/csv;q=x"])
    def test_what_cannot_be_given_is_406(self, accept):
        with pytest.raises(NotAcceptable):
            codecs.negotiate(accept, JSON, None)


OUT = {"y": np.array([[0.5, 2.0, 1.0], [3.0, 0.0, 1.0]], np.float32)}
BOTH = OUT | {"z": np.array([1, 2])}


class TestEncode:
    def test_json_follows_the_form_of_the_request(self):
        assert json.loads(codecs.encode(OUT, JSON, "instances", ONE)) == {
            "predictions": OUT["y"].tolist()
        }
        assert json.loads(codecs.encode(BOTH, JSON, "rows", ONE)) == {
            "predictions": [
                {"y": [0.5, 2.0, 1.0], "z": 1},
                {"y": [3.0, 0.0, 1.0], "z": 2},
            ]
        }
        assert json.loads(codecs.encode(BOTH, JSON, "inputs", ONE)) == {
            "outputs": {"y": OUT["y"].tolist(), "z": [1, 2]}
        }

    def test_a_classifier_names_the_best_label(self):
        model = manifest(tensor("x", "batch", 4), labels=("a", "b", "c"))
        assert json.loads(codecs.encode(OUT, JSON, "instances", model))["labels"] == ["b", "a"]

    def test_json_has_no_nan(self):
        values = {"y": np.array([np.nan, np.inf, 1], np.float32)}
        assert codecs.encode(values, JSON, "rows", ONE) == b'{"predictions":[null,null,1.0]}'

    def test_half_precision_texts_and_scattered_arrays_are_written(self):
        values = {"a": np.array([0.5, 1], np.float16), "b": np.array(["x", "ü"], object),
                  "c": np.arange(4).reshape(2, 2).T}  # fmt: skip
        assert json.loads(codecs.encode(values, JSON, "inputs", ONE))["outputs"] == {
            "a": [0.5, 1.0],
            "b": ["x", "ü"],
            "c": [[0, 2], [1, 3]],
        }

    def test_lines_and_csv_have_a_line_a_row(self):
        assert codecs.encode(BOTH, LINES, "rows", ONE).splitlines() == [
            b'{"y":[0.5,2.0,1.0],"z":1}',
            b'{"y":[3.0,0.0,1.0],"z":2}',
        ]
        assert codecs.encode(OUT, CSV, "rows", ONE) == b"0.5,2.0,1.0\n3.0,0.0,1.0\n"

    def test_numpy_formats_keep_every_bit(self):
        back = np.load(io.BytesIO(codecs.encode(OUT, NPY, "inputs", ONE)))
        assert back.tobytes() == OUT["y"].tobytes()
        with np.load(io.BytesIO(codecs.encode(BOTH, NPZ, "inputs", ONE))) as archive:
            assert {n: a.tolist() for n, a in archive.items()} == {
                n: a.tolist() for n, a in BOTH.items()
            }

    @pytest.mark.parametrize("kind", [NPY, CSV])
    def test_what_holds_one_output_is_406_for_several(self, kind):
        with pytest.raises(NotAcceptable):
            codecs.encode(BOTH, kind, "rows", ONE)


class TestV2:
    @staticmethod
    def request(*tensors: dict, binary: bytes | None = None, model=ONE, preprocessor=None, **more):
        head = orjson.dumps({"inputs": list(tensors)} | more)
        headers = {} if binary is None else {v2.LENGTH: str(len(head))}
        return v2.decode_v2(head + (binary or b""), headers, model, preprocessor)

    def test_json_tensors_may_be_flat_or_nested(self):
        for data in (ROWS, [v for row in ROWS for v in row]):
            decoded, _ = self.request(
                {"name": "x", "datatype": "FP32", "shape": [2, 4], "data": data}
            )
            assert check_feed(decoded.feed, ONE.inputs)[0]["x"].tolist() == ROWS

    @pytest.mark.parametrize("pad", ["", " ", "  ", "   "])
    def test_binary_tensors_are_exact_and_aligned(self, pad):
        content = np.array(ROWS, "<f4").tobytes()
        decoded, asked = self.request(
            {"name": "x", "datatype": "FP32", "shape": [2, 4],
             "parameters": {"binary_data_size": len(content)}},
            binary=content, id="7" + pad, outputs=[{"name": "y"}],
        )  # fmt: skip
        feed, rows = check_feed(decoded.feed, ONE.inputs)
        assert feed["x"].tolist() == ROWS
        assert feed["x"].flags.aligned
        assert (rows, asked.id, asked.outputs) == (2, "7" + pad, {"y": False})

    def test_binary_bytes_are_samples(self):
        echo, content = Echo("bytes"), struct.pack("<I", 2) + b"\0\xff" + struct.pack("<I", 0)
        self.request(
            {"name": "t", "datatype": "BYTES", "shape": [2],
             "parameters": {"binary_data_size": len(content)}},
            binary=content, preprocessor=echo,
        )  # fmt: skip
        assert echo.samples == [b"\0\xff", b""]

    @pytest.mark.parametrize(
        "change",
        [
            {"shape": [0, 2**63]}, {"shape": [2]}, {"shape": [-1, 4]}, {"shape": "x"},
            {"shape": [1] * 40}, {"shape": [True, 8]}, {"datatype": "FP31"}, {"datatype": []},
            {"data": None}, {"data": [1]}, {"data": "a"}, {"data": [[1], 2]}, {"name": 1},
            {"name": "y"}, {"parameters": {"binary_data_size": 4}},
            {"parameters": {"binary_data_size": -1}}, {"parameters": {"binary_data_size": True}},
            {"datatype": "BYTES"}, {"datatype": "BYTES", "data": ["a"] * 8},
        ],
    )  # fmt: skip
    def test_a_malformed_tensor_is_a_bad_request(self, change):
        good = {"name": "x", "datatype": "FP32", "shape": [2, 4], "data": ROWS}
        with pytest.raises(BadRequest):
            check_feed(self.request(good | change)[0].feed, ONE.inputs)

    @pytest.mark.parametrize("length", ["-1", "x", "999", "", "1e1", "²", "0"])
    def test_a_wrong_header_length_is_a_bad_request(self, length):
        with pytest.raises(BadRequest):
            v2.decode_v2(b'{"inputs":[]}', {v2.LENGTH: length}, ONE, None)

    def test_the_answer_comes_back_as_it_was_asked(self):
        asked = v2.Asked("i", {"y": True, "z": False})
        body, headers = v2.encode_v2(BOTH, asked, "m")
        length = int(dict(headers)[v2.LENGTH])
        answer = json.loads(body[:length])
        assert (answer["model_name"], answer["id"]) == ("m", "i")
        assert answer["outputs"] == [
            {"name": "y", "datatype": "FP32", "shape": [2, 3],
             "parameters": {"binary_data_size": 24}},
            {"name": "z", "datatype": "INT64", "shape": [2], "data": [1, 2]},
        ]  # fmt: skip
        assert body[length:] == OUT["y"].tobytes()

    def test_an_unknown_output_is_refused(self):
        with pytest.raises(BadRequest, match="no output 'q'"):
            v2.check_asked(v2.Asked(outputs={"q": False}), ONE)


KINDS = [*sorted(codecs.DECODERS), "application/xml", "", None]
MODELS = [(ONE, None), (WHOLE, None), (TWO, None), *((SAMPLES, k) for k in ("text", "image"))]
SEEDS = [
    body if isinstance(body, bytes) else orjson.dumps(body)
    for body, *_ in (*TestOneInputInEveryFormat.BODIES, *TestSeveralInputs.BODIES)
]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
KEYS = st.sampled_from(["x", "age", "box", "b64", "instances", "inputs", "name", "datatype",
                        "shape", "data", "columns", "parameters"])  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def damaged(draw) -> bytes:
    """A good body with bytes replaced, cut out or put in."""
    body = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(body)


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


RARELY = settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@RARELY
@given(
    st.binary(max_size=200) | damaged() | VALUES.map(as_json)
    | VALUES.map(lambda v: as_json({"instances": v}))
    | VALUES.map(lambda v: as_json({"inputs": v})),
    st.sampled_from(KINDS),
    st.sampled_from(MODELS),
)  # fmt: skip
@example(b"\x93NUMPY\x01\x00", NPY, MODELS[0])
def test_any_body_is_read_or_refused_as_the_clients_mistake(body, kind, model):
    target, sort = model
    preprocessor = None if sort is None else Echo(sort)
    try:
        read(body, kind, target, preprocessor)
    except ServerError as error:
        assert 400 <= error.status < 500
        assert error.message


@RARELY
@given(VALUES, st.binary(max_size=20), st.none() | st.integers(-2, 60))
def test_any_v2_body_is_read_or_refused_as_the_clients_mistake(value, binary, length):
    body = as_json({"inputs": value}) + (b"" if length is None else binary)
    headers = {} if length is None else {v2.LENGTH: str(length)}
    try:
        check_feed(v2.decode_v2(body, headers, ONE, None)[0].feed, ONE.inputs)
    except ServerError as error:
        assert 400 <= error.status < 500


FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
TABLES = npst.arrays(np.float32, st.tuples(st.integers(1, 5), st.just(4)), elements=FINITE)


@RARELY
@given(TABLES, st.sampled_from([JSON, LINES, CSV, NPY, NPZ]))
def test_what_is_encoded_is_decoded_to_the_same_bits(table, kind):
    body = codecs.encode({"x": table}, kind, "inputs", ONE)
    if kind == JSON:
        body = orjson.dumps({"inputs": json.loads(body)["outputs"]})
    _, feed = read(body, kind)
    assert feed["x"].tobytes() == table.tobytes()


def test_an_unknown_content_type_and_one_that_does_not_fit_are_told_apart():
    with pytest.raises(UnsupportedMediaType, match="is not known"):
        read(b"", "application/xml")
    with pytest.raises(UnsupportedMediaType, match="does not read texts"):
        read(b"", "text/plain")
