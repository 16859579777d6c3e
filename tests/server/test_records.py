"""Bad lines among good ones: refused by default, each a placeholder in batch transform."""

from __future__ import annotations

import json

import pytest

from tests.server.models import write_linear

LINES = b'[1, 2, 3, 4]\nnot json\n\n[1, 2]\n{"x": [0, 0, 0, 1]}\n'


@pytest.fixture
def linear(tmp_path):
    return write_linear(tmp_path / "linear", factor=2)


def ask(server, body=LINES, **headers):
    return server.ask("POST", "/invocations", body, content_type="application/jsonlines", **headers)


def test_one_bad_line_refuses_the_request_by_default(serve, linear):
    status, _, body = ask(serve("--model", linear))
    assert status == 400
    assert "Line 2" in json.loads(body)["error"]


def test_in_batch_transform_each_bad_line_gets_a_placeholder(serve, linear):
    status, headers, body = ask(serve("--model", linear, placeholders="true"))
    assert status == 200
    assert headers["content-type"] == "application/jsonlines"
    records = [json.loads(line) for line in body.splitlines()]
    assert records[0] == [2, 4, 6, 8]
    assert "Line 2 is not JSON" in records[1]["error"]
    assert "wants float32[batch, 4]" in records[2]["error"]
    assert records[3] == [0, 0, 0, 2]


def test_more_bad_lines_than_the_queue_holds_are_all_answered(serve, linear):
    server = serve("--model", linear, placeholders="true", max_queue="40")
    status, _, body = ask(server, b"[1, 2, 3, 4]\nbad\n" * 500)
    assert status == 200
    assert len(body.splitlines()) == 1000


def test_the_platform_switches_placeholders_on(monkeypatch):
    from onnx_server.settings import read_settings

    assert not read_settings({}).placeholders
    assert read_settings({"SAGEMAKER_BATCH": "true"}).placeholders


def test_another_format_is_still_refused(serve, linear):
    server = serve("--model", linear, placeholders="true")
    assert server.ask("POST", "/invocations", b"{", content_type="application/json")[0] == 400
    assert ask(server, accept="application/json")[0] == 400
