"""What simulations return: frozen records of one month."""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from workbench.records import Record


class Answers(Record):
    """How the requests of a month were answered.

    Response times are those of the requests that were answered, in milliseconds, without the
    network; infinite where no request was. ``dropped_share`` are requests that had no capacity or
    would have waited longer than they may.
    """

    requests: NonNegativeFloat
    p50_ms: NonNegativeFloat
    p99_ms: NonNegativeFloat
    dropped_share: NonNegativeFloat = Field(le=1)
    simulated_share: NonNegativeFloat = Field(
        le=1, description="Share of requests that went through events; the rest by closed form."
    )


class ScalingResult(Answers):
    """A month of instances that come and go."""

    instance_hours: NonNegativeFloat = Field(description="Billed: from launch to termination.")
    peak_instances: NonNegativeInt = Field(description="Most that were billed at a time.")
    utilisation: NonNegativeFloat = Field(description="Busy share of the lanes in service.")
    short_share: NonNegativeFloat = Field(
        le=1, description="Share of requests in times when more came than could be served."
    )
    launches: NonNegativeInt = Field(description="Times that capacity was added.")


class ZeroScalingResult(ScalingResult):
    """A month with times without any instance.

    ``waiting_share`` are requests that came while nothing was in service: an asynchronous endpoint
    keeps them, of a real-time endpoint they fail (and are part of ``dropped_share``).
    """

    waiting_share: NonNegativeFloat = Field(le=1)
    wake_ups: NonNegativeInt
    zero_hours: NonNegativeFloat = Field(description="Hours without a billed instance.")


class ServerlessResult(Answers):
    """A month of a serverless endpoint."""

    cold_share: NonNegativeFloat = Field(le=1, description="Of all requests.")
    throttled_share: NonNegativeFloat = Field(le=1, description="Refused: all environments busy.")
    billed_s: NonNegativeFloat = Field(description="Seconds of service, without cold starts.")
    peak_concurrency: NonNegativeInt


class MultiModelResult(Answers):
    """A month of many models on a fixed number of instances."""

    cold_share: NonNegativeFloat = Field(le=1, description="Requests that waited for a load.")
    miss_share: NonNegativeFloat = Field(le=1, description="Requests that began a load.")
    instance_hours: NonNegativeFloat
    peak_instances: NonNegativeInt
    utilisation: NonNegativeFloat
