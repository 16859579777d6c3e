"""The calls that make a deployment, in order: plain dictionaries, each checked before any is sent.

The shapes are those of botocore's service models (sagemaker, application-autoscaling, iam).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.artifact import digest
from workbench.deploy.action import Action
from workbench.deploy.deployment import Deployment, Share, component_name
from workbench.deploy.hosting import (
    Asynchronous,
    BatchTransform,
    Components,
    RealTime,
    Serverless,
    TargetTracking,
)
from workbench.deploy.role import role_actions, role_arn
from workbench.deploy.scaling import scaling_actions

VOLUME_TIMEOUT_S = 600
"""Limits of download and of start-up; the contract's C10 allows 60 to 3600."""


def actions(deployment: Deployment, *, update: bool = False) -> list[Action]:
    """All calls, in their order; for an endpoint that exists ``update`` changes it instead."""
    found = [*role_actions(deployment), *_archives(deployment), *_models(deployment)]
    hosting = deployment.hosting
    if isinstance(hosting, BatchTransform):
        return [*found, _job(deployment, hosting)]
    found += [_configuration(deployment), _endpoint(deployment, update)]
    if isinstance(hosting, Components):
        found += _components(deployment, hosting)
    return [*found, *scaling_actions(deployment)]


def model_name(deployment: Deployment, share: Share) -> str:
    """Name of a share's model; of what it is made of, so that equal ones are one."""
    content = [deployment.image, deployment.url(share), share.endpoint, deployment.role,
               deployment.environment, [m.sha256 for m in share.models],
               deployment.network.model_dump() if deployment.network else None]  # fmt: skip
    return f"{deployment.name}-{digest(content)[:8]}"


def configuration_name(deployment: Deployment) -> str:
    """Name of the endpoint configuration, of its content."""
    return f"{deployment.name}-{digest(_variants(deployment))[:8]}"


def _archives(deployment: Deployment) -> Iterator[Action]:
    for share in deployment.shares:
        for model in share.models:
            key = deployment.key(share, model)
            yield Action(
                kind="archive", name=f"s3://{deployment.bucket}/{key}", service="s3",
                operation="upload_file",
                parameters={"Filename": str(model.archive), "Bucket": deployment.bucket,
                            "Key": key},
            )  # fmt: skip


def _models(deployment: Deployment) -> Iterator[Action]:
    seen = set()
    for share in deployment.shares:
        name = model_name(deployment, share)
        if name in seen:
            continue
        seen.add(name)
        parameters: dict[str, Any] = {
            "ModelName": name,
            "ExecutionRoleArn": role_arn(deployment),
            "Tags": deployment.all_tags(share),
        }
        if deployment.network is not None:
            parameters["VpcConfig"] = {
                "Subnets": list(deployment.network.subnets),
                "SecurityGroupIds": list(deployment.network.security_groups),
            }
        if share.endpoint == "pipeline":
            parameters["Containers"] = _containers(deployment, share)
            parameters["InferenceExecutionConfig"] = {"Mode": "Serial"}
        else:
            parameters["PrimaryContainer"] = _containers(deployment, share)[0]
        yield Action(kind="model", name=name, service="sagemaker", operation="create_model",
                     parameters=parameters)  # fmt: skip


def _containers(deployment: Deployment, share: Share) -> list[dict[str, Any]]:
    containers = []
    models = share.models[:1] if share.endpoint == "multi" else share.models
    for place, model in enumerate(models):
        multi = share.endpoint == "multi"
        container: dict[str, Any] = {
            "Image": deployment.image,
            "Mode": "MultiModel" if multi else "SingleModel",
            "ModelDataUrl": deployment.url(share, None if multi else model),
        }
        if environment := deployment.container_environment(share, place):
            container["Environment"] = environment
        containers.append(container)
    return containers


def _variants(deployment: Deployment) -> dict[str, Any]:
    """What an endpoint configuration holds but its name and tags."""
    listed: dict[str, Any] = {"ProductionVariants": [], "ShadowProductionVariants": []}
    for share in deployment.shares:
        kind = "ShadowProductionVariants" if share.shadow else "ProductionVariants"
        listed[kind].append(_variant(deployment, share))
    if not listed["ShadowProductionVariants"]:
        del listed["ShadowProductionVariants"]
    hosting = deployment.hosting
    if isinstance(hosting, Asynchronous):
        listed["AsyncInferenceConfig"] = {
            "OutputConfig": {"S3OutputPath": hosting.output},
            "ClientConfig": {
                "MaxConcurrentInvocationsPerInstance": hosting.concurrent_per_instance
            },
        }
    if isinstance(hosting, Components):
        listed["ExecutionRoleArn"] = role_arn(deployment)
    if deployment.capture_percent:
        listed["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": deployment.capture_percent,
            "DestinationS3Uri": f"s3://{deployment.bucket}/{deployment.prefix}/capture",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        }
    return listed


def _variant(deployment: Deployment, share: Share) -> dict[str, Any]:
    hosting = deployment.hosting
    variant: dict[str, Any] = {"VariantName": share.name}
    if isinstance(hosting, Components):
        return variant | {
            "InstanceType": hosting.instance_type,
            "InitialInstanceCount": max(1, hosting.least_instances),
            "ManagedInstanceScaling": {
                "Status": "ENABLED",
                "MinInstanceCount": hosting.least_instances,
                "MaxInstanceCount": hosting.most_instances,
            },
            "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
        }
    variant |= {"ModelName": model_name(deployment, share), "InitialVariantWeight": share.weight}
    if isinstance(hosting, Serverless):
        serverless = {
            "MemorySizeInMB": hosting.memory_mb,
            "MaxConcurrency": hosting.max_concurrency,
        }
        if hosting.provisioned:
            serverless["ProvisionedConcurrency"] = hosting.provisioned
        return variant | {"ServerlessConfig": serverless}
    assert isinstance(hosting, RealTime | Asynchronous)
    return variant | {
        "InstanceType": hosting.instance_type,
        "InitialInstanceCount": _initial(hosting),
        "ModelDataDownloadTimeoutInSeconds": VOLUME_TIMEOUT_S,
        "ContainerStartupHealthCheckTimeoutInSeconds": VOLUME_TIMEOUT_S,
    }


def _initial(hosting: RealTime | Asynchronous) -> int:
    if isinstance(hosting, Asynchronous):
        return max(1, hosting.least)  # no configuration begins at zero
    if isinstance(hosting.scaling, TargetTracking):
        return max(1, hosting.scaling.least)
    return hosting.instances


def _configuration(deployment: Deployment) -> Action:
    name = configuration_name(deployment)
    return Action(
        kind="configuration", name=name, service="sagemaker", operation="create_endpoint_config",
        parameters={"EndpointConfigName": name, **_variants(deployment),
                    "Tags": deployment.all_tags(deployment.shares[0])},
    )  # fmt: skip


def _endpoint(deployment: Deployment, update: bool) -> Action:
    parameters: dict[str, Any] = {
        "EndpointName": deployment.name,
        "EndpointConfigName": configuration_name(deployment),
    }
    if not update:
        parameters["Tags"] = deployment.all_tags(deployment.shares[0])
    elif deployment.scales:
        # As many instances as there are now, not as few as the configuration begins with.
        parameters["RetainAllVariantProperties"] = True
        parameters["ExcludeRetainedVariantProperties"] = [
            {"VariantPropertyType": kind} for kind in ("DesiredWeight", "DataCaptureConfig")
        ]
    operation = "update_endpoint" if update else "create_endpoint"
    return Action(kind="endpoint", name=deployment.name, service="sagemaker", operation=operation,
                  parameters=parameters)  # fmt: skip


def _components(deployment: Deployment, hosting: Components) -> Iterator[Action]:
    for share in deployment.shares:
        name = component_name(deployment, share)
        yield Action(
            kind="component", name=name, service="sagemaker",
            operation="create_inference_component",
            parameters={
                "InferenceComponentName": name,
                "EndpointName": deployment.name,
                "VariantName": share.name,
                "Specification": {
                    "ModelName": model_name(deployment, share),
                    "ComputeResourceRequirements": {
                        "NumberOfCpuCoresRequired": hosting.cores,
                        "MinMemoryRequiredInMb": hosting.memory_mb,
                    },
                },
                "RuntimeConfig": {"CopyCount": max(1, hosting.least_copies)},
                "Tags": deployment.all_tags(share),
            },
        )  # fmt: skip


def _job(deployment: Deployment, hosting: BatchTransform) -> Action:
    share = deployment.shares[0]
    content = digest([model_name(deployment, share), hosting.model_dump()])
    name = f"{deployment.name}-{content[:8]}"
    return Action(
        kind="job", name=name, service="sagemaker", operation="create_transform_job",
        parameters={
            "TransformJobName": name,
            "ModelName": model_name(deployment, share),
            "BatchStrategy": hosting.strategy,
            "MaxPayloadInMB": hosting.max_payload_mb,
            "TransformInput": {
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": hosting.input}
                },
                "ContentType": hosting.content_type,
                "SplitType": "Line",
            },
            "TransformOutput": {
                "S3OutputPath": hosting.output,
                "Accept": hosting.content_type,
                "AssembleWith": "Line",
            },
            "TransformResources": {
                "InstanceType": hosting.instance_type,
                "InstanceCount": hosting.instances,
            },
            "Tags": deployment.all_tags(share),
        },
    )  # fmt: skip
