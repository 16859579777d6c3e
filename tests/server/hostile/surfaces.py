"""What is sent to each kind of model: a function for each content type and part of a request."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable

import numpy as np
import pytest

from tests.server.hostile import arrays, images, json_texts, records
from tests.server.hostile.mutate import mutated
from tests.server.hostile.requests import Shot, adorned, routed, typed

MODELS = ("numbers", "fixed", "ids", "text", "image", "contents", "mixed", "scalar")

JSON, LINES, CSV = "application/json", "application/jsonlines", "text/csv"
ROW = [1, 2, 3, 4]
INPUTS = {
    "numbers": {"x": [ROW]},
    "fixed": {"x": [ROW, ROW]},
    "ids": {"ids": [[1, 5]]},
    "text": {"input_ids": [[3, 4]], "attention_mask": [[1, 1]]},
    "image": {"image": [[[ROW] * 4]]},
    "contents": {"bytes": [[1] * 8]},
    "mixed": {"whole": [7], "half": [[1, 2]], "flag": [True], "word": ["a"]},
    "scalar": {"x": 4},
}
SAMPLES = {
    "text": ["a b", ["a", "b c"]],
    "image": [{"b64": ""}],
    "contents": ["ab", {"b64": "AA=="}],
}
V2 = {"float": "FP32", "int": "INT64", "bool": "BOOL", "str": "BYTES"}


def values(kind: str) -> list[object]:
    """Values that the JSON decoder takes for a model."""
    named = INPUTS[kind]
    found: list[object] = [{"inputs": named}, {"inputs": v2_tensors(named)}]
    if kind != "scalar":
        rows = [dict(zip(named, row, strict=True)) for row in zip(*named.values(), strict=True)]
        split = {"columns": list(named), "data": [list(named.values())]}
        found += [{"instances": rows}, rows, split]
    if len(named) == 1:
        only = next(iter(named.values()))
        found += [{"instances": only}, only, {"inputs": only}]
    if kind in SAMPLES:
        found += [{"instances": SAMPLES[kind]}, {"inputs": SAMPLES[kind]}, SAMPLES[kind]]
    return found


def v2_tensors(named: dict[str, object]) -> list[object]:
    tensors = []
    for name, value in named.items():
        array = np.array(value)
        datatype = V2[type(array.ravel()[0].item()).__name__]
        tensors.append({"name": name, "shape": list(array.shape), "datatype": datatype,
                        "data": array.ravel().tolist()})  # fmt: skip
    return tensors


NAMES = (
    "instances", "inputs", "outputs", "columns", "data", "name", "shape", "datatype", "parameters",
    "binary_data_size", "id", "b64", "x", "ids", "input_ids", "word", "",
)  # fmt: skip


def json_body(draw: random.Random, kind: str) -> Shot:
    found = values(kind)
    match draw.randrange(4):
        case 0:
            words = [text.encode("utf-8", "surrogatepass") for text in json_texts.EXTREME[:60]]
            body = mutated(draw, [json.dumps(value).encode() for value in found], words)
        case 1:
            body = json_texts.grown(draw, NAMES).encode("utf-8", "surrogatepass")
        case _:
            body = json_texts.swapped(draw, found)
    return typed(draw, body, JSON)


def json_lines(draw: random.Random, kind: str) -> Shot:
    lines = [json_texts.swapped(draw, values(kind)) for _ in range(draw.randint(1, 4))]
    if draw.random() < 0.3:
        lines = [json.dumps(SAMPLES.get(kind, [ROW])[0]).encode()] * 3
        lines[1] = mutated(draw, [lines[1]])
    return typed(draw, draw.choice((b"\n", b"\n", b"\r\n", b"\n\n", b" ")).join(lines), LINES)


CELLS = (
    "1", "2.5", "-1", "1e999", "nan", "inf", "", " ", '"1"', '"', '""""', "1_0", "0x1", "true",
    "9" * 400, "9" * 5000, "9223372036854775808", "18446744073709551616", "\0", "ü", "a b", "1e400",
    '"a\nb"', "x", "text", "pair", "١", "1 ", "\ufeff1", "-0", "1" + "0" * 310,
)  # fmt: skip


def csv(draw: random.Random, kind: str) -> Shot:
    if draw.random() < 0.4:
        good = [
            b"1,2,3,4\n5,6,7,8\n",
            b"x\n1,2,3,4\n",
            b'"a, b",c\n',
            b"text,pair\na,b\n",
            b"a b\n",
        ]
        return typed(draw, mutated(draw, good, [cell.encode() for cell in CELLS]), CSV)
    width = draw.choice((1, 1, 2, 3, 4, 4, 8, 50))
    rows = []
    for _ in range(draw.choice((1, 2, 3, 200))):
        odd = draw.random() < 0.5
        cells = [draw.choice(CELLS) if odd and draw.random() < 0.3 else "1" for _ in range(width)]
        rows.append(draw.choice((",", ",", ",", ";", "\t")).join(cells))
    ends = draw.choice(("\n", "\r\n", "\r", "\n\n"))
    body = ends.join(rows).encode(draw.choice(("utf-8", "utf-8", "utf-16")))
    return typed(draw, body, CSV)


def npy(draw: random.Random, kind: str) -> Shot:
    wanted = next(iter(INPUTS[kind].values()))
    stream = io.BytesIO()
    np.save(stream, np.array(wanted, draw.choice(("f4", "f8", "i8", "f2", "u1"))))
    if draw.random() < 0.5:
        return typed(draw, arrays.npy(draw), "application/x-npy")
    body = mutated(draw, [stream.getvalue(), arrays.pickled()], [b"'|O'", b"(0,)", b"L,"])
    return typed(draw, body, "application/x-npy")


def npz(draw: random.Random, kind: str) -> Shot:
    body = arrays.npz(draw) if draw.random() < 0.6 else mutated(draw, [arrays.archived()])
    return typed(draw, body, "application/x-npz")


def recordio(draw: random.Random, kind: str) -> Shot:
    body = records.recordio(draw) if draw.random() < 0.7 else mutated(draw, [records.good()])
    return typed(draw, body, "application/x-recordio-protobuf")


def plain(draw: random.Random, kind: str) -> Shot:
    pieces = (
        "a", "b", " ", "\n", "\0", "\ufeff", "é", "😀", "[SEP]", "[PAD]", "<s>", "\u202e", "ﷺ",
        "a" * 5000, "a " * 5000, "\u0301" * 500, "\ud7ff", "\uffff", "１", "ß", "İ",
    )  # fmt: skip
    text = "".join(draw.choice(pieces) for _ in range(draw.randint(0, 12)))
    if draw.random() < 0.01:
        text = draw.choice(("word " * 200_000, "x" * 1_000_000, "\n" * 1_000_000))
    body = text.encode()
    if draw.random() < 0.3:
        body = mutated(draw, [body], [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"])
    return typed(draw, body, draw.choice(("text/plain", "text/plain", "application/octet-stream")))


def image(draw: random.Random, kind: str) -> Shot:
    match draw.randrange(4):
        case 0:
            body = mutated(draw, images.whole())
        case 1:
            body = draw.choice(images.whole())
        case 2:
            body = images.jpeg(draw)
        case _:
            body = images.png(draw)
    return typed(draw, body, draw.choice(("image/png", "image/jpeg", "application/octet-stream")))


def v2(draw: random.Random, kind: str) -> Shot:
    output = "halves" if kind == "mixed" else "y"
    asked = {"inputs": v2_tensors(INPUTS[kind]), "id": "7",
             "outputs": [{"name": output, "parameters": {"binary_data": True}}]}  # fmt: skip
    found = [{"inputs": asked["inputs"]}, asked,
             {"inputs": asked["inputs"], "parameters": {"binary_data_output": True}}]  # fmt: skip
    if kind in ("text", "contents"):
        found.append(
            {"inputs": [{"name": "t", "shape": [1], "datatype": "BYTES", "data": ["a b"]}]}
        )
    return Shot(
        json_texts.swapped(draw, found), [("Content-Type", JSON)], path=f"/v2/models/{kind}/infer"
    )


def v2_binary(draw: random.Random, kind: str) -> Shot:
    name, wanted = next(iter(INPUTS[kind].items()))
    content = np.array(wanted, np.float32).tobytes()
    tensor = {"name": name, "shape": list(np.shape(wanted)), "datatype": "FP32",
              "parameters": {"binary_data_size": len(content)}}  # fmt: skip
    if draw.random() < (0.8 if kind == "text" else 0.3):
        content = draw.choice(
            (b"\3\0\0\0a b", b"\3\0\0\0a b", b"\xff\xff\xff\xff", b"\0" * 8, b"\1\0\0\0\xff", b"")
        )
        tensor |= {
            "datatype": "BYTES",
            "shape": [1],
            "parameters": {"binary_data_size": len(content)},
        }
    value = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    head = json_texts.swapped(draw, [value]) if draw.random() < 0.6 else json.dumps(value).encode()
    if draw.random() < 0.3:
        content = mutated(draw, [content])
    length = str(len(head)) if draw.random() < 0.8 else draw.choice(
        ("0", "-1", "x", "", "9" * 30, "9" * 5000, str(len(head) + 1), str(len(head) - 1), "1e3",
        "²"))  # fmt: skip
    headers = [("Inference-Header-Content-Length", length)]
    return Shot(head + content, headers, path=f"/v2/models/{kind}/infer")


def tables(draw: random.Random, kind: str) -> Shot:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    found = []
    for columns in ({"x": [[1.0, 2, 3, 4]] * 3}, {f"f{i}": [1, 2] for i in range(4)},
                    {"text": ["a b", "b"], "pair": ["c", "d"]}):  # fmt: skip
        made = pa.table(columns)
        sink, file = io.BytesIO(), io.BytesIO()
        with pa.ipc.new_stream(sink, made.schema) as writer:
            writer.write_table(made)
        pq.write_table(made, file, compression="none")
        found += [sink.getvalue(), file.getvalue()]
    return typed(draw, mutated(draw, found), "application/vnd.apache.arrow.stream")


def headers(draw: random.Random, kind: str) -> Shot:
    path = draw.choice(("/invocations", f"/v2/models/{kind}/infer"))
    return adorned(draw, b'{"instances": [[1, 2, 3, 4]]}', path)


def paths(draw: random.Random, kind: str) -> Shot:
    known = ("/ping", "/invocations", "/execution-parameters", "/metrics", "/", "/openapi.json",
    "/v2",
             "/v2/health/live", "/v2/health/ready", f"/v2/models/{kind}", "*",
             "http://x/ping")  # fmt: skip
    return routed(draw, draw.choice((b"", b"{}", b'{"instances": [[1, 2, 3, 4]]}')), known)


def loads(draw: random.Random, kind: str) -> Shot:
    urls = ("m", "other", "broken", "/", "", ".", "..", "../..", "/etc", "other/../m", "a" * 300,
    "a" * 9000,
            "other/model.onnx", "\0", "file:///m", "s3://a/b", "~", "é" * 200, "m\n")  # fmt: skip
    good = {"model_name": draw.choice(("other", "o2", "a/b", "é", "x" * 1024, "x" * 1025, "m",
    " ")),
            "url": draw.choice(urls)}  # fmt: skip
    body = json.dumps(good).encode() if draw.random() < 0.4 else json_texts.swapped(draw, [good])
    return Shot(body, [("Content-Type", JSON)], path="/models")


def many_paths(draw: random.Random, kind: str) -> Shot:
    known = ("/models", "/models/other", "/models/other/invoke", "/models/none", "/models/a%2Fb",
             "/v2/models/other/infer", "/v2/models/other/ready",
             "/models/%C3%A9/invoke")  # fmt: skip
    shot = routed(draw, b'{"instances": [[1, 2, 3, 4]]}', known)
    if shot.path.startswith("/models/m") and shot.method == "DELETE":
        shot.method = "GET"  # the model of the right answer stays
    return shot


SURFACES: list[tuple[str, Callable[[random.Random, str], Shot], int]] = [
    *((kind, json_body, 4) for kind in MODELS),
    *((kind, json_lines, 2) for kind in ("numbers", "text", "mixed", "contents")),
    *((kind, csv, 3) for kind in ("numbers", "ids", "text")),
    ("mixed", csv, 1),
    *((kind, npy, 3) for kind in ("numbers", "ids")),
    ("scalar", npy, 1),
    ("numbers", npz, 4),
    ("numbers", recordio, 4),
    ("ids", recordio, 1),
    *((kind, plain, 2) for kind in ("text", "contents")),
    ("image", image, 5),
    *((kind, v2, 3) for kind in ("numbers", "text", "mixed", "contents")),
    *((kind, v2_binary, 2) for kind in ("numbers", "text")),
    *((kind, tables, 2) for kind in ("numbers", "text")),
    ("numbers", headers, 4),
    ("numbers", paths, 3),
    ("many", loads, 3),
    ("many", many_paths, 3),
]
WEIGHT = sum(weight for _, _, weight in SURFACES)
