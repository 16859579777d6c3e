"""Chapter 6 of the contract: batch transform (C20, C21)."""

from __future__ import annotations

import json
import math
from typing import Any

from workbench.conformance.clause import Findings, Note, NotTestedError, Untested, Wrong, clause
from workbench.conformance.invocations import describe, invoke
from workbench.conformance.subject import Sample, Subject

RECORDS = 7
LINES = ("application/jsonlines", "application/x-jsonlines", "application/jsonl")
CLOSE = 1e-4


@clause(
    "C20", "GET /execution-parameters, where it is offered, holds usable values", needs=("url",)
)
def execution_parameters(subject: Subject) -> Findings:
    """The route is optional: the platform then takes 1, MULTI_RECORD and 6 MB."""
    answer = subject.client.get("/execution-parameters")
    if answer.status in (404, 405):
        raise NotTestedError(
            "the route is optional and not offered: 1, MULTI_RECORD and 6 MB apply"
        )
    raw = answer.json()
    if answer.status != 200 or not isinstance(raw, dict):
        yield Wrong(f"GET /execution-parameters is answered {describe(answer)}.")
        return
    concurrent, megabytes = raw.get("MaxConcurrentTransforms", 1), raw.get("MaxPayloadInMB", 6)
    if not (isinstance(concurrent, int) and concurrent >= 1):
        yield Wrong(f"MaxConcurrentTransforms is {concurrent!r}; it must be 1 or more.")
    elif not (isinstance(megabytes, int) and 0 <= megabytes <= 100):
        yield Wrong(f"MaxPayloadInMB is {megabytes!r}; it must be 0 to 100.")
    elif concurrent * megabytes > 100:
        yield Wrong(
            f"MaxConcurrentTransforms × MaxPayloadInMB is {concurrent * megabytes}; at most 100."
        )
    if raw.get("BatchStrategy", "MULTI_RECORD") not in ("MULTI_RECORD", "SINGLE_RECORD"):
        yield Wrong(f"BatchStrategy is {raw['BatchStrategy']!r}: MULTI_RECORD or SINGLE_RECORD.")


@clause("C21", "Exactly one output record per input record, in order", needs=("url", "sample"))
def records_in_order(subject: Subject) -> Findings:
    """Send several different records as lines, and each of them alone; the lines must be equal."""
    sample = subject.sample(*LINES) or subject.sample("text/csv")
    if sample is None:
        raise NotTestedError("needs a sample of application/jsonlines or text/csv")
    lines = _different(sample)
    if len(set(lines)) == 1:
        yield Untested("the order, as the sample's records cannot be varied")
    together = _post(subject, sample, lines)
    if together is None:
        yield Wrong(f"{len(lines)} records of {sample.content_type} are not answered 200.")
        return
    if len(together) != len(lines):
        yield Wrong(f"{len(lines)} records in, {len(together)} records out.")
        return
    for index, line in enumerate(lines):
        alone = _post(subject, sample, [line])
        if alone is None or len(alone) != 1:
            yield Wrong(f"Record {index} alone does not give one record.")
        elif not _same(alone[0], together[index]):
            yield Wrong(f"Record {index} has another answer among {len(lines)} than alone.")
    yield from _bad_record(subject, sample, lines[0])


def _different(sample: Sample) -> list[bytes]:
    """Some records made of the sample's, each different where its values can be scaled."""
    found = [line for line in sample.body.splitlines() if line.strip()]
    made = []
    for index in range(RECORDS):
        line = found[index % len(found)]
        scale = 1 + index // len(found)
        made.append(_vary(line, scale, csv=sample.content_type.startswith("text/csv")))
    return made


def _vary(line: bytes, scale: int, *, csv: bool) -> bytes:
    if csv:
        try:
            return b",".join(_scaled_cell(cell, scale) for cell in line.split(b","))
        except ValueError:
            return line
    return json.dumps(_scaled(json.loads(line), scale)).encode()


def _scaled_cell(cell: bytes, scale: int) -> bytes:
    return str(float(cell) * scale).encode() if b"." in cell else str(int(cell)).encode()


def _scaled(value: Any, scale: int) -> Any:
    """Floats multiplied, texts repeated; integers, which may be ids, stay as they are."""
    if isinstance(value, float):
        return value * scale
    if isinstance(value, str):
        return " ".join([value] * scale)
    if isinstance(value, list):
        return [_scaled(item, scale) for item in value]
    if isinstance(value, dict):
        return {key: _scaled(item, scale) for key, item in value.items()}
    return value


def _post(subject: Subject, sample: Sample, lines: list[bytes]) -> list[str] | None:
    body = b"".join(line + b"\n" for line in lines)
    accept = {"Accept": sample.content_type}
    answer = invoke(subject, Sample(sample.content_type, body), accept)
    if answer.status != 200:
        return None
    return [line for line in answer.text.splitlines() if line.strip()]


def _same(one: str, other: str) -> bool:
    """Equal up to what the order of additions in another batch does to floats."""
    if one == other:
        return True
    try:
        a, b = _numbers(one), _numbers(other)
    except ValueError:
        return False
    return len(a) == len(b) and all(
        math.isclose(x, y, rel_tol=CLOSE, abs_tol=CLOSE) for x, y in zip(a, b, strict=True)
    )


def _numbers(line: str) -> list[float]:
    """All numbers of a JSON record or a CSV line; ValueError where there is other text."""
    try:
        return _leaves(json.loads(line))
    except json.JSONDecodeError:
        return [float(cell) for cell in line.split(",")]


def _leaves(value: Any) -> list[float]:
    if isinstance(value, list):
        return [x for item in value for x in _leaves(item)]
    if isinstance(value, dict):
        return [x for key in sorted(value) for x in _leaves(value[key])]
    return [float(value)]


def _bad_record(subject: Subject, sample: Sample, good: bytes) -> Findings:
    """One bad record: a placeholder keeps the count; refusing all of them is allowed."""
    answer = _post(subject, sample, [good, b"{" * 3, good])
    if answer is None:
        yield Note("One bad record makes the server refuse the whole request.")
    elif len(answer) != 3:
        yield Wrong(f"Of 3 records of which one is bad, {len(answer)} records come back.")
