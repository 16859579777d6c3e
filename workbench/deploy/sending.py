"""Sends one call to AWS, and says what AWS refuses in one sentence."""

from __future__ import annotations

import time
from typing import Any

from workbench.deploy.action import Action
from workbench.deploy.resources import Clients
from workbench.errors import InputError, StepError, WorkbenchError

SHOWN = 500
"""Characters of what AWS says; it may list all instance types there are."""
RETRY_S = 60.0
"""A role that was just made is unknown to SageMaker for some seconds (IAM is eventually
consistent); so long is tried again."""
YOUNG = ("assume the role", "is invalid or cannot be assumed")


def send(action: Action, clients: Clients) -> dict[str, Any]:
    """What AWS answers.

    Raises:
        InputError: AWS refuses the call.
        StepError: AWS cannot be reached, or a file cannot be read.
    """
    until = time.monotonic() + RETRY_S
    while True:
        try:
            return clients.send(action.service, action.operation, action.parameters)
        except Exception as error:  # botocore makes its exception classes at run time
            if any(text in str(error) for text in YOUNG) and time.monotonic() < until:
                time.sleep(2.0)
                continue
            raise refused(f"{action.operation} {action.name}", error) from error


def refused(what: str, error: Exception) -> Exception:
    """What AWS says, in one sentence; what is no answer of AWS stays as it is."""
    # boto3's transfer of files hides the answer in an error of its own.
    told = error if hasattr(error, "response") else error.__context__
    answer = getattr(told, "response", {}).get("Error", {})
    if answer:
        code, message = answer.get("Code", ""), " ".join(str(answer.get("Message", "")).split())
        message = message.rstrip(".")[:SHOWN]
        denied = "AccessDenied" in code or "NotAuthorized" in code or code == "403"
        hint = "These credentials lack that permission." if denied else None
        if "LimitExceeded" in code or "quota" in message.lower():
            hint = "Ask for more in Service Quotas, or choose another instance type."
        return InputError(f"AWS refuses {what}: {code}: {message}.", hint=hint)
    if isinstance(error, WorkbenchError | OSError) or "boto" in type(error).__module__:
        return StepError(f"{what} failed: {error}")
    return error
