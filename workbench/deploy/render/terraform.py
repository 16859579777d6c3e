"""Terraform's JSON syntax, for the provider hashicorp/aws: the same calls as resources."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from workbench.deploy.action import Action
from workbench.deploy.actions import actions
from workbench.deploy.deployment import Deployment
from workbench.deploy.render import Renderer
from workbench.deploy.render._calls import References, labelled, replaced, tags, text
from workbench.deploy.role import role_arn
from workbench.deploy.validation import UPLOAD

PROVIDER = {"source": "hashicorp/aws", "version": ">= 6.0, < 7.0"}
FILE = "main.tf.json"
TYPES = {
    "create_role": "aws_iam_role",
    "put_role_policy": "aws_iam_role_policy",
    UPLOAD: "aws_s3_object",
    "create_model": "aws_sagemaker_model",
    "create_endpoint_config": "aws_sagemaker_endpoint_configuration",
    "create_endpoint": "aws_sagemaker_endpoint",
    "register_scalable_target": "aws_appautoscaling_target",
    "put_scaling_policy": "aws_appautoscaling_policy",
    "put_scheduled_action": "aws_appautoscaling_scheduled_action",
    "put_metric_alarm": "aws_cloudwatch_metric_alarm",
}
NAMES = {
    ("create_role", "RoleName"): "name",
    ("create_role", "AssumeRolePolicyDocument"): "assume_role_policy",
    ("put_role_policy", "PolicyName"): "name",
    ("put_role_policy", "PolicyDocument"): "policy",
    ("put_role_policy", "RoleName"): "role",
    (UPLOAD, "Filename"): "source",
    ("create_model", "ModelName"): "name",
    ("create_model", "Containers"): "container",
    ("create_endpoint_config", "EndpointConfigName"): "name",
    ("create_endpoint", "EndpointName"): "name",
    ("put_scaling_policy", "PolicyName"): "name",
    ("put_scaling_policy", "StepAdjustments"): "step_adjustment",
    ("put_scheduled_action", "ScheduledActionName"): "name",
}
"""Arguments that the provider calls otherwise than the API; the rest is the same in snake case."""
TEXTS = {
    ("put_scaling_policy", "MetricIntervalLowerBound"),
    ("put_scheduled_action", "MinCapacity"),
    ("put_scheduled_action", "MaxCapacity"),
}
"""Numbers that the provider takes as texts, to tell zero from nothing."""
WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Terraform(Renderer):
    """Terraform's JSON syntax, for the provider hashicorp/aws."""

    name: ClassVar[str] = "terraform"

    def files(self, deployment: Deployment) -> Mapping[str, str]:
        """``main.tf.json`` and a README."""
        elsewhere = "Render it as 'cloudformation' or 'sagemaker'."
        if deployment.hosting.kind == "batch":
            raise self.refusal(
                "a transform job is no resource: it runs once and ends",
                hint="Render it as 'sagemaker'.",
            )
        if deployment.hosting.kind == "components":
            raise self.refusal(
                "no release of the provider hashicorp/aws has inference components "
                "(its issue 35226, open in 2026-07)",
                hint=elsewhere,
            )
        module = _Module(deployment)
        for label, action in labelled(actions(deployment)):
            module.add(label, action)
        return {FILE: text(module.document()), "README.md": "\n".join(_readme(deployment))}


class _Module:
    """Grows by one call after the other; later ones refer to what earlier ones made."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._references: References = {}
        self._before_models: list[str] = []
        self._resources: dict[str, dict[str, Any]] = {}

    def document(self) -> dict[str, Any]:
        """The configuration."""
        return {
            "terraform": {"required_providers": {"aws": PROVIDER}},
            "provider": {"aws": {"region": escaped(self._deployment.region)}},
            "resource": self._resources,
            "output": {"endpoint_name": {"value": "${aws_sagemaker_endpoint.endpoint.name}"}},
        }

    def add(self, label: str, action: Action) -> None:
        """Add what a call makes."""
        kind = TYPES[action.operation]
        arguments = _block(action.operation, replaced(action.parameters, self._references, escaped))
        if action.operation == "create_model" and self._before_models:
            arguments["depends_on"] = list(self._before_models)
        if action.operation == "create_endpoint_config":
            # The endpoint moves to the new configuration before the old one goes.
            arguments["lifecycle"] = {"create_before_destroy": True}
        self._resources.setdefault(kind, {})[label] = arguments
        self._learn(f"{kind}.{label}", action)

    def _learn(self, address: str, action: Action) -> None:
        """What later calls may refer to."""
        refer, given = self._references, action.parameters
        match action.operation:
            case "create_role":
                refer["ExecutionRoleArn", role_arn(self._deployment)] = f"${{{address}.arn}}"
                refer["RoleName", action.name] = f"${{{address}.name}}"
            case "put_role_policy" | "upload_file":
                self._before_models.append(address)
            case "create_model":
                refer["ModelName", action.name] = f"${{{address}.name}}"
            case "create_endpoint_config":
                refer["EndpointConfigName", action.name] = f"${{{address}.name}}"
            case "create_endpoint":
                for share in self._deployment.shares:
                    variant = f"/variant/{share.name}"
                    place = f"endpoint/${{{address}.name}}{variant}"
                    refer["ResourceId", f"endpoint/{action.name}{variant}"] = place
            case "register_scalable_target":
                refer["ResourceId", given["ResourceId"]] = f"${{{address}.resource_id}}"
            case "put_scaling_policy":
                refer["AlarmActions", f"{{{given['PolicyName']}}}"] = f"${{{address}.arn}}"
            case _:
                pass


def _block(operation: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a call as the provider's arguments and nested blocks."""
    return {
        NAMES.get((operation, key)) or snake(key): _argument(operation, key, value)
        for key, value in given.items()
    }


def _argument(operation: str, key: str, value: Any) -> Any:
    if key == "Tags":
        return tags(value)
    if key == "Environment":
        return value
    if (operation, key) == ("put_metric_alarm", "Dimensions"):
        return {dimension["Name"]: dimension["Value"] for dimension in value}
    if (operation, key) in TEXTS:
        return str(value)
    if isinstance(value, dict):
        return [_block(operation, value)]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [_block(operation, inner) for inner in value]
    return value


def snake(name: str) -> str:
    """``MemorySizeInMB`` as ``memory_size_in_mb``."""
    return WORDS.sub("_", name).lower()


def escaped(literal: str) -> str:
    """A text in which Terraform sees no templates."""
    return literal.replace("${", "$${").replace("%{", "%%{")


def _readme(deployment: Deployment) -> Iterator[str]:
    yield f"# {deployment.name}\n"
    yield (
        f"`{FILE}` makes it in {deployment.region} by the provider {PROVIDER['source']} "
        f"{PROVIDER['version']}:\n"
    )
    yield "```\nterraform init\nterraform apply\n```\n"
    if not all(model.archive.is_absolute() for s in deployment.shares for model in s.models):
        yield "Archives are named relative to where Terraform is started."
    yield ""
