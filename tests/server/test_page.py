"""The page and the OpenAPI document are valid, complete and safe for any model's name."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import orjson
import pytest
from jsonschema import Draft202012Validator
from onnx_server import openapi, page
from openapi_spec_validator import OpenAPIV31SpecValidator

Model = dict[str, Any]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror='a'>\"&{{script}}{x}?#\udc80"


def tensor(name: str, dtype: str, *shape: int | str) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": list(shape)}


def model(name: str = "m", **fields: Any) -> Model:
    return {
        "name": name,
        "inputs": [tensor("x", "float32", "batch", 3)],
        "outputs": [tensor("y", "float32", "batch", 2)],
        "labels": None,
        "preprocess": None,
        "memory_bytes": 1_500_000,
        "path": f"/models/{name}/invoke",
        **fields,
    }


IDS = [tensor(n, "int64", "batch", "sequence") for n in ("input_ids", "attention_mask")]
MODELS = {
    "tensor": model("tensor", path="/invocations"),
    "text": model("text", preprocess="text", inputs=IDS),
    "image": model("image", preprocess="image", inputs=[tensor("image", "float32", "b", 3, 9, 9)]),
    "bytes": model("bytes", preprocess="bytes", inputs=[tensor("bytes", "int32", "n", 2048)]),
    "large": model("large", inputs=[tensor("x", "float32", "batch", 3, 224, 224)]),
    "several": model("several", inputs=[*IDS, tensor("flag", "bool", "batch")], labels=("a", "b")),
    "words": model("words", inputs=[tensor("word", "str", "batch", 1)]),
    "hostile": model(
        HOSTILE, inputs=[tensor(HOSTILE, "float32", HOSTILE, 2)], labels=(HOSTILE, HOSTILE)
    ),
}


class Page(HTMLParser):
    """Tags with their attributes, in order, and the texts of some."""

    VOID = ("meta", "link", "input")

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(html.decode())
        self.close()
        assert self._open == [], "a tag is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.texts.setdefault(tag, []).append("")
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("name", MODELS)
def test_the_page_is_well_formed_and_every_field_has_a_label(name: str) -> None:
    read = Page(page.render([MODELS[name]], "multi"))
    ids = [a["id"] for _, a in read.tags if "id" in a]
    assert len(ids) == len(set(ids))
    labelled = {a["for"] for a in read.all("label")}
    fields = {a["id"] for tag in ("input", "textarea") for a in read.all(tag)}
    assert fields == labelled
    assert len(read.all("form")) == len(read.all("button")) == 1


def test_the_page_loads_nothing_from_elsewhere() -> None:
    read = Page(page.render(list(MODELS.values()), "multi"))
    for _, attributes in read.tags:
        assert not {"src", "srcset", "style", "action"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("href") in (None, "metrics", "openapi.json", "data:,")
    assert "http" not in "".join(read.texts["script"] + read.texts["style"])


def test_a_hostile_name_stays_text() -> None:
    harmless = Page(page.render([model(labels=("a", "b"))]))
    read = Page(page.render([MODELS["hostile"]]))
    assert [tag for tag, _ in read.tags] == [tag for tag, _ in harmless.tags]
    assert read.texts["script"] == harmless.texts["script"]
    (form,) = read.all("form")
    assert json.loads(form["data-labels"] or "") == [HOSTILE, HOSTILE]
    assert re.fullmatch(r"models/[^\s\"<>?#{}]+/invoke", form["data-path"] or "")


def test_the_policy_allows_exactly_the_style_and_script_of_the_page() -> None:
    read = Page(page.render([MODELS["tensor"]]))
    policy = dict(page.headers())["content-security-policy"]
    meta = next(a for a in read.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith(meta["content"] or "-")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (text,) = read.texts[tag]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_the_page_tells_signature_labels_memory_and_mode() -> None:
    text = page.render([MODELS["several"]], "multi").decode()
    for told in ("many models", "1 model loaded", "input_ids", "int64", "batch × sequence",
                 "2 labels: a, b", "1.5 MB", "version "):  # fmt: skip
        assert told in text


def test_the_page_without_a_model_says_so() -> None:
    read = Page(page.render([], "single"))
    assert "No model is loaded." in read.texts["p"]
    assert read.all("form") == []


def test_the_page_of_very_many_models_is_bounded() -> None:
    read = Page(page.render([model(f"m{i}") for i in range(1000)], "multi"))
    assert len(read.all("form")) == page.MODELS
    assert "And 900 more." in read.texts["p"]


@pytest.mark.parametrize("name", ["tensor", "several", "words"])
def test_the_prefilled_body_fits_the_schema_of_the_model(name: str) -> None:
    (text,) = Page(page.render([MODELS[name]])).texts["textarea"]
    schema = openapi.body_schema(MODELS[name])
    assert Draft202012Validator(schema).is_valid(json.loads(text))


@pytest.mark.parametrize(
    ("name", "accept"), [("image", "image/png,image/jpeg"), ("bytes", ""), ("large", ".npy")]
)
def test_pictures_bytes_and_large_tensors_are_files(name: str, accept: str) -> None:
    read = Page(page.render([MODELS[name]]))
    assert read.all("textarea") == []
    assert {"type": "file", "accept": accept, "id": "body-0"} in read.all("input")


def test_texts_are_prefilled_one_a_line() -> None:
    (text,) = Page(page.render([MODELS["text"]])).texts["textarea"]
    assert text.strip().split("\n") == list(openapi.EXAMPLE_TEXTS)


# --- the OpenAPI document ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["single", "multi"])
@pytest.mark.parametrize("names", [[], ["tensor"], list(MODELS)])
def test_the_document_is_valid_openapi(mode: Any, names: list[str]) -> None:
    document = openapi.document([MODELS[name] for name in names], mode)
    OpenAPIV31SpecValidator(orjson.loads(_dumped(document))).validate()


def _dumped(document: Any) -> bytes:
    """As the server writes it, half a surrogate pair replaced."""
    return json.dumps(document).replace("\\udc80", "?").encode()


def test_the_document_has_the_routes_of_its_mode() -> None:
    common = {"/", "/ping", "/metrics", "/openapi.json", "/execution-parameters", "/v2",
              "/v2/health/live", "/v2/health/ready", "/v2/models/{name}",
              "/v2/models/{name}/ready", "/v2/models/{name}/infer"}  # fmt: skip
    single = openapi.document([model(path="/invocations")], "single")["paths"]
    multi = openapi.document([model("a")], "multi")["paths"]
    assert set(single) == common | {"/invocations"}
    many = {"/models", "/models/{name}", "/models/{name}/invoke", "/models/a/invoke"}
    assert set(multi) == common | many
    assert set(multi["/models/{name}"]) == {"parameters", "get", "delete"}
    assert set(single["/ping"]) == {"get", "post"}


def test_invocations_are_told_while_the_model_still_loads() -> None:
    assert "/invocations" in openapi.document([], "single")["paths"]


def test_operation_ids_are_unique() -> None:
    paths = openapi.document(list(MODELS.values()), "multi")["paths"]
    ids = [operation["operationId"] for methods in paths.values()
           for method, operation in methods.items() if method != "parameters"]  # fmt: skip
    assert len(ids) == len(set(ids))


def test_each_status_that_can_happen_is_told() -> None:
    paths = openapi.document([model(path="/invocations")], "single")["paths"]
    asked = {"200", "400", "401", "404", "406", "408", "413", "415", "429", "500", "503", "504"}
    assert set(paths["/invocations"]["post"]["responses"]) == asked
    multi = openapi.document([], "multi")["paths"]
    assert {"409", "507"} <= set(multi["/models"]["post"]["responses"])


@pytest.mark.parametrize(
    ("name", "media"),
    [("text", "text/plain"), ("image", "image/jpeg"), ("bytes", "application/octet-stream")],
)
def test_models_with_preprocessing_take_raw_samples(name: str, media: str) -> None:
    document = openapi.document([MODELS[name], MODELS["tensor"]], "multi")["paths"]
    content = document[f"/models/{name}/invoke"]["post"]["requestBody"]["content"]
    assert media in content
    assert media not in document["/invocations"]["post"]["requestBody"]["content"]


@pytest.mark.parametrize(
    ("body", "valid"),
    [
        ({"instances": [[1, 2, 3], [4, 5, 6.5]]}, True),
        ({"inputs": [[1, 2, 3]]}, True),
        ({"instances": []}, True),
        ({"instances": [[1, 2]]}, False),
        ({"instances": [[1, 2, 3, 4]]}, False),
        ({"instances": [[1, 2, "3"]]}, False),
        ({"instances": [1, 2, 3]}, False),
        ({"rows": [[1, 2, 3]]}, False),
        ([[1, 2, 3]], False),
    ],
)
def test_the_schema_tells_which_bodies_fit_one_input(body: Any, valid: bool) -> None:
    assert Draft202012Validator(openapi.body_schema(model())).is_valid(body) is valid


@pytest.mark.parametrize(
    ("sample", "valid"),
    [
        ({"input_ids": [1, 2], "attention_mask": [1, 1], "flag": True}, True),
        ({"input_ids": [1, 2], "attention_mask": [1, 1]}, False),
        ({"input_ids": [1.5], "attention_mask": [1], "flag": True}, False),
        ({"input_ids": [1 << 63], "attention_mask": [1], "flag": True}, False),
        ([1, 2], False),
    ],
)
def test_the_schema_of_several_inputs_names_them(sample: Any, valid: bool) -> None:
    schema = openapi.body_schema(MODELS["several"])
    assert Draft202012Validator(schema).is_valid({"instances": [sample]}) is valid


def test_a_text_model_takes_texts_and_tensors() -> None:
    schema = Draft202012Validator(openapi.body_schema(MODELS["text"]))
    assert schema.is_valid({"instances": ["one", "two"]})
    assert schema.is_valid({"instances": [{"input_ids": [1], "attention_mask": [1]}]})
    assert not schema.is_valid({"instances": [1]})


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "bool", "int8", "uint8", "int64", "uint64"]
)
def test_an_example_of_each_dtype_has_that_dtype_and_one_sample(dtype: str) -> None:
    given = model(inputs=[tensor("x", dtype, "batch", 2, "length", 3)])
    body = openapi.example(given)
    assert body is not None
    assert Draft202012Validator(openapi.body_schema(given)).is_valid(body)
    array = np.array(body["instances"], dtype)
    assert array.shape == (1, 2, 1, 3)
    assert np.array(body["instances"]).dtype.kind in {"b": "b", "f": "f"}.get(dtype[0], "i")


def test_there_is_no_example_of_a_large_tensor() -> None:
    assert openapi.example(MODELS["large"]) is None
