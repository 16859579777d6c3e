"""One question: this variant, this traffic, in this region, at these prices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from workbench.cost.catalog import Catalog
from workbench.cost.modifiers import UNMODIFIED, Modifiers
from workbench.cost.profile import ServiceProfile
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
    def per_minute(self) -> np.ndarray:
        """Expected requests in each minute of the month: float64 ``[hours * 60]``."""
        return self.traffic.per_minute(self.hours)

    @cached_property
    def peak_rps(self) -> float:
        """Requests per second in the busiest minute."""
        return float(self.per_minute.max()) / 60
