"""The calls themselves: one JSON file each, and a script that makes them by the AWS CLI."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import ClassVar

from workbench.deploy.action import Action
from workbench.deploy.actions import actions
from workbench.deploy.deployment import Deployment
from workbench.deploy.render import Renderer
from workbench.deploy.render._calls import text
from workbench.deploy.validation import UPLOAD

HEAD = """\
#!/usr/bin/env bash
# Makes {name} in {region}, by the AWS CLI.
set -euo pipefail
here=$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)
export AWS_REGION={region} AWS_DEFAULT_REGION={region} AWS_PAGER=
"""
COMPONENT_IN_SERVICE = """\
# The CLI has no waiter for inference components.
component_in_service() {
    local state
    while true; do
        state=$(aws sagemaker describe-inference-component --inference-component-name "$1" \\
            --query InferenceComponentStatus --output text)
        case $state in
            InService) return ;;
            Failed) echo "$1: $state" >&2; return 1 ;;
        esac
        sleep 15
    done
}
"""


class SageMaker(Renderer):
    """The calls as JSON files, and a script that makes them by the AWS CLI."""

    name: ClassVar[str] = "sagemaker"

    def files(self, deployment: Deployment) -> Mapping[str, str]:
        """``01-create_role.json`` and so on, ``apply.sh`` and a README."""
        if deployment.makes_role and not deployment.account:
            raise self.refusal(
                f"the ARN of the role '{deployment.role}', which it makes, has the account in it",
                hint="Give the account's twelve digits, or the ARN of a role that there is.",
            )
        calls = actions(deployment)
        width = max(2, len(str(len(calls))))
        named = {f"{n:0{width}}-{a.operation}.json": a for n, a in enumerate(calls, start=1)}
        return {
            **{name: text(action.parameters) for name, action in named.items()},
            "apply.sh": "\n".join(_script(deployment, named)),
            "README.md": "\n".join(_readme(deployment, named)),
        }


def _script(deployment: Deployment, named: Mapping[str, Action]) -> Iterator[str]:
    yield HEAD.format(name=deployment.name, region=shlex.quote(deployment.region))
    if any(action.kind == "component" for action in named.values()):
        yield COMPONENT_IN_SERVICE
    for name, action in named.items():
        yield from _commands(name, action)
    yield ""


def _commands(name: str, action: Action) -> Iterator[str]:
    """The command of a call, and what is waited for after it."""
    if action.operation == UPLOAD:
        yield shlex.join(["aws", "s3", "cp", action.parameters["Filename"], action.name])
        return
    verb = action.operation.replace("_", "-")
    command = f'aws {action.service} {verb} --cli-input-json "file://$here/{name}"'
    match action.operation:
        case "put_scaling_policy":
            # An alarm that comes later calls the policy by its ARN, which only this answer has.
            policy = _variable(action.parameters["PolicyName"])
            yield f"{policy}=$({command} --query PolicyARN --output text)"
        case "put_metric_alarm":
            policies = (p.strip("{}") for p in action.parameters["AlarmActions"])
            given = " ".join(f'"${_variable(policy)}"' for policy in policies)
            yield f"{command} --alarm-actions {given}"
        case "put_role_policy":
            yield command
            yield f"aws iam wait role-exists --role-name {shlex.quote(action.name)}"
            yield "sleep 15 # until SageMaker may be the new role"
        case "create_endpoint":
            yield command
            yield f"aws sagemaker wait endpoint-in-service --endpoint-name {action.name}"
        case "create_inference_component":
            yield command
            yield f"component_in_service {action.name}"
        case "create_transform_job":
            yield command
            yield (
                "aws sagemaker wait transform-job-completed-or-stopped "
                f"--transform-job-name {action.name}"
            )
        case _:
            yield command


def _variable(policy: str) -> str:
    return policy.replace("-", "_")


def _readme(deployment: Deployment, named: Mapping[str, Action]) -> Iterator[str]:
    yield f"# {deployment.name}\n"
    yield (
        f"These calls make it in {deployment.region}, in this order. Each file holds the "
        "parameters, as boto3 and the AWS CLI take them.\n"
    )
    yield "| file | call | what it makes or changes |"
    yield "| --- | --- | --- |"
    for name, action in named.items():
        yield f"| {name} | {action.service} {action.operation} | {action.kind} `{action.name}` |"
    yield ""
    yield "`bash apply.sh` makes them with the AWS CLI 2 and your credentials."
    if not all(model.archive.is_absolute() for s in deployment.shares for model in s.models):
        yield "Start it where the archives' paths hold."
    yield ""
