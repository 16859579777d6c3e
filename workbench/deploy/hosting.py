"""How models are hosted: one record for each way that a deployment can take."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from workbench.records import Record

InstanceType = Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")]


class TargetTracking(Record):
    """Instances follow the rate; ``per_instance`` in invocations a minute."""

    least: PositiveInt
    most: PositiveInt
    per_instance: float = Field(gt=0)
    in_cooldown_s: int = Field(300, ge=0)
    out_cooldown_s: int = Field(60, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> TargetTracking:
        _check_order(self.least, self.most)
        return self


class Timetable(Record):
    """Instances by hour of the week, from Monday 00:00 UTC: 168 numbers."""

    hours: tuple[PositiveInt, ...] = Field(min_length=168, max_length=168)
    minutes_ahead: int = Field(10, ge=0, lt=60, description="Instances are asked for so early.")


class RealTime(Record):
    """Instances that run all the time, or as many as a policy says."""

    kind: Literal["real-time"] = "real-time"
    instance_type: InstanceType
    instances: PositiveInt = 1
    scaling: TargetTracking | Timetable | None = None


class Serverless(Record):
    """Copies that come and go; ``provisioned`` of them are kept warm."""

    kind: Literal["serverless"] = "serverless"
    memory_mb: int = Field(ge=1024, le=6144, multiple_of=1024)
    max_concurrency: int = Field(ge=1, le=200)
    provisioned: int = Field(0, ge=0, le=200)

    @model_validator(mode="after")
    def _within(self) -> Serverless:
        if self.provisioned > self.max_concurrency:
            raise ValueError("provisioned is more than max_concurrency")
        return self


class Asynchronous(Record):
    """Requests wait in a queue of the platform; instances follow its length, down to ``least``."""

    kind: Literal["asynchronous"] = "asynchronous"
    instance_type: InstanceType
    output: str = Field(pattern=r"^s3://[^/]+/.*$", description="Where answers are written.")
    least: int = Field(0, ge=0)
    most: PositiveInt = 1
    backlog_per_instance: float = Field(5.0, gt=0)
    concurrent_per_instance: int = Field(4, ge=1, le=1000)

    @model_validator(mode="after")
    def _ordered(self) -> Asynchronous:
        _check_order(self.least, self.most)
        return self


class Components(Record):
    """Inference components on shared instances; copies and instances may go to zero."""

    kind: Literal["components"] = "components"
    instance_type: InstanceType
    least_instances: int = Field(0, ge=0)
    most_instances: PositiveInt = 1
    least_copies: int = Field(0, ge=0)
    most_copies: PositiveInt = 1
    per_copy: float = Field(gt=0, description="Invocations a minute that a copy bears.")
    cores: float = Field(1.0, ge=0.25)
    memory_mb: int = Field(ge=128)

    @model_validator(mode="after")
    def _ordered(self) -> Components:
        _check_order(self.least_instances, self.most_instances)
        _check_order(self.least_copies, self.most_copies)
        return self


class BatchTransform(Record):
    """A job over files in S3, each run."""

    kind: Literal["batch"] = "batch"
    instance_type: InstanceType
    instances: PositiveInt = 1
    input: str = Field(pattern=r"^s3://[^/]+/.*$")
    output: str = Field(pattern=r"^s3://[^/]+/.*$")
    content_type: str = "application/jsonlines"
    strategy: Literal["MultiRecord", "SingleRecord"] = "MultiRecord"
    max_payload_mb: int = Field(6, ge=0, le=100)


def _check_order(least: int, most: int) -> None:
    if least > most:
        raise ValueError(f"the least ({least}) is more than the most ({most})")


Hosting = Annotated[
    RealTime | Serverless | Asynchronous | Components | BatchTransform,
    Field(discriminator="kind"),
]
