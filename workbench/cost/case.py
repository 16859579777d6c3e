"""One question: this variant, this traffic, in this region, at these prices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from workbench.cost.catalog import Catalog
from workbench.cost.modifiers import UNMODIFIED, Modifiers
from workbench.cost.profile import Point, ServiceProfile
from workbench.cost.savings_plan import SavingsPlan
from workbench.cost.traffic import Traffic

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Case:
    """What an option is asked about. ``hours`` is the length of the month."""

    profile: ServiceProfile
    traffic: Traffic
    catalog: Catalog
    region: str = "us-east-1"
    hours: int = 730
    sequence: int | None = None
    """Tokens of a request, one of the lengths that were measured; none: the longest of them."""
    savings_plan: SavingsPlan | None = None
    portfolio: int = 1
    """Models of the same kind that are hosted together; the traffic is that of all of them."""
    modifiers: Modifiers = UNMODIFIED

    @cached_property
    def arriving(self) -> Traffic:
        """The traffic without its objective, of which nothing that comes depends."""
        return self.traffic.model_copy(update={"p99_ms": None})

    @cached_property
    def per_minute(self) -> np.ndarray:
        """Expected requests in each minute of the month: float64 ``[hours * 60]``."""
        return per_minute_of(self.arriving, self.hours)

    @cached_property
    def alone(self) -> Point:
        """The point of one request by itself, at the case's sequence length.

        Raises:
            InputError: that length was not measured.
        """
        return self.profile.alone(self.sequence)

    @cached_property
    def hourly_rps(self) -> np.ndarray:
        """Mean requests per second of each hour: float64 ``[hours]``."""
        rates: np.ndarray = self.per_minute.reshape(-1, 60).sum(axis=1) / 3600
        return rates

    @cached_property
    def peak_rps(self) -> float:
        """Requests per second in the busiest minute."""
        return float(self.per_minute.max()) / 60


@lru_cache(maxsize=4)
def per_minute_of(traffic: Traffic, hours: int) -> np.ndarray:
    """``Traffic.per_minute``, kept for those who ask the same next; it cannot be written to."""
    found = traffic.per_minute(hours)
    found.setflags(write=False)
    return found
