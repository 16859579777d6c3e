"""What the emulator answers over HTTP, and that it always answers."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest

from tests.serving.endpoints import make_endpoint
from tests.serving.stub import StubContainer
from workbench.serving.answers import ApiError
from workbench.serving.bodies import read_body
from workbench.serving.front import Front

HEAD = b"POST /endpoints/e/invocations HTTP/1.1\r\nX-Amzn-SageMaker-Target-Model: plus-0.tar.gz\r\n"


@pytest.fixture
def stub() -> StubContainer:
    return StubContainer(budget=1)


@pytest.fixture
def front(stub: StubContainer, archives: Path, tmp_path: Path) -> Iterator[Front]:
    endpoint = make_endpoint(stub, archives, tmp_path, cached=False, say=lambda _: None)
    with Front(("127.0.0.1", 0), endpoint) as front:
        threading.Thread(target=front.serve_forever, daemon=True).start()
        yield front
        front.shutdown()


def send(front: Front, *requests: bytes) -> list[tuple[int, dict[str, object]]]:
    """Status and JSON body of each answer on one connection, until the front closes it."""
    answers = []
    with socket.create_connection(front.server_address[:2], timeout=5) as connection:
        reader = connection.makefile("rb")
        connection.sendall(b"".join(requests))
        while line := reader.readline():
            status, length = int(line.split()[1]), 0
            while (header := reader.readline().strip()) != b"":
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            answers.append((status, json.loads(reader.read(length))))
            if len(answers) == len(requests):
                break
    return answers


def test_bodies_in_chunks_are_taken_and_the_connection_goes_on(front: Front) -> None:
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    first = chunked + b"1\r\nx\r\n3;name=value\r\nyzx\r\n0\r\nTrailer: 1\r\n\r\n"
    second = HEAD + b"Content-Length: 1\r\n\r\n1"
    answers = send(front, first, second)
    assert [status for status, _ in answers] == [200, 200]


def test_an_unload_that_fails_after_a_call_leaves_the_client_its_answer(
    front: Front, stub: StubContainer
) -> None:
    stub.unload_status = 0
    ((status, body),) = send(front, HEAD + b"Content-Length: 1\r\n\r\n1")
    assert status == 200
    assert "model" in body


def test_a_fault_of_the_emulator_is_an_internal_failure(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front.endpoint, "_answer", lambda call: 1 / 0)
    ((status, body),) = send(front, HEAD + b"Content-Length: 1\r\n\r\n1")
    assert (status, list(body)) == (500, ["Message"])


@pytest.mark.parametrize("framing", [b"Content-Length: 3000000", b"Transfer-Encoding: chunked"])
def test_a_client_reads_why_its_large_body_is_refused(front: Front, framing: bytes) -> None:
    body = b"x" * 3_000_000
    if b"chunked" in framing:
        body = b"2dc6c0\r\n" + body + b"\r\n0\r\n\r\n"
    ((status, answer),) = send(front, HEAD + framing + b"\r\n\r\n" + body)
    assert (status, answer["Message"]) == (413, "The body is larger than 100 bytes.")


def test_another_endpoint_is_not_found(front: Front) -> None:
    request = HEAD.replace(b"/e/", b"/f/") + b"Content-Length: 1\r\n\r\n1"
    ((status, answer),) = send(front, request)
    assert (status, answer["Message"]) == (400, "Endpoint f not found.")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Transfer-Encoding": "gzip, chunked"}, b"0\r\n\r\n"),
        ({"Transfer-Encoding": "chunked", "Content-Length": "1"}, b"0\r\n\r\n"),
        ({"Transfer-Encoding": "chunked"}, b""),
        ({"Transfer-Encoding": "chunked"}, b"0x1\r\nx\r\n0\r\n\r\n"),
        ({"Transfer-Encoding": "chunked"}, b"-1\r\n\r\n"),
        ({"Transfer-Encoding": "chunked"}, b"1\r\nxx\r\n0\r\n\r\n"),
        ({"Transfer-Encoding": "chunked"}, b"5\r\nxx"),
        ({"Transfer-Encoding": "chunked"}, b"1\r\nx\r\n0\r\n"),
        ({"Transfer-Encoding": "chunked"}, b"1" * 10_000),
        ({"Transfer-Encoding": "chunked"}, b"0\r\n" + b"a: b\r\n" * 200 + b"\r\n"),
        ({"Content-Length": "+1"}, b"x"),
        ({"Content-Length": "2"}, b"x"),
    ],
)
def test_a_malformed_body_is_refused(headers: dict[str, str], body: bytes) -> None:
    message = Message()
    for name, value in headers.items():
        message[name] = value
    with pytest.raises(ApiError) as caught:
        read_body(io.BytesIO(body), message, 100)
    assert caught.value.status == 400
