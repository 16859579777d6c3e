"""A deployment: which package is hosted how, under which name. All that follows is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from workbench.artifact import digest
from workbench.deploy.hosting import Asynchronous, Components, Hosting, RealTime
from workbench.packaging.pipeline import BETWEEN
from workbench.packaging.records import Endpoint
from workbench.records import Record

NAME = r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,53}$"
"""Endpoint names have at most 63 characters (botocore's model); nine are for the digest."""
TAG = "workbench:endpoint"
"""Everything that is made bears this tag with the endpoint's name: deletion finds it by that."""


class HostedModel(Record):
    """One archive; ``sha256`` is that of the file."""

    name: str
    archive: Path
    sha256: str
    digest: str = Field(description="Of the artifact in it.")
    run: str | None = None
    variant: str | None = None


class Share(Record):
    """One production variant: a package's models and their share of the traffic.

    ``shadow``: gets a copy of the requests, and its answers are dropped.
    """

    name: str = Field("main", pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$")
    endpoint: Endpoint
    models: tuple[HostedModel, ...] = Field(min_length=1)
    weight: float = Field(1.0, ge=0)
    shadow: bool = False


class Network(Record):
    """A VPC's subnets and security groups."""

    subnets: tuple[str, ...] = Field(min_length=1, max_length=16)
    security_groups: tuple[str, ...] = Field(min_length=1, max_length=5)


class Deployment(Record):
    """What is to be. Equal deployments give equal names, so that twice is once."""

    name: str = Field(pattern=NAME)
    region: str
    account: str = Field("", description="Twelve digits; only needed where an ARN is computed.")
    role: str = Field(description="ARN of the execution role, or a name under which one is made.")
    image: str = Field(description="In ECR, best by digest: REPOSITORY@sha256:…")
    bucket: str
    prefix: str = "workbench"
    shares: tuple[Share, ...] = Field(min_length=1)
    hosting: Hosting
    network: Network | None = None
    environment: dict[str, str] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)
    capture_percent: int = Field(0, ge=0, le=100, description="Of requests and answers, to S3.")
    wait_s: int = Field(1800, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Deployment:
        for why in _misfits(self):
            raise ValueError(why)
        return self

    @property
    def makes_role(self) -> bool:
        """Whether ``role`` is a name, and the role is to be made."""
        return not self.role.startswith("arn:")

    @property
    def scales(self) -> bool:
        """Whether the number of instances changes by itself."""
        hosting = self.hosting
        if isinstance(hosting, RealTime):
            return hosting.scaling is not None
        return isinstance(hosting, Asynchronous | Components)

    def folder(self, share: Share) -> str:
        """Where a share's archives lie in the bucket; their content is in the name, so that none
        is ever replaced under a running endpoint."""
        content = digest(sorted(f"{model.name} {model.sha256}" for model in share.models))
        return f"{self.prefix}/{self.name}/{content[:16]}/"

    def key(self, share: Share, model: HostedModel) -> str:
        """The key of an archive; below the folder it is the ``TargetModel`` of a request."""
        return f"{self.folder(share)}{model.name}.tar.gz"

    def url(self, share: Share, model: HostedModel | None = None) -> str:
        """The S3 URL of an archive, or of the share's folder."""
        key = self.folder(share) if model is None else self.key(share, model)
        return f"s3://{self.bucket}/{key}"

    def container_environment(self, share: Share, place: int) -> dict[str, str]:
        """Environment of a container; stages of a pipeline but the last hand on .npy."""
        stage = share.endpoint == "pipeline" and place < len(share.models) - 1
        between: Mapping[str, str] = BETWEEN if stage else {}
        return {**between, **self.environment}

    def all_tags(self, share: Share | None = None) -> list[dict[str, str]]:
        """The tags of a resource, as AWS's APIs take them."""
        tags = {TAG: self.name, **self.tags}
        if share is not None:
            first = share.models[0]
            tags["workbench:digest"] = first.digest
            if first.run and first.variant:
                tags |= {"workbench:run": first.run, "workbench:variant": first.variant}
        return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


Kind = Literal["role", "archive", "model", "configuration", "endpoint", "component", "scaling",
               "job"]  # fmt: skip


def _misfits(deployment: Deployment) -> Iterator[str]:
    """What SageMaker does not offer, by the hosting contract's clauses and the developer guide."""
    kind, shares = deployment.hosting.kind, deployment.shares
    endpoints = {share.endpoint for share in shares}
    names = [share.name for share in shares]
    if len(set(names)) < len(names):
        yield "two variants have the same name"
    if all(share.shadow for share in shares):
        yield "a shadow variant needs a production variant beside it"
    if sum(share.shadow for share in shares) > 1:
        yield "an endpoint has one shadow variant at most"
    if kind != "real-time":
        if endpoints != {"single"} and (kind, endpoints) != ("batch", {"pipeline"}):
            yield f"{kind} hosts no {'- or '.join(sorted(endpoints - {'single'}))}-model endpoint"
        if any(share.shadow for share in shares):
            yield f"{kind} has no shadow variants"
        if len(shares) > 1 and kind in ("asynchronous", "batch"):
            yield f"{kind} has one variant"
    if kind == "serverless":
        if deployment.network is not None:
            yield "serverless endpoints cannot be in a VPC"
        if deployment.capture_percent:
            yield "serverless endpoints capture no data"


def component_name(deployment: Deployment, share: Share) -> str:
    """Name of a share's inference component."""
    return f"{deployment.name}-{share.name}"[:63].rstrip("-")
