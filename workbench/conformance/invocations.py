"""Chapter 5 of the contract: ``POST /invocations`` (C14–C19)."""

from __future__ import annotations

import pickle
import time
from typing import Any

from workbench.conformance.clause import Findings, Note, NotTestedError, Untested, Wrong, clause
from workbench.conformance.client import Answer, status_of
from workbench.conformance.samples import npy_header
from workbench.conformance.subject import Sample, Subject

ACCEPT_S = 0.25
ANSWER_S = 60.0
BODY_CHARACTERS = 2048
REAL_TIME_BYTES = 25_000_000
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
PICKLE_SLEEPS_S = 3.0
TRACES = ("Traceback (most recent call last)", 'File "/', "\n\tat ", ".java:")


@clause("C14", "TCP is accepted within 250 ms, an invocation answered within 60 s", needs=("url",))
def in_time(subject: Subject) -> Findings:
    """Connect, invoke, and let a client declare a body that it never sends."""
    began = time.perf_counter()
    subject.client.connect().close()
    if (took := time.perf_counter() - began) > ACCEPT_S:
        yield Wrong(f"A TCP connection took {took * 1000:.0f} ms; the limit is 250 ms.")
    yield from _unsent_body(subject)
    if not subject.samples:
        yield Untested("an invocation needs a request body (--sample FILE:CONTENT_TYPE)")
        return
    answer = invoke(subject, subject.samples[0])
    if answer.status != 200:
        yield Wrong(f"The sample was answered {describe(answer)}, not 200.")
    if answer.seconds > ANSWER_S:
        yield Wrong(f"The sample took {answer.seconds:.1f} s; the limit is 60 s.")


@clause(
    "C15", "The custom attributes come back, unknown headers are ignored", needs=("url", "sample")
)
def headers(subject: Subject) -> Findings:
    """Send every header that InvokeEndpoint lets through, and one that it does not."""
    attributes = "trace=" + "a" * 1018
    extra = {
        ATTRIBUTES: attributes,
        "X-Amzn-SageMaker-Inference-Id": "i" * 64,
        "X-Unknown": "ignored",
    }
    plain, answer = invoke(subject, subject.samples[0]), invoke(subject, subject.samples[0], extra)
    if answer.status != plain.status:
        yield Wrong(f"The platform's headers change the answer to {describe(answer)}.")
    found = answer.headers.get(ATTRIBUTES.lower())
    if found is None:
        yield Wrong(f"{ATTRIBUTES} is not in the response: the client gets an empty value.")
    elif found != attributes:
        yield Note(f"{ATTRIBUTES} comes back changed, which is allowed.")


@clause(
    "C16", "What the client did wrong is a 4xx with a short body and no traceback", needs=("url",)
)
def errors(subject: Subject) -> Findings:
    """Make mistakes of all kinds; no answer may be a 5xx, and none may be long or tell code."""
    path, client = subject.invoke_path, subject.client
    mistakes: list[tuple[str, Answer, tuple[int, ...]]] = [
        ("an unknown route", client.get("/verify-no-such-route"), (404,)),
        ("GET on the invocation route", client.get(path), (405,)),
        ("truncated JSON", client.post(path, b'{"instances": [', "application/json"), (400, 415)),
        (
            "bytes that are not UTF-8",
            client.post(path, b"\xff\xfe{", "application/json"),
            (400, 415),
        ),
        ("an empty body", client.post(path, b"", "application/json"), (400, 415)),
        ("deeply nested JSON", client.post(path, b"[" * 50_000, "application/json"), (400, 415)),
        ("JSON of the wrong form", client.post(path, b'"?"', "application/json"), (400, 415, 422)),
    ]
    for what, answer, expected in mistakes:
        yield from judge_error(what, answer, expected)


@clause(
    "C17", "A streamed response is well-formed chunks on the same route", needs=("url", "sample")
)
def streaming(subject: Subject) -> Findings:
    """Streaming is optional; what is chunked must be decodable to its end."""
    sample = subject.samples[0]
    answer = invoke(subject, sample, {"X-Amzn-SageMaker-Accept": "*/*"})
    if answer.status != 200:
        yield Wrong(f"The sample was answered {describe(answer)}, not 200.")
    elif answer.headers.get("transfer-encoding", "").lower() != "chunked":
        raise NotTestedError(
            "this server answers at once with a Content-Length; streaming is optional"
        )
    else:
        yield Note(f"The chunked answer was read to its end ({len(answer.body)} bytes).")


@clause("C18", "25 MB are taken in real time; more than the limit is 413", needs=("url",))
def payload(subject: Subject) -> Findings:
    """A valid JSON body blown up with white space, and a length that no server should take."""
    connection = subject.client.start_request(
        "POST",
        subject.invoke_path,
        {"Content-Type": "application/json", "Content-Length": str(50 * 2**30)},
    )
    with connection:
        status = status_of(connection)
    if status is None:
        yield Untested("the server waits for the body of 50 GB before it refuses it")
    elif status != 413:
        yield Wrong(f"A declared body of 50 GB is answered {status}, not 413.")
    sample = subject.sample("application/json")
    if sample is None:
        yield Untested("a body of 25 MB needs a JSON sample")
        return
    padded = sample.body + b" " * (REAL_TIME_BYTES - len(sample.body))
    answer = invoke(subject, Sample(sample.content_type, padded))
    if answer.status != 200:
        yield Wrong(f"A JSON body of 25 MB (the sample and spaces) is answered {describe(answer)}.")


@clause("C19", "Content-Type and Accept are honoured: 415, 406, no pickle", needs=("url", "sample"))
def formats(subject: Subject) -> Findings:
    """Every sample is answered; what nobody knows is refused; a posted pickle runs no code."""
    for sample in subject.samples:
        answer = invoke(subject, sample)
        if answer.status != 200:
            yield Wrong(f"The {sample.content_type} sample is answered {describe(answer)}.")
    yield from _accept(subject, subject.samples[0])
    body = subject.samples[0].body
    answer = subject.client.post(subject.invoke_path, body, "application/x-verify-unknown")
    yield from judge_error("an unknown Content-Type", answer, (415,))
    yield from _pickle(subject)
    if subject.launcher is not None and subject.mode != "multi":
        yield from _default_accept(subject)


def invoke(subject: Subject, sample: Sample, extra: dict[str, str] | None = None) -> Answer:
    """Post a sample to the route that answers it."""
    return subject.client.post(subject.invoke_path, sample.body, sample.content_type, extra)


def describe(answer: Answer) -> str:
    """Status and the beginning of the body, for a sentence."""
    text = " ".join(answer.text.split())
    return f"{answer.status} ({text[:120]})" if text else str(answer.status)


def judge_error(what: str, answer: Answer, expected: tuple[int, ...]) -> Findings:
    """One of the expected statuses; a body that is short and shows no code."""
    if answer.status not in expected:
        wanted = " or ".join(map(str, expected))
        yield Wrong(f"{what[0].upper()}{what[1:]} is answered {answer.status}, not {wanted}.")
    if len(answer.text) > BODY_CHARACTERS:
        yield Wrong(f"The error for {what} has {len(answer.text)} characters; 2048 arrive.")
    if any(trace in answer.text for trace in TRACES):
        yield Wrong(f"The error for {what} shows a traceback.")
    if answer.content_type == "application/json" and answer.json() is None:
        yield Wrong(f"The error for {what} says that it is JSON, but is not.")


def _unsent_body(subject: Subject) -> Findings:
    """A client that declares 100 bytes and sends none must not keep others waiting."""
    head = {"Content-Type": "application/json", "Content-Length": "100"}
    with subject.client.start_request("POST", subject.invoke_path, head):
        answer = subject.client.request("GET", "/ping", timeout_s=10.0)
    if answer.status != 200 or answer.seconds > 2.0:
        yield Wrong(
            "While a client holds back its body, /ping is answered "
            f"{answer.status} after {answer.seconds:.1f} s."
        )


def _accept(subject: Subject, sample: Sample) -> Findings:
    for accept in ("*/*", "application/json, */*;q=0.1"):
        answer = invoke(subject, sample, {"Accept": accept})
        if answer.status != 200:
            yield Wrong(f"With Accept: {accept} the sample is answered {describe(answer)}.")
    answer = invoke(subject, sample, {"Accept": "application/json"})
    if answer.status == 200 and answer.json() is None:
        yield Wrong("With Accept: application/json the answer is no JSON.")
    answer = invoke(subject, sample, {"Accept": "application/x-verify-unknown"})
    yield from judge_error("an unknown Accept", answer, (406,))


class _Sleeper:
    """Unpickled, it sleeps: harmless, and seen from afar."""

    def __reduce__(self) -> tuple[Any, tuple[float]]:
        return time.sleep, (PICKLE_SLEEPS_S,)


def _pickle(subject: Subject) -> Findings:
    head = npy_header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }")
    bare = pickle.dumps(_Sleeper(), protocol=2)
    for kind, body in (("application/x-npy", head + bare), ("application/x-pickle", bare)):
        answer = subject.client.post(subject.invoke_path, body, kind)
        yield from judge_error(f"a pickle as {kind}", answer, (400, 415, 422))
        if answer.seconds >= PICKLE_SLEEPS_S:
            yield Wrong(f"A pickle as {kind} was run: a posted body can run code.")


def _default_accept(subject: Subject) -> Findings:
    """SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT is a convention: noted, not demanded."""
    assert subject.launcher is not None
    variables = {"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/csv"}
    running = subject.launcher.start(variables)
    try:
        answer = invoke(Subject(running.url), subject.samples[0])
    finally:
        running.kill()
    if answer.status != 200 or answer.content_type != "text/csv":
        yield Note(
            "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT=text/csv gives "
            f"{answer.content_type or answer.status}: a convention of AWS's own toolkit."
        )
