"""The server as a process: requests over HTTP, overload, signals, crashes."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import signal
import socket
import time

import numpy as np
import pytest

from tests.server.models import write_heavy, write_linear, write_whole_batch_scaled

ROW = [1.0, 2.0, 3.0, 4.0]


@pytest.fixture
def linear(tmp_path):
    return write_linear(tmp_path / "linear", factor=3.0)


def _invoke(server, rows):
    return server.json("POST", "/invocations", {"instances": rows})


def test_one_model_answers_by_its_weights(serve, linear):
    server = serve("--model", linear)
    assert _invoke(server, [ROW, [0, 0, 0, 1]]) == (
        200,
        {"predictions": [[3.0, 6.0, 9.0, 12.0], [0.0, 0.0, 0.0, 3.0]]},
    )


def test_ping_is_empty_and_answers_get_and_post(serve, linear):
    server = serve("--model", linear)
    for method in ("GET", "POST"):
        status, _, body = server.ask(method, "/ping")
        assert (status, body) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/invocations", 405),
        ("POST", "/metrics", 405),
        ("GET", "/models", 404),  # a single-model server has no such route
        ("GET", "/v2/models/other", 404),
    ],
)
def test_wrong_routes_and_methods(serve, linear, method, path, status):
    code, body = serve("--model", linear).json(method, path)
    assert code == status
    assert body["error"]


def test_custom_attributes_and_inference_id_come_back(serve, linear):
    server = serve("--model", linear)
    names = {"X-Amzn-SageMaker-Custom-Attributes": "a=1", "X-Amzn-SageMaker-Inference-Id": "i7"}
    _, headers, _ = server.ask("POST", "/invocations", b'{"instances": [[1,2,3,4]]}',
                               content_type="application/json", **names)  # fmt: skip
    lower = {k.lower(): v for k, v in headers.items()}
    assert lower["x-amzn-sagemaker-custom-attributes"] == "a=1"
    assert lower["x-amzn-sagemaker-inference-id"] == "i7"


def test_a_body_over_the_limit_is_refused_before_it_is_sent(serve, linear):
    server = serve("--model", linear, max_body_bytes="1000")
    with socket.create_connection(("127.0.0.1", server.port), 5) as raw:
        raw.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000000000\r\n\r\n"
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


def test_a_chunked_body_over_the_limit_is_refused(serve, linear):
    server = serve("--model", linear, max_body_bytes="1000")
    with socket.create_connection(("127.0.0.1", server.port), 5) as raw:
        raw.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + (b"200\r\n" + b" " * 512 + b"\r\n") * 4
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


def test_a_body_that_never_comes_times_out(serve, linear):
    server = serve("--model", linear, body_timeout_s="0.3")
    with socket.create_connection(("127.0.0.1", server.port), 5) as raw:
        raw.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 10\r\n\r\n"
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 408")


def test_a_wrong_token_is_refused_and_ping_is_free(serve, linear):
    server = serve("--model", linear, token="s3cret")
    assert _invoke(server, [ROW])[0] == 401
    status, _ = server.json(
        "POST", "/invocations", {"instances": [ROW]}, Authorization="Bearer s3cret"
    )
    assert status == 200


def test_requests_at_a_time_get_their_own_answers(serve, linear):
    server = serve("--model", linear)

    def ask(i):
        return i, _invoke(server, [[i, 0, 0, 0]])

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for i, (status, body) in pool.map(ask, range(300)):
            assert (status, body) == (200, {"predictions": [[3.0 * i, 0.0, 0.0, 0.0]]})


def test_requests_that_wait_together_run_together(serve, tmp_path):
    server = serve("--model", write_heavy(tmp_path / "heavy"), lanes="1")
    row = np.zeros(1024).tolist()
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        assert {s for s, _ in pool.map(lambda _: _invoke(server, [row]), range(96))} == {200}
    metrics = server.ask("GET", "/metrics")[2].decode()
    count = next(float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines()
                 if line.startswith("onnx_server_batch_rows_count"))  # fmt: skip
    assert count < 96


def test_a_model_whose_rows_depend_on_each_other_is_never_batched(serve, tmp_path):
    server = serve("--model", write_whole_batch_scaled(tmp_path / "scaled"), lanes="1")
    event = next(e for e in server.events() if e["event"] == "model_loaded")
    assert event["batches"] is False
    assert "differs" in event["why_not"]

    def ask(i):
        return _invoke(server, [[i, 1, 1, 1]])[1]["predictions"][0][0]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, range(2, 100))) == {1.0}


def test_a_full_queue_answers_429_with_retry_after_and_ping_still_answers(serve, tmp_path):
    server = serve("--model", write_heavy(tmp_path / "heavy"), lanes="1", max_queue="2",
                   max_batch="1")  # fmt: skip
    body = b'{"instances": [' + str(np.zeros(1024).tolist()).encode() + b"]}"

    def ask(_):
        return server.ask("POST", "/invocations", body, content_type="application/json")

    slowest = 0.0
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        answers = [pool.submit(ask, i) for i in range(100)]
        while not all(a.done() for a in answers):
            start = time.perf_counter()
            assert server.ask("GET", "/ping")[0] == 200
            slowest = max(slowest, time.perf_counter() - start)
    statuses = {a.result()[0] for a in answers}
    assert statuses == {200, 429}
    refused = next(a.result()[1] for a in answers if a.result()[0] == 429)
    assert int({k.lower(): v for k, v in refused.items()}["retry-after"]) >= 1
    assert slowest < 2  # the platform's limit


def test_an_expired_request_is_not_computed(serve, tmp_path):
    server = serve("--model", write_heavy(tmp_path / "heavy"), lanes="1", max_batch="1")
    row = np.zeros(1024).tolist()

    def ask(_):
        return server.json("POST", "/invocations", {"instances": [row]}, X_Request_Timeout_Ms="5")[
            0
        ]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert 504 in set(pool.map(ask, range(64)))


def test_sigterm_finishes_what_runs_and_exits_0(serve, tmp_path):
    server = serve("--model", write_heavy(tmp_path / "heavy", depth=200), lanes="1")
    row = np.zeros(1024).tolist()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(_invoke, server, [row] * 64)
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        assert answer.result()[0] == 200
    assert server.process.wait(25) == 0


def test_a_killed_worker_is_replaced(serve, linear):
    server = serve("--model", linear)
    first = server.worker()
    os.kill(first, signal.SIGKILL)
    server.wait()
    assert server.worker() != first
    assert _invoke(server, [ROW])[0] == 200


def test_a_killed_parent_leaves_no_worker(serve, linear):
    server = serve("--model", linear)
    worker = server.worker()
    server.process.kill()
    server.process.wait()
    end = time.monotonic() + 5
    while os.path.exists(f"/proc/{worker}") and time.monotonic() < end:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{worker}")


def test_a_model_that_does_not_load_ends_the_server_with_the_reason(serve, tmp_path):
    folder = write_linear(tmp_path / "broken")
    (folder / "model.onnx").write_bytes(b"no model")
    server = serve("--model", folder, wait=False)
    assert server.process.wait(20) == 3
    assert "does not load" in server.events()[-1]["error"]


@pytest.mark.parametrize(
    ("name", "value"), [("lanes", "0"), ("port", "x"), ("nothing", "1"), ("timeout_s", "nan")]
)
def test_a_wrong_setting_is_named(serve, linear, name, value):
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "onnx_server", "--model", str(linear)],
        env=os.environ | {f"ONNX_SERVER_{name.upper()}": value},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 2
    assert f"ONNX_SERVER_{name.upper()}" in done.stderr
    assert "Traceback" not in done.stderr


def test_pipelined_garbage_and_half_closed_connections_do_no_harm(serve, linear):
    server = serve("--model", linear)
    for junk in (b"\0" * 1000, b"GET\r\n\r\n", b"POST /invocations HTTP/1.1\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), 5) as raw:
            raw.sendall(junk)
            with contextlib.suppress(OSError):  # the server may have hung up already
                raw.shutdown(socket.SHUT_WR)
    assert _invoke(server, [ROW])[0] == 200


def test_large_bodies_are_answered_as_small_ones(serve, tmp_path):
    server = serve("--model", write_linear(tmp_path / "m", factor=2))
    rows = np.arange(80_000, dtype=np.float32).reshape(-1, 4)
    status, body = server.json("POST", "/invocations", {"instances": rows.tolist()})
    assert status == 200
    assert np.array_equal(body["predictions"], rows * 2)
    tensor = {"name": "x", "datatype": "FP32", "shape": list(rows.shape), "data": rows.tolist()}
    status, body = server.json("POST", "/v2/models/m/infer", {"inputs": [tensor]})
    assert status == 200
    assert np.array_equal(body["outputs"][0]["data"], (rows * 2).reshape(-1))


def test_the_cache_answers_what_was_asked_before_and_nothing_else(serve, linear):
    server = serve("--model", linear, cache_bytes="1000000")
    first = _invoke(server, [ROW])
    assert _invoke(server, [ROW]) == first
    assert _invoke(server, [[0, 0, 0, 1]])[1] == {"predictions": [[0.0, 0.0, 0.0, 3.0]]}
    lines = server.ask("GET", "/metrics")[2].decode().splitlines()
    assert "onnx_server_cache_hits_total 1" in lines


def test_without_the_setting_nothing_is_cached(serve, linear):
    server = serve("--model", linear)
    assert _invoke(server, [ROW]) == _invoke(server, [ROW])
    lines = server.ask("GET", "/metrics")[2].decode().splitlines()
    assert "onnx_server_cache_hits_total 0" in lines
