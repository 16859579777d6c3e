"""Chapter 9 of the contract: the end, the metrics, streaming both ways (C28–C30)."""

from __future__ import annotations

import base64
import http.client
import os
import re
import time
from concurrent.futures import Future, ThreadPoolExecutor

from workbench.conformance.clause import Findings, Note, NotTestedError, Untested, Wrong, clause
from workbench.conformance.client import Answer, Client, status_of
from workbench.conformance.multi_model import invoke_path, load
from workbench.conformance.subject import Running, Subject

KILL_S = 30.0
IN_FLIGHT = 8
SERVED = (200, 503)
METRIC = re.compile(
    r"[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? [-+]?([0-9.]+([eE][-+]?[0-9]+)?|Inf|NaN)( -?[0-9]+)?"
)
STREAM = "/invocations-bidirectional-stream"
STREAM_LABEL = "com.amazonaws.sagemaker.capabilities.bidirectional-streaming"


@clause("C28", "SIGTERM: what is in flight is finished, exit 0 within 30 s", needs=("process",))
def graceful_end(subject: Subject) -> Findings:
    """Start one, keep it busy, end it."""
    assert subject.launcher is not None
    running = subject.launcher.start({})
    try:
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            asked = _ask(subject, running, pool)
            began = time.monotonic()
            running.terminate()
            code = running.wait(KILL_S)
            took = time.monotonic() - began
            if code is None:
                yield Wrong("The process still ran 30 s after SIGTERM: the platform kills it.")
                running.kill()
            elif code != 0:
                yield Wrong(f"After SIGTERM the exit code is {code}, not 0.")
            yield from _judge_in_flight(asked)
    finally:
        running.kill()
    yield Note(f"Ended {took:.1f} s after SIGTERM.")


@clause("C29", "/metrics on the same port is Prometheus text", needs=("url",))
def metrics(subject: Subject) -> Findings:
    """Scraping is the user's choice, so a server without it passes nothing and fails nothing."""
    answer = subject.client.get("/metrics")
    if answer.status in (404, 405):
        raise NotTestedError(
            "/metrics is not offered on this port: detailed observability sees nothing"
        )
    if answer.status != 200:
        yield Wrong(f"GET /metrics is answered {answer.status}.")
        return
    lines = [x for x in answer.text.splitlines() if x.strip() and not x.startswith("#")]
    if not lines:
        yield Wrong("GET /metrics holds no metric.")
    bad = next((line for line in lines if not METRIC.fullmatch(line.strip())), None)
    if bad is not None:
        yield Wrong(f"GET /metrics holds a line that is not Prometheus text: {bad[:80]!r}.")
    if answer.content_type not in ("text/plain", "application/openmetrics-text"):
        yield Wrong(f"GET /metrics has the content type '{answer.content_type}'.")


@clause("C30", "The WebSocket route is there where the image's label says so", needs=("url",))
def bidirectional_stream(subject: Subject) -> Findings:
    """Shake hands on the route; it is optional."""
    labels = subject.image.labels if subject.image else {}
    claimed = labels.get(STREAM_LABEL) == "true"
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    upgrade |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    with subject.client.start_request("GET", STREAM, upgrade) as connection:
        status = status_of(connection)
    if status != 101 and claimed:
        yield Wrong(f"The label promises a WebSocket at {STREAM}; it answers {status}.")
    elif status != 101:
        raise NotTestedError("the route is optional and not offered")
    elif subject.image is not None and not claimed:
        yield Wrong(f"There is a WebSocket, but without the label {STREAM_LABEL} none is routed.")
    else:
        yield Untested("frames; only the handshake was tried")


def _ask(subject: Subject, running: Running, pool: ThreadPoolExecutor) -> list[Future[Answer]]:
    """Requests that are under way when this returns."""
    if not subject.samples:
        return []
    client, path = Client(running.url), "/invocations"
    if subject.mode == "multi":
        if not subject.models or load(client, "verify-end", subject.models[0].url).status != 200:
            return []
        path = invoke_path("verify-end")
    sample = subject.samples[0]
    asked = [
        pool.submit(client.post, path, sample.body, sample.content_type) for _ in range(IN_FLIGHT)
    ]
    time.sleep(0.02)
    return asked


def _judge_in_flight(asked: list[Future[Answer]]) -> Findings:
    if not asked:
        yield Untested("what is in flight, without a request body or a model")
    for future in asked:
        try:
            status = future.result().status
        except ConnectionRefusedError:
            continue  # It came after the socket was closed: never in flight.
        except (OSError, http.client.HTTPException) as error:
            yield Wrong(f"A request in flight was cut off: {error}.")
            return
        if status not in SERVED:
            yield Wrong(f"A request in flight was answered {status}, not 200 or 503.")
            return
