"""What a clause of the hosting contract is, how one is declared, and what comes of checking it.

A clause is a generator function under ``@clause``: it yields ``Wrong`` for each thing that breaks
the clause, ``Untested`` for each part that could not be tried and ``Note`` for what is worth
knowing; nothing wrong means pass. It raises ``NotTestedError`` when nothing of it could be tried.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from workbench.conformance.subject import Subject
from workbench.records import Record

LAST = 30
"""The contract has the clauses C1 to C30."""


@dataclass(frozen=True)
class Wrong:
    """One way in which the clause is broken, as a sentence."""

    sentence: str


@dataclass(frozen=True)
class Untested:
    """A part of the clause that could not be tried, and why."""

    reason: str


@dataclass(frozen=True)
class Note:
    """Something allowed that the user may want to know."""

    sentence: str


Finding = Wrong | Untested | Note
Findings = Iterator[Finding]
Check = Callable[[Subject], Findings]


class NotTestedError(Exception):
    """Nothing of the clause could be tried; the message says why."""


class Outcome(StrEnum):
    """How a clause came out."""

    PASS = "pass"
    FAIL = "fail"
    NOT_TESTED = "not tested"


class Result(Record):
    """One line of the table."""

    clause: str
    title: str
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True)
class Clause:
    """One clause: its number, what it asks for, what checking it needs, and the check."""

    number: str
    title: str
    needs: tuple[str, ...]
    check: Check


_clauses: dict[str, Clause] = {}


def clause(number: str, title: str, *, needs: tuple[str, ...] = ()) -> Callable[[Check], Check]:
    """Declare the check of a clause; ``needs`` are the keys of ``LACKING``."""

    def declare(check: Check) -> Check:
        if number in _clauses:
            raise ValueError(f"the clause {number} is declared twice")
        _clauses[number] = Clause(number, title, needs, check)
        return check

    return declare


def declared() -> dict[str, Clause]:
    """The clauses that the imported modules declare, in the order of their numbers."""
    return dict(sorted(_clauses.items(), key=lambda item: int(item[0][1:])))


LACKING: dict[str, tuple[Callable[[Subject], bool], str]] = {
    "url": (
        lambda s: s.url is not None,
        "needs a running server: give a URL, or an image and --run",
    ),
    "sample": (lambda s: bool(s.samples), "needs a request body: give --sample FILE:CONTENT_TYPE"),
    "image": (lambda s: s.image is not None, "needs an image: give its archive or its name"),
    "archive": (lambda s: s.archive is not None, "needs a model archive: give a model.tar.gz"),
    "process": (
        lambda s: s.launcher is not None,
        "needs a server that can be started and stopped: give an image and --run",
    ),
    "multi": (lambda s: s.mode == "multi", "is about multi-model servers; this one has one model"),
    "models": (lambda s: bool(s.models), "needs models to load: give --models DIR"),
}


def judge(item: Clause, subject: Subject) -> Result:
    """Check one clause. A connection that breaks is a failure, never an exception."""
    for need in item.needs:
        has, reason = LACKING[need]
        if not has(subject):
            return _result(item, Outcome.NOT_TESTED, reason)
    findings: list[Finding] = []
    try:
        findings.extend(item.check(subject))
    except NotTestedError as reason:
        return _result(item, Outcome.NOT_TESTED, str(reason))
    except (OSError, http.client.HTTPException) as error:
        what = str(error) or type(error).__name__
        findings.append(Wrong(f"The connection broke or timed out: {what}."))
    wrong = [f.sentence for f in findings if isinstance(f, Wrong)]
    if wrong:
        return _result(item, Outcome.FAIL, " ".join(wrong))
    rest = [
        f"Not tested: {f.reason}." if isinstance(f, Untested) else f.sentence
        for f in findings
        if not isinstance(f, Wrong)
    ]
    return _result(item, Outcome.PASS, " ".join(rest))


def _result(item: Clause, outcome: Outcome, detail: str) -> Result:
    return Result(clause=item.number, title=item.title, outcome=outcome, detail=detail)
