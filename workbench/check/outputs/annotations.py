"""GitHub's workflow commands: a mark at the line of each gate that did not pass.

``::error file=…,line=…,title=…::message``, escaped as the runner reads it: ``%``, carriage return
and line feed in the message, ``:`` and ``,`` too in a property (actions/toolkit,
``packages/core/src/command.ts``).
"""

from __future__ import annotations

from workbench.check.outputs._places import in_repository
from workbench.check.records import CheckResult, CheckVerdict
from workbench.records import Outcome

LIMIT = 10
"""GitHub shows no more errors, warnings and notices of one step than so many each."""


def render(result: CheckResult) -> str:
    """One line for each gate and variant that did not pass; errors first."""
    marked = [
        (_severity(result, verdict), verdict)
        for verdict in result.verdicts
        if verdict.outcome is not Outcome.PASS
    ]
    lines = []
    for severity in ("error", "warning", "notice"):
        these = [verdict for given, verdict in marked if given == severity]
        shown = these if len(these) <= LIMIT else these[: LIMIT - 1]
        lines += [_command(severity, result, verdict) for verdict in shown]
        if left := len(these) - len(shown):
            lines.append(f"::{severity}::{left} more gates in {_data(result.run.name)}")
    return "".join(f"{line}\n" for line in lines)


def _severity(result: CheckResult, verdict: CheckVerdict) -> str:
    if result.failed(verdict):
        return "error"
    return "warning" if verdict.outcome is Outcome.UNDECIDED else "notice"


def _command(severity: str, result: CheckResult, verdict: CheckVerdict) -> str:
    properties = {
        "file": None if verdict.file is None else in_repository(verdict.file),
        "line": verdict.line,
        "title": f"{verdict.outcome}: {verdict.variant} of {result.run.name}",
    }
    given = ",".join(f"{k}={_property(v)}" for k, v in properties.items() if v is not None)
    why = f" ({verdict.note})" if verdict.note else ""
    return f"::{severity} {given}::{_data(f'{verdict.name}: {verdict.reason}{why}')}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: object) -> str:
    return _data(str(value)).replace(":", "%3A").replace(",", "%2C")
