"""How SageMaker scales endpoints: periods, cooldowns and start times, each with source and date.

For a simulator of scaling and for options that scale. Times are in seconds. Metrics count per
minute where their name does not say otherwise: ``InvocationsPerInstance`` is per MINUTE.
"""

from __future__ import annotations

from pydantic import Field

from workbench.cost.ranges import Range, exactly
from workbench.records import Record


class Figure(Record):
    """A figure in a range, with where it is from."""

    range: Range[float]
    note: str = ""
    source: str
    as_of: str


class Alarm(Record):
    """When target tracking acts: so many datapoints in a row beyond a share of the target."""

    datapoints: int = Field(gt=0)
    period_s: float = Field(gt=0)
    share_of_target: float = Field(gt=0)
    source: str
    as_of: str

    @property
    def seconds(self) -> float:
        """How long the metric must be beyond the threshold."""
        return self.datapoints * self.period_s


_TARGET_TRACKING = (
    "Application Auto Scaling as its alarms look in an ECS Fargate workshop sample and EC2's "
    "example; SageMaker's docs do not repeat it"
)
_ZERO_BLOG = "AWS blog on scaling to zero with inference components"
_ZERO_DOCS = "AWS docs, endpoint-auto-scaling-zero-instances"
_POLICY_DOCS = "AWS docs, endpoint-auto-scaling-policy"
_ASYNC_DOCS = "AWS docs, async-inference-autoscale"

SCALE_OUT_ALARM = Alarm(
    datapoints=3, period_s=60, share_of_target=1.0, source=_TARGET_TRACKING, as_of="2024"
)
SCALE_IN_ALARM = Alarm(
    datapoints=15, period_s=60, share_of_target=0.9, source=_TARGET_TRACKING, as_of="2024"
)
"""Other bands than 10 % are seen in EC2's docs (50 to 37.5)."""
HIGH_RESOLUTION_OUT_ALARM = Alarm(
    datapoints=1, period_s=60, share_of_target=1.0, source=_ZERO_BLOG, as_of="2024-12"
)
"""Of the metrics that come every 10 s."""
HIGH_RESOLUTION_IN_ALARM = Alarm(
    datapoints=90, period_s=10, share_of_target=0.9, source=_ZERO_BLOG, as_of="2024-12"
)
ASYNC_WAKE_ALARM = Alarm(
    datapoints=2, period_s=60, share_of_target=1.0, source=_ASYNC_DOCS, as_of="2023"
)
"""``HasBacklogWithoutCapacity``: a step of one instance from zero."""

COOLDOWN_OUT = Figure(range=exactly(300.0), note="default", source=_POLICY_DOCS, as_of="2026")
COOLDOWN_IN = Figure(range=exactly(300.0), note="default", source=_POLICY_DOCS, as_of="2026")
ASYNC_WAKE_COOLDOWN = Figure(range=exactly(300.0), source=_ASYNC_DOCS, as_of="2023")
ZERO_WAKE_COOLDOWN = Figure(
    range=exactly(60.0), note="NoCapacityInvocationFailures", source=_ZERO_DOCS, as_of="2026"
)

METRIC_PERIOD = Figure(
    range=exactly(60.0),
    note="SageMakerVariantInvocationsPerInstance",
    source="AWS docs, monitoring-cloudwatch",
    as_of="2023",
)
METRIC_PERIOD_HIGH_RESOLUTION = Figure(
    range=exactly(10.0),
    note="ConcurrentRequestsPerModel",
    source="AWS docs, endpoint-auto-scaling-add-code-define",
    as_of="2026",
)
METRIC_LAG = Figure(
    range=Range[float](low=60, mid=90, high=120), source=_TARGET_TRACKING, as_of="2024"
)

START_REAL_TIME = Figure(
    range=Range[float](low=240, mid=360, high=600),
    note="from the decision to an instance in service: image, model, health check",
    source="report on ml.g5.xlarge: 4 min to an endpoint, 6 min to its component; up to 10 min",
    as_of="2026-07",
)
START_FROM_ZERO = Figure(
    range=Range[float](low=302, mid=360, high=564),
    note="real-time with inference components, alarm included; requests fail meanwhile",
    source=f"{_ZERO_BLOG}: 5.0 min (8B model), 6 min (70B); report on ml.g5.xlarge: 9.4 min",
    as_of="2024-12 to 2026-07",
)
START_ASYNC = Figure(
    range=Range[float](low=420, mid=480, high=540),
    note="0 to 1 instance, alarm included; requests wait in the queue",
    source="philschmid.de, sagemaker-huggingface-async-inference: 7 to 9 min on ml.g4dn.xlarge",
    as_of="2022-02",
)
IDLE_TO_ZERO = Figure(
    range=Range[float](low=660, mid=720, high=1500),
    note="from the last request to no instance, all of it billed",
    source=f"report on ml.g5.xlarge: 11 to 12 min (2026-07); {_ZERO_BLOG}: 15 + 10 min",
    as_of="2024-12 to 2026-07",
)
ASYNC_WAKE_BILLED = Figure(
    range=Range[float](low=1200, mid=1500, high=1800),
    note="start and idle tail of one burst, with a cooldown of 600 s; an estimate",
    source="a public cost page of a deployed project",
    as_of="2026-09-28",
)

SAFETY_FACTOR = Figure(
    range=exactly(0.5),
    note="target = highest rate of an instance x factor x 60; to begin with, then test upwards",
    source="AWS docs, endpoint-scaling-loadtest",
    as_of="2026",
)

MINIMUM_INSTANCES = {"real_time": 1, "asynchronous": 0, "inference_components": 0}
"""Least capacity by mode (botocore 1.44.5; AWS docs, endpoint-auto-scaling-zero-instances; 2026).
A serverless endpoint has none to scale."""


def figures() -> dict[str, Figure | Alarm]:
    """All of them by name, for listings."""
    return {name: value for name, value in globals().items() if isinstance(value, Figure | Alarm)}
