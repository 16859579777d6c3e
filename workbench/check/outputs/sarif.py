"""SARIF 2.1.0 for code scanning: a rule a gate, a result for each variant that fails the check.

OASIS, Static Analysis Results Interchange Format 2.1.0, sections 3.13 (log), 3.14 (run), 3.27
(result), 3.49 (rule). What does not fail the check is no result: code scanning shows every result
as an alert, whatever its kind. The place is the line of the gate in the recipe or the gates file.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import PurePath
from typing import Any

from workbench.check.outputs._places import in_repository
from workbench.check.records import CheckResult, CheckVerdict
from workbench.gates import parse_gate

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render(result: CheckResult) -> str:
    """The log, as JSON."""
    rules = {_rule_id(verdict): verdict for verdict in result.verdicts}
    ids = list(rules)
    return json.dumps(
        {
            "$schema": SCHEMA,
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {
                        "driver": {
                            "name": "workbench check",
                            "semanticVersion": version("workbench"),
                            "rules": [_rule(key, verdict) for key, verdict in rules.items()],
                        }
                    },
                    "automationDetails": {"id": f"workbench-check/{result.run.name}/"},
                    "columnKind": "unicodeCodePoints",
                    "results": [
                        _result(result, verdict, ids.index(_rule_id(verdict)))
                        for verdict in result.verdicts
                        if result.failed(verdict)
                    ],
                }
            ],
        },
        indent=1,
        ensure_ascii=False,
    )


def _rule_id(verdict: CheckVerdict) -> str:
    """The same for the same gate in each run, so that findings are recognised."""
    gate = verdict.gate
    return f"{parse_gate(gate).name}/{hashlib.sha256(gate.encode()).hexdigest()[:8]}"


def _rule(key: str, verdict: CheckVerdict) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "id": key,
        "name": verdict.name,
        "shortDescription": {"text": verdict.gate},
        "defaultConfiguration": {"level": "error"},
    }
    if verdict.note:
        rule["fullDescription"] = {"text": verdict.note}
    return rule


def _result(result: CheckResult, verdict: CheckVerdict, index: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ruleId": _rule_id(verdict),
        "ruleIndex": index,
        "kind": "fail",
        "level": "error",
        "message": {"text": f"{verdict.variant}: {verdict.outcome}: {verdict.reason}"},
        "partialFingerprints": {
            "gate/v1": hashlib.sha256(
                f"{result.run.name}\n{verdict.variant}\n{verdict.gate}".encode()
            ).hexdigest()
        },
    }
    place = {"artifactLocation": {"uri": _uri(in_repository(verdict.file or result.run.path))}}
    region = {"region": {"startLine": verdict.line or 1}}
    found["locations"] = [{"physicalLocation": {**place, **region}}]
    return found


def _uri(file: str) -> str:
    """A relative reference where it can be one: code scanning asks for paths in the repository."""
    from urllib.parse import quote

    path = PurePath(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
