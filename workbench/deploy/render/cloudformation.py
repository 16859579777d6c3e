"""A CloudFormation template of the same calls; names are theirs, references make the order."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from workbench.deploy.action import Action
from workbench.deploy.actions import actions
from workbench.deploy.deployment import Deployment
from workbench.deploy.render import Renderer
from workbench.deploy.render._calls import References, labelled, replaced, text
from workbench.deploy.role import role_arn
from workbench.deploy.validation import UPLOAD

TYPES = {
    "create_role": "AWS::IAM::Role",
    "create_model": "AWS::SageMaker::Model",
    "create_endpoint_config": "AWS::SageMaker::EndpointConfig",
    "create_endpoint": "AWS::SageMaker::Endpoint",
    "create_inference_component": "AWS::SageMaker::InferenceComponent",
    "register_scalable_target": "AWS::ApplicationAutoScaling::ScalableTarget",
    "put_scaling_policy": "AWS::ApplicationAutoScaling::ScalingPolicy",
    "put_metric_alarm": "AWS::CloudWatch::Alarm",
}
SCALED = ("ServiceNamespace", "ResourceId", "ScalableDimension")
"""What names a scalable target in a call; in a template a reference does."""
TEMPLATE = "template.json"


class CloudFormation(Renderer):
    """A CloudFormation template."""

    name: ClassVar[str] = "cloudformation"

    def files(self, deployment: Deployment) -> Mapping[str, str]:
        """``template.json`` and a README with the commands."""
        if deployment.hosting.kind == "batch":
            raise self.refusal(
                "a transform job is no resource: it runs once and ends",
                hint="Render it as 'sagemaker'.",
            )
        template = _Template(deployment)
        for label, action in labelled(actions(deployment)):
            template.add(label, action)
        return {
            TEMPLATE: text(template.document()),
            "README.md": "\n".join(_readme(deployment)),
        }


class _Template:
    """Grows by one call after the other; later ones refer to what earlier ones made."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._references: References = {}
        self._components: dict[str, str] = {}
        self._targets: dict[str, str] = {}
        self.resources: dict[str, dict[str, Any]] = {}

    def document(self) -> dict[str, Any]:
        """The template."""
        return {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": f"The endpoint {self._deployment.name}",
            "Resources": self.resources,
            "Outputs": {"EndpointName": {"Value": _attribute("Endpoint", "EndpointName")}},
        }

    def add(self, label: str, action: Action) -> None:
        """Add what a call makes."""
        given = action.parameters
        if action.operation == UPLOAD:
            return  # No resource: the README has the commands.
        if action.operation == "put_role_policy":
            policy = {
                "PolicyName": given["PolicyName"],
                "PolicyDocument": json.loads(given["PolicyDocument"]),
            }
            self.resources["Role"]["Properties"]["Policies"] = [policy]
            return
        if action.operation == "put_scheduled_action":
            schedule = {key: value for key, value in given.items() if key not in SCALED}
            target = self.resources[self._targets[given["ResourceId"]]]["Properties"]
            target.setdefault("ScheduledActions", []).append(schedule)
            return
        logical = label.capitalize()
        resource = {"Type": TYPES[action.operation], "Properties": self._properties(action)}
        if component := self._components.get(given.get("ResourceId", "")):
            resource["DependsOn"] = component
        self.resources[logical] = resource
        self._learn(logical, action)

    def _properties(self, action: Action) -> dict[str, Any]:
        properties: dict[str, Any] = replaced(action.parameters, self._references)
        if action.operation == "create_role":
            trust = json.loads(action.parameters["AssumeRolePolicyDocument"])
            properties["AssumeRolePolicyDocument"] = trust
        if action.operation == "put_scaling_policy":
            properties = {key: value for key, value in properties.items() if key not in SCALED}
            properties["ScalingTargetId"] = {"Ref": self._targets[action.parameters["ResourceId"]]}
        return properties

    def _learn(self, logical: str, action: Action) -> None:
        """What later calls may refer to."""
        refer, given = self._references, action.parameters
        match action.operation:
            case "create_role":
                refer["ExecutionRoleArn", role_arn(self._deployment)] = _attribute(logical, "Arn")
            case "create_model":
                refer["ModelName", action.name] = _attribute(logical, "ModelName")
            case "create_endpoint_config":
                name = _attribute(logical, "EndpointConfigName")
                refer["EndpointConfigName", action.name] = name
            case "create_endpoint":
                refer["EndpointName", action.name] = _attribute(logical, "EndpointName")
                for share in self._deployment.shares:
                    variant = f"/variant/{share.name}"
                    refer["ResourceId", f"endpoint/{action.name}{variant}"] = {
                        "Fn::Sub": f"endpoint/${{{logical}.EndpointName}}{variant}"
                    }
            case "create_inference_component":
                # Its name is no attribute of it, so that nothing can refer to it by that.
                self._components[f"inference-component/{action.name}"] = logical
            case "register_scalable_target":
                self._targets[given["ResourceId"]] = logical
            case "put_scaling_policy":
                # Ref of a scaling policy is its ARN.
                refer["AlarmActions", f"{{{given['PolicyName']}}}"] = {"Ref": logical}
            case _:
                pass


def _attribute(logical: str, name: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [logical, name]}


def _readme(deployment: Deployment) -> Iterator[str]:
    yield f"# {deployment.name}\n"
    yield f"`{TEMPLATE}` makes it in {deployment.region}. First the archives, then the stack:\n"
    yield "```"
    for action in actions(deployment):
        if action.operation == UPLOAD:
            yield shlex.join(["aws", "s3", "cp", action.parameters["Filename"], action.name])
    words = ["aws", "cloudformation", "deploy", "--region", deployment.region,
             "--stack-name", f"endpoint-{deployment.name}", "--template-file", TEMPLATE,
             "--s3-bucket", deployment.bucket, "--s3-prefix", deployment.prefix]  # fmt: skip
    if deployment.makes_role:
        words += ["--capabilities", "CAPABILITY_NAMED_IAM"]
    yield shlex.join(words)
    yield "```\n"
    yield "It has no parameters: names hold what they stand for, so render it again to change it."
    yield ""
