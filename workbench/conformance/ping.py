"""Chapter 4 of the contract: ``GET /ping`` (C11–C13)."""

from __future__ import annotations

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from workbench.conformance.clause import Findings, Note, Untested, Wrong, clause
from workbench.conformance.client import Answer
from workbench.conformance.subject import Subject

LIMIT_S = 2.0
"""The platform waits this long for one answer of /ping."""
BUSY_S = 2.0
CONNECTIONS = 32


@clause("C11", "GET /ping answers 200 with an empty body within 2 s", needs=("url",))
def ping_answers(subject: Subject) -> Findings:
    """Ask a few times, as the platform does."""
    for _ in range(3):
        answer = subject.client.get("/ping")
        yield from _judge_ping(answer, "GET /ping")
        if answer.body:
            yield Wrong(f"GET /ping has a body of {len(answer.body)} bytes; it must be empty.")
        if answer.status != 200 or answer.body:
            return


@clause("C12", "/ping answers within 2 s while inference is busy", needs=("url",))
def ping_while_busy(subject: Subject) -> Findings:
    """Keep 32 connections invoking for two seconds and ping meanwhile.

    A multi-model server must answer with no model loaded and after a load that failed, too.
    """
    if subject.empty_ping not in (None, 200):
        yield Wrong(f"With no model loaded GET /ping answered {subject.empty_ping}, not 200.")
    if subject.mode == "multi":
        client = subject.client
        client.post_json("/models", {"model_name": "verify-absent", "url": "/opt/ml/models/none"})
        yield from _judge_ping(client.get("/ping"), "After a load that failed, GET /ping")
    if not subject.samples:
        yield Untested("busy inference needs a request body (--sample FILE:CONTENT_TYPE)")
        return
    slowest, count, bad = _ping_under_load(subject)
    if bad is not None:
        yield from _judge_ping(bad, "While inference was busy, GET /ping")
    else:
        yield Note(f"{count} pings under load, the slowest {slowest * 1000:.0f} ms.")


@clause("C13", "/ping accepts POST as well as GET", needs=("url",))
def ping_accepts_post(subject: Subject) -> Findings:
    """POST an empty body."""
    yield from _judge_ping(subject.client.request("POST", "/ping", b""), "POST /ping")


def _judge_ping(answer: Answer, what: str) -> Findings:
    if answer.status != 200:
        yield Wrong(f"{what} answered {answer.status}, not 200.")
    if answer.seconds > LIMIT_S:
        yield Wrong(f"{what} took {answer.seconds:.1f} s; the limit is {LIMIT_S:.0f} s.")


def _ping_under_load(subject: Subject) -> tuple[float, int, Answer | None]:
    """The slowest ping in seconds, their number, and the first one that broke the clause."""
    stop = threading.Event()
    sample = subject.samples[0]

    def invoke() -> None:
        while not stop.is_set():
            try:
                subject.client.post(subject.invoke_path, sample.body, sample.content_type)
            except (OSError, http.client.HTTPException):
                # Refusing work under overload is allowed; being deaf to /ping is not.
                time.sleep(0.01)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        try:
            for _ in range(CONNECTIONS):
                pool.submit(invoke)
            return _pings(subject, time.monotonic() + BUSY_S)
        finally:
            stop.set()


def _pings(subject: Subject, until: float) -> tuple[float, int, Answer | None]:
    slowest, count = 0.0, 0
    while time.monotonic() < until:
        answer = subject.client.request("GET", "/ping", timeout_s=10.0)
        slowest, count = max(slowest, answer.seconds), count + 1
        if answer.status != 200 or answer.seconds > LIMIT_S:
            return slowest, count, answer
        time.sleep(0.05)
    return slowest, count, None
