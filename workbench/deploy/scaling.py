"""Autoscaling: instances, warm copies or components that follow the traffic or a timetable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from workbench.deploy.action import Action
from workbench.deploy.deployment import Deployment, component_name
from workbench.deploy.hosting import Asynchronous, Components, RealTime, TargetTracking, Timetable
from workbench.deploy.resources import Clients, Undo

SERVICE = "application-autoscaling"
DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


def scaling_actions(deployment: Deployment) -> Iterator[Action]:
    """The calls of application-autoscaling that make instances or copies follow the traffic."""
    hosting = deployment.hosting
    for share in deployment.shares:
        if share.shadow:
            continue
        variant = f"endpoint/{deployment.name}/variant/{share.name}"
        instances = "sagemaker:variant:DesiredInstanceCount"
        if isinstance(hosting, RealTime) and isinstance(hosting.scaling, TargetTracking):
            rule = hosting.scaling
            yield _target(variant, instances, rule.least, rule.most)
            yield _tracking(
                variant, instances, rule.per_instance, rule.in_cooldown_s, rule.out_cooldown_s,
                {"PredefinedMetricSpecification": {
                    "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}},
            )  # fmt: skip
        elif isinstance(hosting, RealTime) and isinstance(hosting.scaling, Timetable):
            hours = hosting.scaling.hours
            yield _target(variant, instances, min(hours), max(hours))
            yield from _timetable(variant, instances, hosting.scaling)
        elif isinstance(hosting, Asynchronous):
            yield _target(variant, instances, hosting.least, hosting.most)
            yield _tracking(
                variant, instances, hosting.backlog_per_instance, 300, 60,
                {"CustomizedMetricSpecification": {
                    "MetricName": "ApproximateBacklogSizePerInstance",
                    "Namespace": "AWS/SageMaker",
                    "Dimensions": [{"Name": "EndpointName", "Value": deployment.name}],
                    "Statistic": "Average"}},
            )  # fmt: skip
            if hosting.least == 0:
                yield from _from_zero(deployment, variant, instances)
        elif isinstance(hosting, Components):
            name = component_name(deployment, share)
            resource = f"inference-component/{name}"
            copies = "sagemaker:inference-component:DesiredCopyCount"
            yield _target(resource, copies, hosting.least_copies, hosting.most_copies)
            yield _tracking(
                resource, copies, hosting.per_copy, 300, 60,
                {"PredefinedMetricSpecification": {
                    "PredefinedMetricType": "SageMakerInferenceComponentInvocationsPerCopy"}},
            )  # fmt: skip


def _target(resource: str, dimension: str, least: int, most: int) -> Action:
    return Action(
        kind="scaling", name=resource, service=SERVICE,
        operation="register_scalable_target",
        parameters={
            "ServiceNamespace": "sagemaker",
            "ResourceId": resource,
            "ScalableDimension": dimension,
            "MinCapacity": least,
            "MaxCapacity": most,
        },
    )  # fmt: skip


def _tracking(
    resource: str,
    dimension: str,
    value: float,
    in_cooldown_s: int,
    out_cooldown_s: int,
    metric: dict[str, Any],
) -> Action:
    return Action(
        kind="scaling", name=resource, service=SERVICE,
        operation="put_scaling_policy",
        parameters={
            "PolicyName": "workbench",
            "ServiceNamespace": "sagemaker",
            "ResourceId": resource,
            "ScalableDimension": dimension,
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": value,
                "ScaleInCooldown": in_cooldown_s,
                "ScaleOutCooldown": out_cooldown_s,
                **metric,
            },
        },
    )  # fmt: skip


def _from_zero(deployment: Deployment, resource: str, dimension: str) -> Iterator[Action]:
    """What target tracking cannot do: the step from none to one, by an alarm of the backlog.

    AWS's page on autoscaling of asynchronous endpoints gives this policy and alarm.
    """
    yield Action(
        kind="scaling", name=resource, service=SERVICE,
        operation="put_scaling_policy",
        parameters={
            "PolicyName": "workbench-from-zero",
            "ServiceNamespace": "sagemaker",
            "ResourceId": resource,
            "ScalableDimension": dimension,
            "PolicyType": "StepScaling",
            "StepScalingPolicyConfiguration": {
                "AdjustmentType": "ChangeInCapacity",
                "MetricAggregationType": "Average",
                "Cooldown": 300,
                "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
            },
        },
    )  # fmt: skip
    yield Action(
        kind="scaling", name=resource, service="cloudwatch", operation="put_metric_alarm",
        parameters={
            "AlarmName": f"{deployment.name}-from-zero",
            "Namespace": "AWS/SageMaker",
            "MetricName": "HasBacklogWithoutCapacity",
            "Dimensions": [{"Name": "EndpointName", "Value": deployment.name}],
            "Statistic": "Average",
            "Period": 60,
            "EvaluationPeriods": 2,
            "DatapointsToAlarm": 2,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": "missing",
            # The policy's ARN, which putting the policy returned.
            "AlarmActions": ["{workbench-from-zero}"],
            "Tags": deployment.all_tags(),
        },
    )  # fmt: skip


def _timetable(resource: str, dimension: str, table: Timetable) -> Iterator[Action]:
    """One scheduled action for each change of the number, ahead of the hour where it rises."""
    for hour, count in enumerate(table.hours):
        before = table.hours[hour - 1]
        if count == before:
            continue
        ahead = table.minutes_ahead if count > before else 0
        minute = (hour * 60 - ahead) % (168 * 60)
        day, at = divmod(minute, 24 * 60)
        yield Action(
            kind="scaling", name=resource, service=SERVICE,
            operation="put_scheduled_action",
            parameters={
                "ServiceNamespace": "sagemaker",
                "ScheduledActionName": f"workbench-{DAYS[hour // 24].lower()}-{hour % 24:02d}",
                "ResourceId": resource,
                "ScalableDimension": dimension,
                "Schedule": f"cron({at % 60} {at // 60} ? * {DAYS[day]} *)",
                "Timezone": "UTC",
                "ScalableTargetAction": {"MinCapacity": count, "MaxCapacity": count},
            },
        )  # fmt: skip


def stale(name: str, planned: Sequence[Action], clients: Clients) -> Iterator[Undo]:
    """The calls that take away what an earlier deployment of the endpoint scaled it by."""
    client = clients(SERVICE)
    there = (
        ("describe_scheduled_actions", "ScheduledActions", "ScheduledActionName",
         "delete_scheduled_action"),
        ("describe_scaling_policies", "ScalingPolicies", "PolicyName", "delete_scaling_policy"),
        ("describe_scalable_targets", "ScalableTargets", None, "deregister_scalable_target"),
    )  # fmt: skip
    for find, field, key, remove in there:
        wanted = {
            (a.parameters["ResourceId"], a.parameters.get(key) if key else None)
            for a in planned
            if a.service == SERVICE and (key is None or key in a.parameters)
        }
        for page in client.get_paginator(find).paginate(ServiceNamespace="sagemaker"):
            for item in page[field]:
                resource = item["ResourceId"]
                ours = resource.startswith((f"endpoint/{name}/", f"inference-component/{name}-"))
                if ours and (resource, item[key] if key else None) not in wanted:
                    dimension = item["ScalableDimension"]
                    which = {"ServiceNamespace": "sagemaker", "ResourceId": resource,
                             "ScalableDimension": dimension}  # fmt: skip
                    yield Undo(SERVICE, remove, which | ({key: item[key]} if key else {}))
