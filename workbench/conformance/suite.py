"""Runs the clauses: all of C1 to C30, each with a result."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator

# Importing a chapter declares its clauses.
from workbench.conformance import (  # noqa: F401
    batch,
    files,
    image,
    invocations,
    lifecycle,
    multi_model,
    ping,
    several,
)
from workbench.conformance.clause import Outcome, Result, declared, judge
from workbench.conformance.multi_model import invoke_path, listed, load, unload
from workbench.conformance.samples import samples_from_server
from workbench.conformance.subject import Mode, Subject
from workbench.errors import InputError
from workbench.progress import Progress

OWN = "verify-model"
"""The name under which the suite loads a model of its own into a multi-model server."""


def check(
    subject: Subject, only: Collection[str] = (), progress: Progress | None = None
) -> list[Result]:
    """Check the clauses (all, or those of ``only``) in the order of their numbers.

    Raises:
        InputError: a number in ``only`` that no clause has, or a server that is not there.
    """
    clauses = declared()
    unknown = [number for number in only if number not in clauses]
    if unknown:
        raise InputError(f"There is no clause '{unknown[0]}'.", hint="There are C1 to C30.")
    chosen = [item for number, item in clauses.items() if not only or number in only]
    watcher = progress or Progress()
    results = []
    for prepared in _prepared(subject):
        for item in chosen:
            watcher.start(f"{item.number} {item.title}")
            results.append(judge(item, prepared))
    return results


def failed(results: Collection[Result]) -> bool:
    """Whether a clause failed."""
    return any(result.outcome is Outcome.FAIL for result in results)


def _prepared(subject: Subject) -> Iterator[Subject]:
    """The subject with its mode, a loaded model and samples found; undone afterwards."""
    if subject.url is None:
        yield subject
        return
    try:
        mode: Mode = subject.mode if subject.mode != "unknown" else _mode(subject)
        subject = dataclasses.replace(subject, mode=mode)
        if mode == "single":
            yield _with_samples(subject, "model")
        else:
            yield from _with_model(subject)
    except ConnectionRefusedError:
        raise InputError(f"Nothing listens at {subject.url}.") from None


def _mode(subject: Subject) -> Mode:
    """Multi where /models lists models and /invocations is no route."""
    answer = subject.client.get("/models")
    raw = answer.json()
    if answer.status != 200 or not isinstance(raw, dict) or "models" not in raw:
        return "single"
    return (
        "multi"
        if subject.client.post("/invocations", b"", "text/csv").status
        in (
            404,
            405,
        )
        else "single"
    )


def _with_model(subject: Subject) -> Iterator[Subject]:
    client = subject.client
    if not (found := listed(client)) and subject.models:
        empty = client.get("/ping").status
        subject = dataclasses.replace(subject, empty_ping=empty)
    for model in subject.models:
        if load(client, OWN, model.url).status == 200:
            try:
                ready = dataclasses.replace(subject, invoke_path=invoke_path(OWN))
                yield _with_samples(ready, OWN)
            finally:
                unload(client, OWN)
            return
    if found:
        yield _with_samples(
            dataclasses.replace(subject, invoke_path=invoke_path(found[0])), found[0]
        )
    else:
        path = invoke_path("verify-absent")
        yield dataclasses.replace(subject, invoke_path=path, samples=())


def _with_samples(subject: Subject, model: str) -> Subject:
    if subject.samples:
        return subject
    return dataclasses.replace(subject, samples=samples_from_server(subject.client, model))
