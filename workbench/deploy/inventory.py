"""What there is of an endpoint, found by its tag and its name, and its deletion.

Nothing is remembered on this machine: what a deployment left that was killed is found as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from workbench.deploy.deployment import TAG, Kind
from workbench.deploy.resources import Clients, Undo, found, is_absent, patiently
from workbench.records import Record

POLL_S = 5.0
ENDED = ("Completed", "Failed", "Stopped")


class Thing(Record):
    """One resource of an endpoint; ``detail`` is its state, or what else is worth knowing."""

    kind: Kind
    name: str
    detail: str = ""


def inventory(name: str, clients: Clients, *, bucket: str = "", prefix: str = "") -> list[Thing]:
    """Everything that bears the endpoint's tag, in the order in which it can be deleted.

    Args:
        name: the endpoint's.
        clients: boto3's.
        bucket: where its archives lie; without one archives are found through its models.
        prefix: below which they lie there.
    """
    models = list(_models(name, clients))
    things = [*_scaling(name, clients), *_alarms(name, clients), *_components(name, clients)]
    things += [*_endpoint(name, clients), *_configurations(name, clients), *_jobs(name, clients)]
    things += [Thing(kind="model", name=model) for model in models]
    folders = {f"{bucket}/{prefix}/{name}/"} if bucket else set()
    roles = set()
    for model in models:
        told = clients("sagemaker").describe_model(ModelName=model)
        roles.add(told["ExecutionRoleArn"].rpartition("/")[2])
        folders |= set(_folders(name, told))
    things += [thing for folder in sorted(folders) for thing in _archives(folder, clients)]
    roles.add(default_role(name))
    things += [thing for role in sorted(roles) for thing in _role(name, role, clients)]
    return things


def default_role(name: str) -> str:
    """Name of the role that is made for an endpoint."""
    return f"workbench-{name}"[:64]


def delete(
    things: list[Thing], clients: Clients, say: Callable[[str], None], *, poll_s: float = POLL_S
) -> list[str]:
    """Delete them, in their order; what could not be, with the reason, is returned."""
    left = []
    for thing in things:
        try:
            for step in _removal(thing, clients):
                patiently(getattr(clients(step.service), step.operation), step.parameters, poll_s)
            say(f"deleted {thing.kind} {thing.name}")
        except Exception as error:  # botocore makes its exception classes at run time
            if not is_absent(error):
                left.append(f"{thing.kind} {thing.name}: {error}")
    return left


def _removal(thing: Thing, clients: Clients) -> Iterator[Undo]:
    name = thing.name
    match thing.kind:
        case "endpoint":
            yield Undo("sagemaker", "delete_endpoint", {"EndpointName": name})
        case "configuration":
            yield Undo("sagemaker", "delete_endpoint_config", {"EndpointConfigName": name})
        case "model":
            yield Undo("sagemaker", "delete_model", {"ModelName": name})
        case "component":
            named = {"InferenceComponentName": name}
            yield Undo("sagemaker", "delete_inference_component", named)
        case "job":
            yield Undo("sagemaker", "stop_transform_job", {"TransformJobName": name})
        case "archive":
            bucket, _, key = name.removeprefix("s3://").partition("/")
            yield Undo("s3", "delete_object", {"Bucket": bucket, "Key": key})
        case "role":
            for policy in clients("iam").list_role_policies(RoleName=name)["PolicyNames"]:
                which = {"RoleName": name, "PolicyName": policy}
                yield Undo("iam", "delete_role_policy", which)
            yield Undo("iam", "delete_role", {"RoleName": name})
        case "scaling" if thing.detail == "alarm":
            yield Undo("cloudwatch", "delete_alarms", {"AlarmNames": [name]})
        case "scaling":
            target = {"ServiceNamespace": "sagemaker", "ResourceId": name,
                      "ScalableDimension": thing.detail}  # fmt: skip
            yield Undo("application-autoscaling", "deregister_scalable_target", target)


# --- finding ---------------------------------------------------------------------------------


def _endpoint(name: str, clients: Clients) -> Iterator[Thing]:
    told = found(clients("sagemaker").describe_endpoint, {"EndpointName": name})
    if told is not None and _is_ours(name, told["EndpointArn"], clients):
        variants = ", ".join(
            f"{v['VariantName']} × {v.get('CurrentInstanceCount', '?')}"
            for v in told.get("ProductionVariants", ())
        )
        status = told["EndpointStatus"]
        why = f": {told['FailureReason']}" if told.get("FailureReason") else ""
        detail = f"{status}{why}; {told['EndpointConfigName']}; {variants}".rstrip("; ")
        yield Thing(kind="endpoint", name=name, detail=detail)


def _configurations(name: str, clients: Clients) -> Iterator[Thing]:
    for item in _listed(clients, "list_endpoint_configs", "EndpointConfigs", NameContains=name):
        if _is_ours(name, item["EndpointConfigArn"], clients):
            yield Thing(kind="configuration", name=item["EndpointConfigName"])


def _models(name: str, clients: Clients) -> Iterator[str]:
    for item in _listed(clients, "list_models", "Models", NameContains=name):
        if _is_ours(name, item["ModelArn"], clients):
            yield item["ModelName"]


def _jobs(name: str, clients: Clients) -> Iterator[Thing]:
    for item in _listed(clients, "list_transform_jobs", "TransformJobSummaries", NameContains=name):
        ours = item["TransformJobName"].startswith(f"{name}-")
        if ours and item["TransformJobStatus"] not in ENDED:
            detail = item["TransformJobStatus"]
            yield Thing(kind="job", name=item["TransformJobName"], detail=detail)


def _components(name: str, clients: Clients) -> Iterator[Thing]:
    listed = _listed(
        clients, "list_inference_components", "InferenceComponents", EndpointNameEquals=name
    )
    for item in listed:
        yield Thing(kind="component", name=item["InferenceComponentName"],
                    detail=item.get("InferenceComponentStatus", ""))  # fmt: skip


def _scaling(name: str, clients: Clients) -> Iterator[Thing]:
    client = clients("application-autoscaling")
    pages = client.get_paginator("describe_scalable_targets").paginate(ServiceNamespace="sagemaker")
    for page in pages:
        for target in page["ScalableTargets"]:
            resource = target["ResourceId"]
            if resource.startswith((f"endpoint/{name}/", f"inference-component/{name}-")):
                yield Thing(kind="scaling", name=resource, detail=target["ScalableDimension"])


def _alarms(name: str, clients: Clients) -> Iterator[Thing]:
    told = clients("cloudwatch").describe_alarms(AlarmNamePrefix=f"{name}-from-zero")
    for alarm in told["MetricAlarms"]:
        yield Thing(kind="scaling", name=alarm["AlarmName"], detail="alarm")


def _archives(folder: str, clients: Clients) -> Iterator[Thing]:
    bucket, _, prefix = folder.partition("/")
    try:
        pages = list(clients("s3").get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix))  # fmt: skip
    except Exception as error:
        if is_absent(error) or "NoSuchBucket" in str(error):
            return
        raise
    for page in pages:
        for item in page.get("Contents", ()):
            detail = f"{item['Size'] / 1e6:.1f} MB"
            yield Thing(kind="archive", name=f"s3://{bucket}/{item['Key']}", detail=detail)


def _folders(name: str, model: dict[str, Any]) -> Iterator[str]:
    """Bucket and folder of all archives of the endpoint, from the URLs of a model."""
    containers = [model.get("PrimaryContainer"), *model.get("Containers", ())]
    for container in containers:
        url = (container or {}).get("ModelDataUrl", "").removeprefix("s3://")
        before, ours, _ = url.partition(f"/{name}/")
        if ours:
            yield before + ours


def _role(name: str, role: str, clients: Clients) -> Iterator[Thing]:
    iam = clients("iam")
    if found(iam.get_role, {"RoleName": role}) is None:
        return
    tags = iam.list_role_tags(RoleName=role)["Tags"]
    if any(tag["Key"] == TAG and tag["Value"] == name for tag in tags):
        yield Thing(kind="role", name=role)


def _is_ours(name: str, arn: str, clients: Clients) -> bool:
    tags = clients("sagemaker").list_tags(ResourceArn=arn)["Tags"]
    return any(tag["Key"] == TAG and tag["Value"] == name for tag in tags)


def _listed(clients: Clients, operation: str, field: str, **filters: str) -> Iterator[Any]:
    for page in clients("sagemaker").get_paginator(operation).paginate(**filters):
        yield from page[field]
