"""KServe's InferenceService, and the same by Kubernetes' own kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from workbench.deploy.deployment import Deployment, Share
from workbench.deploy.hosting import Components, RealTime, Timetable
from workbench.deploy.render import Renderer
from workbench.deploy.render._manifests import METRIC, inference_service, plain
from workbench.deploy.render._workload import (
    Workload,
    annotations_of,
    misfits,
    resources_of,
    scaling_of,
    strange_accelerator,
    workload_name,
)
from workbench.deploy.render._yaml import documents

KSERVE_FILE, PLAIN_FILE = "inference-service.yaml", "deployment.yaml"
NOT_HERE = {
    "serverless": "SageMaker's copies by memory and concurrency have no counterpart; what goes to "
    "zero here is 'components' with least_copies 0",
    "asynchronous": "nothing here keeps requests in a queue and writes answers to S3",
    "batch": "a job over files in S3 is no service",
    "multi": "which models are loaded is decided by the platform through the server's /models",
    "pipeline": "an InferenceService has one container, a pipeline has one for each stage",
}


class Kubernetes(Renderer):
    """KServe's InferenceService, or Deployment, Service and HorizontalPodAutoscaler.

    A pod asks for what the component asks for or the instance type has, or for ``cpu`` and
    ``memory``.
    """

    name: ClassVar[str] = "kubernetes"

    cpu: str | None = Field(None, pattern=r"^\d+(\.\d+)?m?$", description="Of a pod: 2, 500m.")
    memory: str | None = Field(None, pattern=r"^\d+(Ki|Mi|Gi)$", description="Of a pod: 4Gi.")
    service_account: str | None = Field(None, description="It may read the archives in S3.")
    loader: str = Field(
        "docker.io/kserve/storage-initializer:v0.20.0",
        description="Image that loads and unpacks the archive where KServe does not.",
    )

    def files(self, deployment: Deployment) -> Mapping[str, str]:
        """``inference-service.yaml``, ``deployment.yaml`` to take in its place, and a README."""
        for why in _misfits(deployment):
            raise self.refusal(why, hint="Render it as 'sagemaker'.")
        workloads = [self._workload(deployment, share) for share in deployment.shares]
        for why in (why for workload in workloads for why in misfits(workload)):
            raise self.refusal(why)
        files = {KSERVE_FILE: documents(map(inference_service, workloads))}
        if all(workload.scaling.least for workload in workloads):
            parts = (part for workload in workloads for part in plain(workload, self.loader))
            files[PLAIN_FILE] = documents(parts)
        return {**files, "README.md": "\n".join(_readme(deployment, workloads))}

    def _workload(self, deployment: Deployment, share: Share) -> Workload:
        assert isinstance(deployment.hosting, RealTime | Components)
        return Workload(
            name=workload_name(deployment, share),
            image=deployment.image,
            archive=deployment.url(share, share.models[0]),
            environment=deployment.container_environment(share, 0),
            annotations=annotations_of(deployment.all_tags(share)),
            resources=resources_of(deployment.hosting, self.cpu, self.memory),
            scaling=scaling_of(deployment, share),
            service_account=self.service_account,
            region=deployment.region,
        )


def _misfits(deployment: Deployment) -> Iterator[str]:
    """What a cluster has no counterpart for."""
    hosting = deployment.hosting
    for word in (hosting.kind, *(share.endpoint for share in deployment.shares)):
        if word in NOT_HERE:
            yield NOT_HERE[word]
    if isinstance(hosting, RealTime) and len(deployment.shares) > 1:
        yield "an InferenceService has one predictor, no variants that share the traffic"
    if isinstance(hosting, RealTime) and isinstance(hosting.scaling, Timetable):
        yield "neither KServe nor the HorizontalPodAutoscaler knows hours of the week"
    if isinstance(hosting, RealTime | Components) and (found := strange_accelerator(hosting)):
        yield f"the server does not compute on the {found} of {hosting.instance_type}"
    if deployment.network is not None:
        yield "subnets and security groups are the cluster's"
    if deployment.capture_percent:
        yield "capturing requests and answers is the platform's"


def _readme(deployment: Deployment, workloads: Sequence[Workload]) -> Iterator[str]:
    scales = any(workload.scaling.per_minute is not None for workload in workloads)
    zero = any(workload.scaling.least == 0 for workload in workloads)
    how = "with Knative, which counts the requests" if scales else "in its mode Standard"
    yield f"# {deployment.name}\n"
    yield f"`kubectl apply -f {KSERVE_FILE}` needs KServe 0.16 or newer, {how}."
    if zero:
        yield "There is no file for clusters without KServe: the HorizontalPodAutoscaler keeps one"
        yield "replica at least, and this deployment goes to zero."
    else:
        yield f"`kubectl apply -f {PLAIN_FILE}` is for clusters without it; it needs Kubernetes"
        yield "1.23 or newer."
    yield ""
    yield "- Nodes are the cluster's: instance types and their numbers are not in these files."
    yield "- The nodes pull the image, so they need to read its repository."
    for workload in workloads:
        account = workload.service_account or "default"
        asked = ", ".join(f"{key} {value}" for key, value in workload.resources.items())
        yield f"- The service account `{account}` needs to read `{workload.archive}`."
        yield f"- A pod of `{workload.name}` asks for {asked}; a node needs more than that."
    if scales:
        yield "- The cooldown before fewer replicas became the time for which the autoscalers look"
        yield "  back. Knative has none before more."
    if scales and not zero:
        yield from _metric()
    yield ""


def _metric() -> Iterator[str]:
    """What the HorizontalPodAutoscaler needs beside it."""
    yield f"- `{PLAIN_FILE}` scales by `{METRIC}`, which a metrics adapter"
    yield "  makes of the server's /metrics; for prometheus-adapter:\n"
    yield "```yaml"
    yield "rules:"
    yield '- seriesQuery: onnx_server_requests_total{namespace!="",pod!=""}'
    yield "  resources:"
    yield "    overrides: {namespace: {resource: namespace}, pod: {resource: pod}}"
    yield f"  name: {{as: {METRIC}}}"
    yield "  metricsQuery: 60 * sum(rate(<<.Series>>{<<.LabelMatchers>>}[1m])) by (<<.GroupBy>>)"
    yield "```"
