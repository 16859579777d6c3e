"""How a month's requests lie over its minutes: the shapes that can be written in a traffic file.

Every shape gives non-negative weights for the minutes of a month that starts on a Monday at 00:00;
only their proportions count. A month too short to hold any traffic of its shape has it evenly.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from workbench.cost._traffic_log import Log
from workbench.cost._traffic_units import parse_share
from workbench.cost._traffic_week import DAYS, Days, Hours
from workbench.errors import InputError
from workbench.plugins import nearest
from workbench.records import Record

if TYPE_CHECKING:
    import numpy as np

DAY, WEEK = 1440, 10080
"""Minutes."""


def _share(value: Any) -> float:
    try:
        return parse_share(value)
    except InputError as error:
        raise ValueError(str(error)) from None


Share = Annotated[float, BeforeValidator(_share), Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


def _some_weight(weights: tuple[float, ...]) -> tuple[float, ...]:
    if not any(weights):
        raise ValueError("one of the weights must be above 0")
    return weights


class Constant(Record):
    """The same at all times."""

    kind: Literal["constant"] = "constant"

    def title(self) -> str:
        """A few words for one who knows the file."""
        return "constant"

    def spread(self, hours: int, seed: int) -> np.ndarray:
        """Weight of each minute: float64 ``[hours * 60]``."""
        import numpy as np

        return np.ones(hours * 60)


class OfficeHours(Record):
    """Most requests within certain hours of certain days, evenly; the rest evenly outside."""

    kind: Literal["office-hours"] = "office-hours"
    hours: Hours = Field((9.0, 17.0), description="From and to, within a day: 9-17, 8:30-18:00.")
    days: Days = Field(DAYS[:5], description="mon-fri, or a list of days.")
    outside: Share = Field(0.05, description="Share of the month's requests outside of them.")

    @model_validator(mode="after")
    def _somewhere(self) -> OfficeHours:
        if self.outside and len(self.days) == 7 and self.hours == (0, 24):
            raise ValueError("these office hours leave nothing outside: set 'outside: 0'")
        return self

    def title(self) -> str:
        """A few words for one who knows the file."""
        return "office hours"

    def spread(self, hours: int, seed: int) -> np.ndarray:
        """Weight of each minute: float64 ``[hours * 60]``."""
        import numpy as np

        minute = np.arange(hours * 60)
        of_day = minute % DAY / 60
        days = np.isin(minute // DAY % 7, [DAYS.index(day) for day in self.days])
        inside = days & (of_day >= self.hours[0] - 1e-9) & (of_day < self.hours[1] - 1e-9)
        count = int(inside.sum())
        within, beyond = (
            (1 - self.outside) / max(count, 1),
            self.outside / max(len(minute) - count, 1),
        )
        return _or_even(np.where(inside, within, beyond))


def _daily(value: Any) -> Any:
    return {"weights": value} if isinstance(value, list | tuple) else value


class Daily(Record):
    """Every day alike: 24 weights, or a smooth curve with one peak.

    A weight holds for its whole hour, the first from 00:00. The smooth curve is von Mises's, the
    bell on a circle: ``peak_to_mean`` is its highest minute over the day's mean minute.
    """

    kind: Literal["daily"] = "daily"
    weights: tuple[Weight, ...] | None = Field(
        None, min_length=24, max_length=24, description="24, from 00:00 on."
    )
    peak_hour: float | None = Field(None, ge=0, lt=24, description="14.5 is 14:30; 14 if unset.")
    peak_to_mean: float | None = Field(None, ge=1, le=24, description="2 if unset.")

    @model_validator(mode="after")
    def _one_way(self) -> Daily:
        if self.weights is None:
            return self
        _some_weight(self.weights)
        if self.peak_hour is not None or self.peak_to_mean is not None:
            raise ValueError("write either weights, or peak_hour and peak_to_mean")
        return self

    def title(self) -> str:
        """A few words for one who knows the file."""
        if self.weights:
            return "daily curve"
        hour, minute = divmod(round(self._peak * 60), 60)
        return f"daily curve with its peak at {hour % 24:02}:{minute:02}"

    @property
    def _peak(self) -> float:
        return 14.0 if self.peak_hour is None else self.peak_hour

    def day(self) -> np.ndarray:
        """Weight of each minute of a day: float64 ``[1440]``, its mean 1."""
        import numpy as np

        if self.weights:
            curve = np.repeat(np.array(self.weights) / max(self.weights), 60)
        else:
            cosine = np.cos(2 * np.pi * ((np.arange(DAY) + 0.5) / DAY - self._peak / 24))
            curve = _bell(cosine, 2.0 if self.peak_to_mean is None else self.peak_to_mean)
        return np.asarray(curve / curve.mean())

    def spread(self, hours: int, seed: int) -> np.ndarray:
        """Weight of each minute: float64 ``[hours * 60]``."""
        import numpy as np

        return _or_even(self.day()[np.arange(hours * 60) % DAY])


def _bell(cosine: np.ndarray, peak_to_mean: float) -> np.ndarray:
    """``exp(k cos)`` with the k at which the highest value is so many times the mean."""
    import numpy as np

    highest = cosine.max()
    low, high = 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        if 1 / np.exp(middle * (cosine - highest)).mean() < peak_to_mean:
            low = middle
        else:
            high = middle
    return np.asarray(np.exp(low * (cosine - highest)))


class Weekly(Record):
    """Seven weights, Monday first, each for all of its day's requests, times a daily curve."""

    kind: Literal["weekly"] = "weekly"
    weights: tuple[Weight, ...] = Field(
        min_length=7, max_length=7, description="Seven, Monday first."
    )
    daily: Annotated[Daily, BeforeValidator(_daily)] = Field(
        default_factory=Daily, description="24 weights, or peak_hour and peak_to_mean."
    )

    @model_validator(mode="after")
    def _some(self) -> Weekly:
        _some_weight(self.weights)
        return self

    def title(self) -> str:
        """A few words for one who knows the file."""
        return f"weekly, {self.daily.title()}"

    def spread(self, hours: int, seed: int) -> np.ndarray:
        """Weight of each minute: float64 ``[hours * 60]``."""
        import numpy as np

        days = np.array(self.weights) / max(self.weights)
        week = np.repeat(days, DAY) * np.tile(self.daily.day(), 7)
        return _or_even(week[np.arange(hours * 60) % WEEK])


def _named(value: Any) -> Any:
    """``daily``, ``{daily: {...}}`` and ``{daily: [...]}`` as the fields of the shape."""
    if isinstance(value, Record):
        return value
    name: Any = value
    options: Any = None
    if isinstance(value, dict) and "kind" in value:
        name, options = value["kind"], {k: v for k, v in value.items() if k != "kind"}
    elif isinstance(value, dict) and len(value) == 1:
        [(name, options)] = value.items()
        if name == "log":
            raise ValueError("write 'log: file.csv' as a key of its own, not as a shape")
    if not isinstance(name, str):
        raise ValueError(f"write one shape, such as {{daily: {{peak_hour: 14}}}}; {_list()}")
    if name not in (*SHAPES, "log"):
        close = nearest(name, SHAPES)
        mend = f"did you mean '{close}'? " if close else ""
        raise ValueError(f"there is no shape '{name[:60]}': {mend}{_list()}")
    if isinstance(options, list | tuple) and name in ("daily", "weekly"):
        options = {"weights": options}
    if options is not None and not isinstance(options, dict):
        raise ValueError(f"the options of '{name}' are keys and values, as in {{key: value}}")
    return {**(options or {}), "kind": name}


def _list() -> str:
    return f"shapes are {', '.join(SHAPES)}"


Plain = Annotated[
    Annotated[Constant | OfficeHours | Daily | Weekly, Field(discriminator="kind")],
    BeforeValidator(_named),
]


class Growth(Record):
    """A base that grows by a percentage within the month, compounding from minute to minute.

    The end of the month has ``1 + percent / 100`` times the traffic of its start; the month's sum
    stays what ``requests`` says. For the n-th month of a growth, give that month's ``requests``.
    """

    kind: Literal["growth"] = "growth"
    percent: float = Field(ge=-99, le=10_000, description="From the month's start to its end.")
    base: Plain = Field(default_factory=Constant, description="The shape that grows.")

    def title(self) -> str:
        """A few words for one who knows the file."""
        return f"{self.base.title()}, growing by {self.percent:g} % within the month"

    def spread(self, hours: int, seed: int) -> np.ndarray:
        """Weight of each minute: float64 ``[hours * 60]``."""
        import numpy as np

        growth = (1 + self.percent / 100) ** (np.arange(hours * 60) / (hours * 60))
        return _or_even(self.base.spread(hours, seed) * growth)


class Bursts(Record):
    """A base, and bursts that come on top at times drawn by the seed, never two at once.

    A burst adds ``height`` times the base's mean for ``minutes``. A month too short for all of
    them has as many as fit.
    """

    kind: Literal["bursts"] = "bursts"
    count: int = Field(ge=1, le=10_000, description="Bursts in the month.")
    minutes: int = Field(ge=1, le=DAY, description="Length of each.")
    height: float = Field(gt=0, le=100_000, description="What comes on top, in means of the base.")
    base: Annotated[
        Annotated[Constant | OfficeHours | Daily | Weekly | Growth, Field(discriminator="kind")],
        BeforeValidator(_named),
    ] = Field(default_factory=Constant, description="The shape below the bursts.")

    @model_validator(mode="after")
    def _rare(self) -> Bursts:
        if self.count * self.minutes > 365 * 60:
            raise ValueError("bursts of count times minutes fill more than half of the month")
        return self

    def title(self) -> str:
        """A few words for one who knows the file."""
        bursts = "burst" if self.count == 1 else "bursts"
        return f"{self.base.title()}, {self.count} {bursts} of {self.minutes} min"

    def spread(self, hours: int, seed: int) -> np.ndarray:
        """Weight of each minute: float64 ``[hours * 60]``."""
        weights = self.base.spread(hours, seed)
        extra = self.height * weights.mean()
        for start in self.starts(hours, seed):
            weights[start : start + self.minutes] += extra
        return weights

    def starts(self, hours: int, seed: int) -> list[int]:
        """First minutes of the bursts, in order."""
        count = min(self.count, hours * 60 // self.minutes)
        slots = hours * 60 - count * (self.minutes - 1)
        drawn = sorted(random.Random(seed).sample(range(slots), count))
        return [slot + index * (self.minutes - 1) for index, slot in enumerate(drawn)]


def _or_even(weights: np.ndarray) -> np.ndarray:
    import numpy as np

    return weights if weights.sum() > 0 else np.ones(len(weights))


SHAPES: dict[str, type[Record]] = {
    "constant": Constant,
    "office-hours": OfficeHours,
    "daily": Daily,
    "weekly": Weekly,
    "bursts": Bursts,
    "growth": Growth,
}

Shape = Annotated[
    Annotated[
        Constant | OfficeHours | Daily | Weekly | Bursts | Growth | Log,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_named),
]
