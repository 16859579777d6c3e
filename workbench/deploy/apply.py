"""Sends a deployment's calls, one after the other, and takes back what it made if one fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.deploy.action import Action
from workbench.deploy.actions import actions, configuration_name
from workbench.deploy.deployment import Deployment, component_name
from workbench.deploy.hosting import BatchTransform, Components
from workbench.deploy.resources import (
    Clients,
    Undo,
    found,
    is_absent,
    is_kept,
    patiently,
    standing,
    undo,
)
from workbench.deploy.scaling import stale
from workbench.deploy.sending import send
from workbench.deploy.validation import check
from workbench.errors import InputError, StepError, WorkbenchError
from workbench.progress import Progress, Work

POLL_S = 5.0
SECONDS = {
    "role": 2.0, "archive": 10.0, "model": 1.0, "configuration": 1.0, "endpoint": 1.0,
    "component": 1.0, "scaling": 1.0, "job": 1.0,
}  # fmt: skip
START_S = 300.0
"""For the progress: endpoints were seen to take 4 to 9 minutes (facts on autoscaling)."""


@dataclass
class Outcome:
    """What was made, what was there already, and whether the endpoint was changed."""

    made: list[Action] = field(default_factory=list)
    kept: list[Action] = field(default_factory=list)
    updated: bool = False


def apply(
    deployment: Deployment,
    clients: Clients,
    progress: Progress | None = None,
    *,
    update: bool = False,
    prove: Callable[[], str] | None = None,
    poll_s: float = POLL_S,
) -> Outcome:
    """Make everything, wait until it serves, and ask it once; twice is once.

    Args:
        deployment: what is to be.
        clients: boto3's.
        progress: who watches.
        update: whether an endpoint that exists may be changed.
        prove: asks the endpoint and compares; what it returns is shown, what it raises fails.
        poll_s: seconds between two looks at an endpoint that starts.

    Raises:
        InputError: a request is wrong, or AWS refuses it for what it says (name, role, quota).
        StepError: the endpoint failed or did not start in time, or its answer is wrong.
        Whatever is raised, what this call made is taken away first, and the old configuration of
        an endpoint that was to be updated is put back.
    """
    progress = progress or Progress()
    before = found(clients("sagemaker").describe_endpoint, {"EndpointName": deployment.name})
    _check_endpoint(deployment, before)
    planned = actions(deployment, update=before is not None)
    check(planned)
    now = before and before["EndpointConfigName"]
    if before is not None and not update and now != configuration_name(deployment):
        raise InputError(
            f"The endpoint {deployment.name} exists with another configuration, {now}.",
            hint="Change it with --update, or choose another --name.",
        )
    job = isinstance(deployment.hosting, BatchTransform)
    works = [Work(_label(action), SECONDS[action.kind]) for action in planned]
    progress.plan([*works, *([] if job else [Work("wait until it serves", START_S)])])
    outcome = Outcome()
    undos: list[Undo] = []
    try:
        _send_all(planned, before, clients, progress, outcome, undos)
        if not job:
            _wait(deployment, clients, progress, poll_s)
            if prove is not None:
                began = time.perf_counter()
                progress.start("ask it")
                detail = prove()
                progress.finish("ask it", time.perf_counter() - began, reused=False, detail=detail)
            for step in list(stale(deployment.name, planned, clients)) if before else ():
                getattr(clients(step.service), step.operation)(**step.parameters)
    except BaseException as error:
        left = _roll_back(undos, clients, deployment, before, poll_s)
        if left and isinstance(error, WorkbenchError):
            error.hint = f"{error.hint or ''} Not taken away: {', '.join(left)}.".strip()
        raise
    return outcome


def _label(action: Action) -> str:
    return f"{action.operation.replace('_', ' ')} {action.name}"


def _check_endpoint(deployment: Deployment, before: Any | None) -> None:
    if before is None:
        return
    status = before["EndpointStatus"]
    if status not in ("InService", "Failed", "UpdateRollbackFailed"):
        raise InputError(
            f"The endpoint {deployment.name} is {status}.", hint="Wait until that has ended."
        )
    if status != "InService":
        raise InputError(
            f"The endpoint {deployment.name} is there, and {status}: "
            f"{before.get('FailureReason', 'AWS gives no reason')}",
            hint=f"Take it away first: workbench deploy --delete {deployment.name}",
        )


def _send_all(
    planned: Sequence[Action],
    before: Any,
    clients: Clients,
    progress: Progress,
    outcome: Outcome,
    undos: list[Undo],
) -> None:
    answers: dict[str, Any] = {}
    for action in planned:
        label, began, detail = _label(action), time.perf_counter(), ""
        progress.start(label)
        if action.operation == "update_endpoint":
            kept = before["EndpointConfigName"] == action.parameters["EndpointConfigName"]
            there, back = None, []
        else:
            there = standing(action, clients)
            kept, back = is_kept(action, there), undo(action, there)
        if kept:
            answers |= _arn(action, there or {})
        else:
            # Noted first: a call that is cut off may have been carried out.
            undos[:0] = back
            answers |= _arn(action, _send(action, clients, answers))
            detail = clients.why_boto3
            outcome.updated |= action.operation == "update_endpoint"
        (outcome.kept if kept else outcome.made).append(action)
        progress.finish(label, time.perf_counter() - began, reused=kept, detail=detail)


def _arn(action: Action, told: dict[str, Any]) -> dict[str, Any]:
    """What an alarm needs to know of a policy."""
    if action.operation != "put_scaling_policy":
        return {}
    return {action.parameters["PolicyName"]: told["PolicyARN"]}


def _send(action: Action, clients: Clients, answers: dict[str, Any]) -> dict[str, Any]:
    parameters = dict(action.parameters)
    if "AlarmActions" in parameters:
        parameters["AlarmActions"] = [
            answers[name.strip("{}")] for name in parameters["AlarmActions"]
        ]
    return send(action.model_copy(update={"parameters": parameters}), clients)


def _wait(deployment: Deployment, clients: Clients, progress: Progress, poll_s: float) -> None:
    """Until the endpoint, and its components, are in service."""
    began = time.monotonic()
    progress.start("wait until it serves")
    client = clients("sagemaker")
    waited: list[tuple[Callable[..., Any], dict[str, str], str]] = [
        (client.describe_endpoint, {"EndpointName": deployment.name}, "EndpointStatus")
    ]
    if isinstance(deployment.hosting, Components):
        waited += [
            (
                client.describe_inference_component,
                {"InferenceComponentName": component_name(deployment, share)},
                "InferenceComponentStatus",
            )
            for share in deployment.shares
        ]
    for call, parameters, field_name in waited:
        (name,) = parameters.values()
        while True:
            told = call(**parameters)
            status = told[field_name]
            if status == "InService":
                break
            if status.endswith("Failed") or status == "UpdateRollbackFailed":
                reason = told.get("FailureReason", "AWS gives no reason")
                raise StepError(f"{name} is {status}: {reason}")
            took = time.monotonic() - began
            if took > deployment.wait_s:
                raise StepError(
                    f"{name} is still {status} after {took:.0f} s.",
                    hint="Give it longer with --wait.",
                )
            progress.advance(min(took, 0.95 * START_S), START_S)
            time.sleep(poll_s)
    took = time.monotonic() - began
    progress.finish("wait until it serves", took, reused=took < poll_s)


def _roll_back(
    undos: Sequence[Undo],
    clients: Clients,
    deployment: Deployment,
    before: Any | None,
    poll_s: float,
) -> list[str]:
    """Take away what was made, the last first; what could not be is returned."""
    left = []
    if before is not None:
        left += _restore(deployment, clients, before, poll_s)
    for step in undos:
        try:
            call = getattr(clients(step.service), step.operation)
            patiently(call, step.parameters, poll_s)
        except Exception as error:
            gone = is_absent(error)
            if not gone:
                left.append(f"{step.operation} {' '.join(map(str, step.parameters.values()))}")
    return left


def _restore(deployment: Deployment, clients: Clients, before: Any, poll_s: float) -> list[str]:
    """Put the configuration back that the endpoint had; only if it was changed."""
    client, name = clients("sagemaker"), deployment.name
    until = time.monotonic() + deployment.wait_s
    while True:
        now = found(client.describe_endpoint, {"EndpointName": name})
        if now is None or now["EndpointConfigName"] == before["EndpointConfigName"]:
            return []
        if not now["EndpointStatus"].endswith("ing") or time.monotonic() > until:
            break
        time.sleep(poll_s)
    try:
        client.update_endpoint(EndpointName=name, EndpointConfigName=before["EndpointConfigName"])
    except Exception as error:
        return [f"the new configuration of {name} ({error})"]
    return []
