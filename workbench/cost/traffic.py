"""Traffic of a month: how many requests, when, how large, and what is expected of the answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeInt, ValidationError, ValidationInfo

from workbench.cost import _traffic_arrivals as arriving
from workbench.cost._traffic_file import as_fields, error_at, explain, read_source
from workbench.cost._traffic_log import Log
from workbench.cost._traffic_shapes import (
    Bursts,
    Constant,
    Daily,
    Growth,
    OfficeHours,
    Shape,
    Share,
    Weekly,
)
from workbench.cost._traffic_units import (
    MONTH_HOURS,
    check_requests,
    parse_latency,
    parse_requests,
    parse_share,
    parse_size,
)
from workbench.errors import InputError
from workbench.records import Record

if TYPE_CHECKING:
    import numpy as np

    from workbench.records import Run
    from workbench.yaml_source import YamlSource

__all__ = [
    "MONTH_HOURS",
    "Bursts",
    "Constant",
    "Daily",
    "Growth",
    "Log",
    "OfficeHours",
    "Traffic",
    "Weekly",
    "parse_latency",
    "parse_requests",
    "parse_share",
    "parse_size",
    "read_traffic",
    "recorded_traffic",
    "traffic_in",
]


def _requests(value: Any, info: ValidationInfo) -> float:
    try:
        return parse_requests(value, hours=(info.context or {}).get("hours", MONTH_HOURS))
    except InputError as error:
        raise ValueError(str(error)) from None


def _size(value: Any) -> int:
    try:
        return parse_size(value)
    except InputError as error:
        raise ValueError(str(error)) from None


def _latency(value: Any) -> float | None:
    try:
        return None if value is None else parse_latency(value)
    except InputError as error:
        raise ValueError(str(error)) from None


class Traffic(Record):
    """Requests of a month and what is expected of the answers.

    The month starts on a Monday at 00:00, in the clock of those who send the requests. Everything
    that is drawn is drawn by ``seed``.
    """

    requests: Annotated[float, BeforeValidator(_requests)] = Field(
        gt=0, le=1e12, description="A month: 1500000, 1.5M, 20/s, 3 per minute."
    )
    shape: Shape = Field(default_factory=Constant, description="How they lie over the month.")
    payload_in_bytes: Annotated[int, BeforeValidator(_size)] = Field(
        1024, ge=0, description="Of one request."
    )
    payload_out_bytes: Annotated[int, BeforeValidator(_size)] = Field(
        4096, ge=0, description="Of one answer."
    )
    p99_ms: Annotated[float | None, BeforeValidator(_latency)] = Field(
        None, gt=0, description="The objective; none: any latency."
    )
    cold_start_share: Share = Field(
        0.01, description="Share of requests that may meet a cold start."
    )
    batchable: Share = Field(0.0, description="Share that may wait for a nightly run.")
    availability: Literal["single", "redundant"] = "single"
    seed: NonNegativeInt = 0

    def per_minute(self, hours: int) -> np.ndarray:
        """Expected requests in each minute: float64 ``[hours * 60]``, summing to ``requests``.

        Raises:
            InputError: the shape is a log whose file is gone or was made unreadable.
        """
        import numpy as np

        weights: np.ndarray = self.shape.spread(hours, self.seed)
        weights = weights / weights.max()  # a month may hold only the tiniest of the weights
        return np.asarray(weights * (self.requests / weights.sum()))

    def arrivals(self, hours: int, seed: int | None = None) -> Iterator[np.ndarray]:
        """When each request comes: for each hour its seconds since the month's start, sorted.

        Poisson within the minutes of ``per_minute``; of a log of timestamps the times themselves,
        thinned or multiplied if ``requests`` is not the log's own volume. An hour's float64 array
        is made when it is asked for, so that a month of any volume needs the memory of an hour.

        Args:
            hours: the length of the month.
            seed: of what is drawn; none: the traffic's own.

        Raises:
            InputError: as ``per_minute``.
        """
        seed = self.seed if seed is None else abs(seed)
        if isinstance(self.shape, Log):
            window = self.shape.window()
            volume = float(window.minutes[window.index(hours)].sum())
            if window.times is not None and volume > 0:
                factor = self.requests / volume
                return arriving.replayed(window, window.times, hours, factor, seed)
        return arriving.drawn(self.per_minute(hours), seed)

    def scaled(self, requests: float) -> Traffic:
        """The same traffic with another number of requests a month.

        Raises:
            InputError: the number is not above 0, or above 1e12.
        """
        return self.model_copy(update={"requests": check_requests(float(requests))})

    def describe(self, hours: int = MONTH_HOURS) -> str:
        """One sentence: requests a month, shape, peak and mean per second.

        Raises:
            InputError: as ``per_minute``.
        """
        peak = float(self.per_minute(hours).max()) / 60
        mean = self.requests / (hours * 3600)
        volume = f"{self.requests:,.0f}" if self.requests >= 100 else f"{self.requests:.3g}"
        return (
            f"{volume} requests a month, {self.shape.title()}, "
            f"peak {_rate(peak)}, mean {_rate(mean)}"
        )


def _rate(a_second: float) -> str:
    for value, unit in ((a_second, "s"), (a_second * 60, "min")):
        if value >= 0.01:
            return f"{value:,.0f}/{unit}" if value >= 10 else f"{value:.2g}/{unit}"
    return f"{a_second * 3600:.2g}/h"


def read_traffic(
    path: Path | str, overrides: tuple[str, ...] = (), *, hours: int = MONTH_HOURS
) -> Traffic:
    """Read a traffic file; of a log without ``requests``, the log's own volume in a month.

    Args:
        path: the YAML file.
        overrides: ``key.path=value`` with a YAML value, applied before anything is checked.
        hours: the length of the month, for rates such as ``20/s`` and for the log's volume.

    Raises:
        InputError: anything is wrong; it names file, line, key and, for a misspelt key, the
            nearest right one.
    """
    return traffic_in(read_source(Path(path), overrides), hours=hours)


def traffic_in(source: YamlSource, *, hours: int = MONTH_HOURS) -> Traffic:
    """The traffic that a mapping of keys describes, as ``read_traffic`` does.

    Raises:
        InputError: as ``read_traffic``.
    """
    data = as_fields(source)
    measured = "requests" not in data and isinstance(data.get("shape"), dict)
    try:
        traffic = Traffic.model_validate(
            {"requests": 1, **data} if measured else data, context={"hours": hours}
        )
    except ValidationError as error:
        raise explain(error, source) from error
    if not isinstance(traffic.shape, Log):
        return traffic
    volume = float(traffic.shape.spread(hours, traffic.seed).sum())
    try:
        return traffic.scaled(volume) if measured else traffic
    except InputError as error:
        raise error_at(source, ("log",), error.message) from error


def recorded_traffic(run: Run) -> Traffic | None:
    """The traffic that the recipe of a run names, if it names one."""
    return None if run.traffic is None else Traffic.model_validate(run.traffic)
