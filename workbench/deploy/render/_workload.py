"""What a cluster runs for one share of a deployment, whichever kinds describe it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from workbench.cost.catalog.tables import types
from workbench.deploy.deployment import Deployment, Share, component_name
from workbench.deploy.hosting import Components, RealTime
from workbench.deploy.scaling import scaling_actions

NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
"""Of an InferenceService; of a Service too."""
LONGEST_NAME = 63 - len("-predictor")
"""KServe makes a Service of the name and this, and a host name's labels have 63 characters."""
ANNOTATION = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?")
LONGEST_COOLDOWN_S = 3600
"""Of the autoscalers' windows and delays."""
NVIDIA = "NVIDIA"
SLOWEST = 0.6
"""Requests a minute and replica: Knative's target is 0.01 a second at least."""


@dataclass(frozen=True)
class Scaling:
    """Replicas; without ``per_minute``, the requests that one bears, as many as ``least``."""

    least: int
    most: int
    per_minute: float | None = None
    in_cooldown_s: int = 0
    out_cooldown_s: int = 0


@dataclass(frozen=True)
class Workload:
    """One model behind one name."""

    name: str
    image: str
    archive: str
    environment: Mapping[str, str]
    annotations: Mapping[str, str]
    resources: Mapping[str, str]
    scaling: Scaling
    service_account: str | None
    region: str


def workload_name(deployment: Deployment, share: Share) -> str:
    """Components are called by their own names, variants by the endpoint's."""
    several = isinstance(deployment.hosting, Components)
    return component_name(deployment, share) if several else deployment.name


def scaling_of(deployment: Deployment, share: Share) -> Scaling:
    """The figures of the share's calls to application-autoscaling, or the fixed number."""
    names = {f"endpoint/{deployment.name}/variant/{share.name}",
             f"inference-component/{component_name(deployment, share)}"}  # fmt: skip
    given = {a.operation: a.parameters for a in scaling_actions(deployment) if a.name in names}
    if not given:
        assert isinstance(deployment.hosting, RealTime)
        return Scaling(deployment.hosting.instances, deployment.hosting.instances)
    target = given["register_scalable_target"]
    policy = given["put_scaling_policy"]["TargetTrackingScalingPolicyConfiguration"]
    return Scaling(
        least=target["MinCapacity"],
        most=target["MaxCapacity"],
        per_minute=policy["TargetValue"],
        in_cooldown_s=policy["ScaleInCooldown"],
        out_cooldown_s=policy["ScaleOutCooldown"],
    )


def resources_of(
    hosting: RealTime | Components, cpu: str | None, memory: str | None
) -> dict[str, str]:
    """What a pod asks for, as it was given, or as the component or the instance type has it.

    ``cpu`` and ``memory`` are missing where neither is known.
    """
    found: dict[str, str] = {}
    if isinstance(hosting, Components):
        found = {"cpu": quantity(hosting.cores), "memory": f"{hosting.memory_mb}Mi"}
    else:
        kind = types().get(hosting.instance_type)
        if kind is not None:
            found = {"cpu": str(kind.vcpus), "memory": f"{round(kind.memory_gib * 1024)}Mi"}
            if kind.accelerator is not None and NVIDIA in kind.accelerator:
                found["nvidia.com/gpu"] = str(kind.accelerators)
    given = {"cpu": cpu, "memory": memory}
    return {**found, **{key: value for key, value in given.items() if value}}


def strange_accelerator(hosting: RealTime | Components) -> str | None:
    """The instance type's accelerator, if it is one that the server does not compute on."""
    kind = types().get(hosting.instance_type)
    accelerator = kind.accelerator if kind is not None else None
    return None if accelerator is None or NVIDIA in accelerator else accelerator


def quantity(number: float) -> str:
    """A number as Kubernetes writes it, to the thousandth: ``2``, ``250m``."""
    thousandths = round(number * 1000)
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)


def annotations_of(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """A resource's tags; the colon, which annotations have not, becomes a slash."""
    return {tag["Key"].replace(":", "/"): tag["Value"] for tag in tags}


def misfits(workload: Workload) -> Iterator[str]:
    """What neither KServe nor Kubernetes takes."""
    if not NAME.fullmatch(workload.name):
        yield f"'{workload.name}' is no name of a Service, which begins with a lower-case letter " \
              "and holds only those, digits and hyphens"  # fmt: skip
    if len(workload.name) > LONGEST_NAME:
        yield f"the name '{workload.name}' has more than {LONGEST_NAME} characters"
    for key in workload.annotations:
        if not ANNOTATION.fullmatch(key):
            yield f"the tag '{key}' cannot be an annotation"
    for name in ("cpu", "memory"):
        if name not in workload.resources:
            yield f"what the instance type has is not known, and no {name} was given"
    scaling = workload.scaling
    if max(scaling.in_cooldown_s, scaling.out_cooldown_s) > LONGEST_COOLDOWN_S:
        yield f"autoscalers wait {LONGEST_COOLDOWN_S} s at most"
    if scaling.per_minute is not None and scaling.per_minute < SLOWEST:
        yield f"Knative counts on {SLOWEST} requests a minute and replica at least"
