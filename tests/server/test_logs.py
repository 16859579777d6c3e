"""Every line is one JSON object whatever a client sent, and a stuck reader stops nobody."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from onnx_server import logs
from onnx_server.logs import Log, level_of, log, log_request


class Reader:
    """The reading end of a pipe that a log writes to."""

    def __init__(self, level: str) -> None:
        self.end, self.start = os.pipe()
        self.log = Log(self.start, level)

    def lines(self) -> list[dict[str, Any]]:
        """All lines that were written; a thread reads, so that more than a pipe's worth fits."""
        chunks: list[bytes] = []

        def read() -> None:
            while chunk := os.read(self.end, 65_536):
                chunks.append(chunk)

        thread = threading.Thread(target=read)
        thread.start()
        assert self.log.flush(5)
        self.close_start()
        thread.join()
        raw = b"".join(chunks)
        assert raw == b"" or raw.endswith(b"\n")
        return [json.loads(line) for line in raw.decode().splitlines()]

    def close_start(self) -> None:
        if self.start >= 0:
            os.close(self.start)
            self.start = -1


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    reader = Reader("info")
    monkeypatch.setattr(logs, "_log", reader.log)
    yield reader
    reader.close_start()
    os.close(reader.end)


def request(**fields: Any) -> None:
    base: dict[str, Any] = {
        "method": "POST",
        "path": "/invocations",
        "status": 200,
        "seconds": 0.0012345,
        "request_id": "r1",
    }
    log_request(**{**base, **fields})


def test_a_line_has_time_level_event_and_fields(reader: Reader) -> None:
    log("model_loaded", model="digits", seconds=0.5, batches=True, why_not=None)
    (line,) = reader.lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "info",
        "event": "model_loaded",
        "model": "digits",
        "seconds": 0.5,
        "batches": True,
        "why_not": None,
    }


def test_lines_keep_their_order(reader: Reader) -> None:
    for i in range(1000):
        log("tick", i=i)
    assert [line["i"] for line in reader.lines()] == list(range(1000))


def test_levels_below_the_chosen_one_are_not_written(reader: Reader) -> None:
    log("a", level="debug")
    log("b", level="info")
    log("c", level="error")
    assert [line["event"] for line in reader.lines()] == ["b", "c"]


@pytest.mark.parametrize(
    "forged",
    [
        'x\n{"event":"forged"}',
        "x\r\nforged",
        "x\x0bforged",
        "x\x0cforged",
        "x\x1cforged",
        "x\x85forged",
        "x\u2028forged",
        "x\u2029forged",
        "\x1b[2Jx",
        "\x9b2Jx",
        "\u202eevil",
        "nul\x00",
        "\udc80half",
        '"},{"event":"forged',
    ],
)
def test_a_header_cannot_forge_a_line_or_steer_a_terminal(forged: str) -> None:
    reader = Reader("info")
    reader.log.write("request", "info", {"request_id": forged, forged: 1, "list": [forged]})
    assert reader.log.flush(5)
    reader.close_start()
    raw = os.read(reader.end, 65_536).decode()
    os.close(reader.end)
    assert len(raw.splitlines()) == 1
    assert raw[:-1].isprintable()
    assert json.loads(raw)["event"] == "request"


def test_ordinary_text_of_any_script_is_left_as_it_is(reader: Reader) -> None:
    log("text", value="Grüße 日本 🙂 a b")
    assert reader.lines()[0]["value"] == "Grüße 日本 🙂 a b"


def test_bodies_are_only_counted(reader: Reader) -> None:
    log("request", body=b"secret", view=memoryview(b"secret"), more=[bytearray(b"secret")])
    (line,) = reader.lines()
    assert "secret" not in json.dumps(line)
    assert (line["body"], line["more"]) == ("6 bytes", ["6 bytes"])


def test_what_json_has_no_form_for_is_written_as_text(reader: Reader) -> None:
    log("odd", path=os, big=1 << 80, nan=float("nan"), nested={"a": {1, 2}})
    (line,) = reader.lines()
    assert line["path"].startswith("<module 'os'")
    assert line["big"] == str(1 << 80)
    assert line["nan"] is None
    assert line["nested"]["a"] == "{1, 2}"


def test_long_texts_are_cut(reader: Reader) -> None:
    log("long", header="x" * 100_000, exception="y" * 100_000)
    (line,) = reader.lines()
    assert (len(line["header"]), len(line["exception"])) == (1024, 16_384)


def test_a_good_fast_request_is_written_at_level_debug_only(reader: Reader) -> None:
    request()
    reader.log.level = logs.LEVELS["debug"]
    request(model="digits", custom_attributes="tenant=7", inference_id="i-1")
    (line,) = reader.lines()
    del line["time"]
    assert line == {
        "level": "debug",
        "event": "request",
        "request_id": "r1",
        "method": "POST",
        "path": "/invocations",
        "status": 200,
        "ms": 1.234,
        "model": "digits",
        "custom_attributes": "tenant=7",
        "inference_id": "i-1",
    }


@pytest.mark.parametrize("fields", [{"status": 400}, {"status": 503}, {"seconds": 1.5}])
def test_failed_and_slow_requests_are_warnings(reader: Reader, fields: dict[str, Any]) -> None:
    request(**fields)
    (line,) = reader.lines()
    assert line["level"] == "warning"


def test_a_flood_of_failures_is_thinned_out(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.5]
    monkeypatch.setattr(logs.time, "monotonic", lambda: clock[0])
    for _ in range(500):
        request(status=400)
    clock[0] += 1
    request(status=400)
    monkeypatch.undo()  # the reader waits on the true clock
    assert reader.log.flush(5)
    assert len(reader.lines()) == logs.FAILURES_A_SECOND + 1


def test_a_full_pipe_stops_nobody_and_the_loss_is_told() -> None:
    reader = Reader("info")
    start = time.monotonic()
    for i in range(logs.QUEUE * 3):
        reader.log.write("tick", "info", {"i": i, "text": "x" * 500})
    assert time.monotonic() - start < 60
    dropped = reader.log.dropped
    assert dropped > logs.QUEUE
    assert not reader.log.flush(0.05), "nobody has read"
    lines = reader.lines()
    os.close(reader.end)
    assert sum(line["count"] for line in lines if line["event"] == "log_lines_dropped") == dropped
    assert sum(line["event"] == "tick" for line in lines) == logs.QUEUE * 3 - dropped


def test_a_pipe_that_another_made_non_blocking_loses_nothing() -> None:
    reader = Reader("info")
    os.set_blocking(reader.start, False)
    for i in range(1000):
        reader.log.write("tick", "info", {"i": i, "text": "x" * 500})
    lines = reader.lines()
    os.close(reader.end)
    assert [line["i"] for line in lines] == list(range(1000))


def test_a_closed_reader_is_no_error() -> None:
    reader = Reader("info")
    os.close(reader.end)
    reader.log.write("a", "info", {})
    reader.log.write("b", "info", {})
    assert reader.log.flush(5)
    reader.close_start()


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def test_lines_are_written_to_stderr_before_the_process_ends() -> None:
    ended = run("from onnx_server.logs import log\nlog('one')\nlog('two')")
    assert ended.returncode == 0
    assert ended.stdout == ""
    assert [json.loads(line)["event"] for line in ended.stderr.splitlines()] == ["one", "two"]


def test_a_forked_process_writes_its_own_lines_and_each_only_once() -> None:
    ended = run(
        "import os\n"
        "from onnx_server.logs import flush, log\n"
        "log('parent')\n"
        "flush()\n"
        "if (child := os.fork()) == 0:\n"
        "    log('child')\n"
        "    os._exit(0 if flush(5) else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    assert ended.returncode == 0
    events = [json.loads(line)["event"] for line in ended.stderr.splitlines()]
    assert events == ["parent", "child"]


def test_the_environment_sets_the_level() -> None:
    code = "from onnx_server import logs\nlogs.configure()\nlogs.log('seen', level='debug')"
    assert '"seen"' in run(code, ONNX_SERVER_LOG_LEVEL="debug").stderr
    assert run(code, ONNX_SERVER_LOG_LEVEL="error").stderr == ""


@pytest.mark.parametrize(
    ("environment", "level"),
    [
        ({}, "info"),
        ({"ONNX_SERVER_LOG_LEVEL": "WARNING"}, "warning"),
        ({"SAGEMAKER_CONTAINER_LOG_LEVEL": "10"}, "debug"),
        ({"SAGEMAKER_CONTAINER_LOG_LEVEL": "20"}, "info"),
        ({"SAGEMAKER_CONTAINER_LOG_LEVEL": "25"}, "warning"),
        ({"SAGEMAKER_CONTAINER_LOG_LEVEL": "50"}, "error"),
        ({"ONNX_SERVER_LOG_LEVEL": "error", "SAGEMAKER_CONTAINER_LOG_LEVEL": "10"}, "error"),
    ],
)
def test_level_of_an_environment(environment: dict[str, str], level: str) -> None:
    assert level_of(environment) == level


@pytest.mark.parametrize("name", ["ONNX_SERVER_LOG_LEVEL", "SAGEMAKER_CONTAINER_LOG_LEVEL"])
def test_a_level_that_is_none_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        level_of({name: "loud"})
