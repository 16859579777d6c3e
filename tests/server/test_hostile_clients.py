"""Clients that are slow, rude or wrong harm nobody else.

While each of them is at it and the model is busy, ``/ping`` on a new connection answers in less
than 200 ms: the issue states that bound. The best of three tries counts, as the machine that runs
the tests has other work too. Afterwards the same worker gives a right answer, and has closed what
it opened for them.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

from tests.server.conftest import Running, running
from tests.server.models import write_heavy, write_linear

PING_S = 0.2
LIMIT = 4_000_000
GOOD = json.dumps({"instances": [[1, 2, 3, 4]]}).encode()
ANSWER = {"predictions": [[3.0, 6.0, 9.0, 12.0]]}
HEAVY = json.dumps({"instances": np.zeros((2, 1024), int).tolist()}).encode()


def head(path: str, *lines: str, length: int | None = None) -> bytes:
    """The start of a POST of JSON."""
    lines = (f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *lines)
    if length is not None:
        lines = (*lines, f"Content-Length: {length}")
    return "\r\n".join((*lines, "", "")).encode()


ASK, ASK_HEAVY = "/models/linear/invoke", "/models/heavy/invoke"
REQUEST = head(ASK, length=len(GOOD)) + GOOD
SLOW = head(ASK_HEAVY, length=len(HEAVY)) + HEAVY


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    write_linear(folder / "models" / "linear", factor=3.0)
    write_heavy(folder / "models" / "heavy")
    arguments = ("--multi-model", "--models-dir", str(folder / "models"))
    limits = {"max_body_bytes": str(LIMIT), "body_timeout_s": "1", "lanes": "1"}
    with running(folder, *arguments, **limits) as server:
        for name in ("linear", "heavy"):
            assert server.json("POST", "/models", {"model_name": name, "url": name})[0] == 200
        yield server


@pytest.fixture(autouse=True)
def unharmed(server):
    """The test leaves the server as it was."""
    worker, before = server.worker(), open_files(server)
    yield
    assert server.worker() == worker
    status, _, body = server.ask("POST", ASK, GOOD, content_type="application/json")
    assert (status, json.loads(body)) == (200, ANSWER)
    end = time.monotonic() + 10
    while open_files(server) > before + 3 and time.monotonic() < end:
        time.sleep(0.05)
    assert open_files(server) <= before + 3
    assert "fault" not in {event["event"] for event in server.events()}


@pytest.fixture
def busy(server):
    """The model works all the time, as nice clients ask it to."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            assert server.ask("POST", ASK_HEAVY, HEAVY, content_type="application/json")[0] == 200

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        yield
        stop.set()
        for future in asking:
            future.result()


def open_files(server: Running) -> int:
    return len(os.listdir(f"/proc/{server.worker()}/fd"))


def check_ping(server: Running) -> None:
    took = []
    for _ in range(3):
        start = time.perf_counter()
        assert server.ask("GET", "/ping")[0] == 200
        took.append(time.perf_counter() - start)
    assert min(took) < PING_S, took


@contextmanager
def connected(server: Running, count: int = 1):
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 20))
            for _ in range(count)
        ]


def received(connection: socket.socket, until_closed: bool = False) -> bytes:
    """What comes until one answer is whole, or until the server closes."""
    content = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            content += part
            if not until_closed and whole(content):
                break
    return content


def whole(content: bytes) -> bool:
    start, end, body = content.partition(b"\r\n\r\n")
    lengths = [int(line.partition(b":")[2]) for line in start.lower().split(b"\r\n")
               if line.startswith(b"content-length")]  # fmt: skip
    return bool(end) and len(body) >= sum(lengths)


def statuses(content: bytes) -> list[int]:
    return [int(part[1:4]) for part in content.split(b"HTTP/1.1")[1:]]


def sent(connection: socket.socket, content: bytes) -> None:
    with contextlib.suppress(ConnectionError):  # refused before all was sent
        connection.sendall(content)


def test_headers_that_come_byte_by_byte(server, busy):
    with connected(server, 20) as connections:
        for connection in connections:
            connection.sendall(REQUEST[:10])
        for index in range(10, 16):
            for connection in connections:
                connection.sendall(REQUEST[index : index + 1])
            check_ping(server)
            time.sleep(0.2)
        for connection in connections:
            connection.sendall(REQUEST[16:])
        assert {statuses(received(c))[0] for c in connections} == {200}


def test_a_body_that_stops(server, busy):
    with connected(server, 20) as connections:
        for connection in connections:
            connection.sendall(REQUEST[:-5])
        check_ping(server)
        assert {statuses(received(c))[0] for c in connections} == {408}


def test_a_body_that_trickles(server, busy):
    with connected(server) as [connection]:
        connection.sendall(head(ASK, "Transfer-Encoding: chunked"))
        for _ in range(8):
            sent(connection, b"1\r\n \r\n")
            check_ping(server)
            time.sleep(0.2)
        assert statuses(received(connection)) == [408]


@pytest.mark.xfail(reason="Granian does not let hyper answer a connection that is half closed")
def test_a_half_closed_connection_gets_its_answer(server):
    with connected(server) as [connection]:
        connection.sendall(SLOW)
        connection.shutdown(socket.SHUT_WR)
        assert statuses(received(connection)) == [200]


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"POST",
        REQUEST[:40],
        REQUEST,
        SLOW,
        head(ASK, "Transfer-Encoding: chunked"),
        REQUEST + REQUEST[:30],
    ],
)
def test_half_closed_connections_are_let_go(server, busy, start):
    with connected(server, 20) as connections:
        for connection in connections:
            sent(connection, start)
            with contextlib.suppress(OSError):  # it may be closed already
                connection.shutdown(socket.SHUT_WR)
        check_ping(server)
        for connection in connections:
            received(connection, until_closed=True)


@pytest.mark.parametrize(
    "body",
    [
        head(ASK, length=len(GOOD) + 5) + GOOD,
        head(ASK, "Transfer-Encoding: chunked") + b"%x\r\n%b\r\n" % (len(GOOD), GOOD),
        head(ASK, "Transfer-Encoding: chunked") + b"%x\r\n%b" % (len(GOOD) + 5, GOOD),
        head(ASK, "Transfer-Encoding: chunked") + b"%x\r\n%b\r\nZ\r\n" % (len(GOOD), GOOD),
    ],
)
def test_a_part_of_a_body_is_not_taken_for_the_whole(server, body):
    with connected(server) as [connection]:
        connection.sendall(body)
        connection.shutdown(socket.SHUT_WR)
        answer = received(connection)
        assert statuses(answer) == [400]
        assert b"ends before its end" in answer


def test_a_gigabyte_that_is_only_declared_is_refused_at_once(server, busy):
    with connected(server, 20) as connections:
        for connection in connections:
            connection.sendall(head(ASK, length=1 << 30))
        check_ping(server)
        for connection in connections:
            assert statuses(received(connection)) == [413]


def test_who_waits_to_be_told_to_go_on_is_refused(server):
    with connected(server) as [connection]:
        connection.sendall(head(ASK, "Expect: 100-continue", length=1 << 30))
        assert statuses(received(connection)) == [413]


def test_a_chunked_body_beyond_the_limit(server, busy):
    chunk = b"80000\r\n" + b" " * 0x80000 + b"\r\n"
    with connected(server, 4) as connections:
        for connection in connections:
            sent(connection, head(ASK, "Transfer-Encoding: chunked") + chunk * 20)
        check_ping(server)
        for connection in connections:
            # It may be reset by the time that all is sent, and the answer with it.
            assert set(statuses(received(connection))) <= {413}
    with connected(server) as [connection]:
        connection.sendall(head(ASK, "Transfer-Encoding: chunked") + chunk * 8)
        assert statuses(received(connection)) == [413]


@pytest.mark.parametrize(
    "lines",
    [
        [f"X-{i}: a" for i in range(5_000)],
        ["X-Long: " + "a" * 1_000_000],
        ["X" * 1_000_000 + ": a"],
        ["Cookie: " + "a=b; " * 20_000] * 5,
        ["X-Same: a"] * 5_000,
    ],
    ids=["many", "long value", "long name", "cookies", "same"],
)
def test_a_flood_of_headers(server, busy, lines):
    with connected(server, 5) as connections:
        for connection in connections:
            sent(connection, head(ASK, *lines, length=len(GOOD)) + GOOD)
        check_ping(server)
        for connection in connections:
            assert set(statuses(received(connection))) <= {431}
    with connected(server) as [connection]:
        connection.sendall(head(ASK, *[f"X-{i}: a" for i in range(101)]))
        assert statuses(received(connection)) == [431]


def test_a_thousand_idle_connections(server, busy):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2_500:
        pytest.skip(f"only {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2_500), hard))
    try:
        with connected(server, 1_000) as connections:
            check_ping(server)
            assert open_files(server) >= 1_000
            connections[-1].sendall(REQUEST)
            assert statuses(received(connections[-1])) == [200]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_pipelined_requests_are_answered_in_their_order(server, busy):
    bodies = [json.dumps({"instances": [[i, 0, 0, 0]]}).encode() for i in range(100)]
    with connected(server) as [connection]:
        connection.sendall(b"".join(head(ASK, length=len(body)) + body for body in bodies[:-1]))
        connection.sendall(head(ASK, "Connection: close", length=len(bodies[-1])) + bodies[-1])
        check_ping(server)
        answer = received(connection, until_closed=True)
    assert statuses(answer) == [200] * 100
    values = [json.loads(part.split(b"\r\n\r\n")[1])["predictions"][0][0]
              for part in answer.split(b"HTTP/1.1")[1:]]  # fmt: skip
    assert values == [3.0 * i for i in range(100)]


@pytest.mark.parametrize(
    "junk",
    [
        b"\0" * 1_000,
        b"\r\n" * 10_000,
        b"GET\r\n\r\n",
        b"GET /ping\r\n\r\n",
        b"GET /ping HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 100,
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"a" * 500,
        b"GET /ping HTTP/1.1\r\nHost x\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"GET /ping HTTP/1.1\r\n: x\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes(range(256)) * 2_000,
        "GET /é\x7f\x01 HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        b"GET /ping HTTP/1.1\nHost: x\n\n",
    ],
)
def test_garbage_is_refused_or_hung_up_on(server, busy, junk):
    with connected(server, 5) as connections:
        for connection in connections:
            sent(connection, junk)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
        check_ping(server)
        for connection in connections:
            assert set(statuses(received(connection, until_closed=True))) <= {400, 404, 414, 431}


@pytest.mark.parametrize("first", ["Content-Length: 4", "Transfer-Encoding: chunked"])
def test_two_lengths_smuggle_no_request(server, busy, first):
    """The chunks count, and whatever follows is not read."""
    lines = sorted(("Content-Length: 4", "Transfer-Encoding: chunked"), key=lambda x: x != first)
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD)
    with connected(server) as [connection]:
        connection.sendall(head(ASK, *lines) + chunked + REQUEST)
        answer = received(connection, until_closed=True)
    assert statuses(answer) in ([200], [400])
    check_ping(server)


@pytest.mark.parametrize(
    "value",
    ["-1", "x", "1e3", "+35", "35, 36", "0x23", "3 5", "9" * 30, str(2**64 - 1), "\xb2"],
)
def test_an_invalid_content_length(server, busy, value):
    with connected(server) as [connection]:
        lines = f"POST {ASK} HTTP/1.1\r\nHost: x\r\nContent-Length: {value}\r\n\r\n"
        sent(connection, lines.encode("latin-1") + GOOD)
        assert statuses(received(connection))[0] in (400, 413, 431)
        check_ping(server)


def test_content_lengths_that_differ(server):
    with connected(server) as [connection]:
        connection.sendall(head(ASK, "Content-Length: 5", length=len(GOOD)) + GOOD)
        assert statuses(received(connection)) == [400]


def test_clients_that_leave_while_the_model_works(server, busy):
    with connected(server, 30) as connections:
        for index, connection in enumerate(connections):
            connection.sendall(SLOW)
            if index % 2:  # a reset instead of an end
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    check_ping(server)


def test_clients_that_leave_while_they_send(server, busy):
    with connected(server, 30) as connections:
        for index, connection in enumerate(connections):
            connection.sendall(SLOW[: 100 + 150 * index])
    check_ping(server)


def test_clients_that_never_read_their_answers(server, busy):
    rows = json.dumps({"instances": np.ones((20_000, 4), int).tolist()}).encode()
    with connected(server, 10) as connections:
        for connection in connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.sendall(head(ASK, length=len(rows)) + rows)
        check_ping(server)


def test_every_line_of_the_log_is_json(server):
    assert server.events()
