"""JUnit XML, as Jenkins, GitLab and Maven's surefire read it: a test case a gate and variant.

A gate that fails is a ``failure``; one that is undecided or not judged is ``skipped``, or under
``--strict`` a ``failure`` too.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as Xml

from workbench.check.records import CheckResult, CheckVerdict
from workbench.records import Outcome

_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write."""


def render(result: CheckResult) -> str:
    """One suite."""
    failures = sum(result.failed(verdict) for verdict in result.verdicts)
    skipped = sum(
        verdict.outcome is not Outcome.PASS and not result.failed(verdict)
        for verdict in result.verdicts
    )
    totals = {"tests": str(len(result.verdicts)), "failures": str(failures), "errors": "0"}
    time = f"{result.seconds_measured:.3f}"
    root = Xml.Element("testsuites", {"name": "workbench check", **totals, "time": time})
    suite = Xml.SubElement(
        root,
        "testsuite",
        {
            "name": _text(f"workbench check {result.run.name}"),
            **totals,
            "skipped": str(skipped),
            "time": time,
            "timestamp": result.created.removesuffix("+00:00"),
        },
    )
    properties = Xml.SubElement(suite, "properties")
    for name, value in _facts(result).items():
        Xml.SubElement(properties, "property", {"name": name, "value": _text(value)})
    for verdict in result.verdicts:
        _case(suite, result, verdict)
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, "unicode") + "\n"


def _facts(result: CheckResult) -> dict[str, str]:
    facts = {"run": result.run.path, "created": result.run.created, "model": result.run.model}
    facts |= {"cpu": result.machine.cpu, "load": str(result.machine.load_average)}
    if result.previous:
        facts |= {"previous": result.previous.path, "previous created": result.previous.created}
    return facts


def _case(suite: Xml.Element, result: CheckResult, verdict: CheckVerdict) -> None:
    case = Xml.SubElement(
        suite,
        "testcase",
        {
            "classname": _text(f"{result.run.name}.{verdict.variant}"),
            "name": _text(verdict.name),
            "time": "0",
        },
    )
    if result.failed(verdict):
        kind = {"message": _text(verdict.reason), "type": verdict.outcome.value}
        Xml.SubElement(case, "failure", kind).text = _text(_details(verdict))
    elif verdict.outcome is not Outcome.PASS:
        told = {"message": _text(f"{verdict.outcome}: {verdict.reason}")}
        Xml.SubElement(case, "skipped", told)
    if not result.failed(verdict):
        Xml.SubElement(case, "system-out").text = _text(_details(verdict))


def _details(verdict: CheckVerdict) -> str:
    lines = [f"gate: {verdict.gate}", f"{verdict.outcome}: {verdict.reason}", f"by: {verdict.how}"]
    if verdict.note:
        lines.append(f"why it is there: {verdict.note}")
    if verdict.samples_needed:
        lines.append(f"about {verdict.samples_needed} more {verdict.samples} would decide it")
    lines += [f"  {cell.outcome}: {cell.reason}" for cell in verdict.cells]
    return "\n".join(lines)


def _text(text: str) -> str:
    return _UNPRINTABLE.sub("�", text)
