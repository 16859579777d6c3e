"""Serverless endpoint with copies that are kept warm: provisioned concurrency."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.catalog.limits import limit
from workbench.cost.money import Bill, Line, Quantity, Unit, decimal
from workbench.cost.options import Capacity, Option, Place
from workbench.cost.options._functions import busy_copies, check, start_seconds
from workbench.cost.options._instances import data_units, sagemaker_lines
from workbench.cost.options._levels import one_model
from workbench.cost.options._limits import check_concurrency
from workbench.cost.options._service import service_of_function
from workbench.cost.options.serverless import (
    ASSUMPTIONS,
    SERVICE,
    Serverless,
    duration,
    quota,
    serverless_reasons,
)
from workbench.cost.traffic import Traffic

if TYPE_CHECKING:
    import numpy as np

UPTIME, WITHIN, BEYOND = "provisioned uptime", "provisioned duration", "duration"
ITEMS = {
    UPTIME: "provisioned-usage",
    WITHIN: "provisioned-duration",
    BEYOND: "duration",
}


class ServerlessProvisioned(Option):
    """Serverless endpoint with warm copies for all but the requests that may meet a cold start."""

    name: ClassVar[str] = "serverless-provisioned"
    sagemaker: ClassVar[bool] = True
    regional: ClassVar[bool] = True

    def places(self, case: Case) -> Iterable[Place]:
        """The memory sizes from 1 to 6 GB."""
        return Serverless().places(case)

    def reasons(self, case: Case, place: Place) -> list[str]:
        """As without warm copies."""
        return serverless_reasons(case, place)

    def floor(self, case: Case, place: Place) -> Decimal:
        """One warm copy of each model all month."""
        units = {UPTIME: _uptime(case, case.portfolio)}
        return self.bill(units, place, case.catalog, case.region).usd

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """The fewest warm copies that leave few enough requests to others, all month.

        Every request that finds them all busy is counted as a cold start: the most it can be.
        """
        model, one = one_model(case), service_of_function(case, speed)
        most = int(limit("serverless", "provisioned_concurrency").value)
        check_concurrency(busy_copies(model.peak_rps, one.busy_s))
        warm, share = _warm(model, one.busy_s, most)
        starting = start_seconds(case, speed)
        p99_s = one.quantile_s(0.99) + (starting if share > 0.01 else 0.0)
        check(case, p99_s, share, starting, float(limit("serverless", "timeout_s").value))
        copies = warm * case.portfolio
        seconds = duration(case.traffic.requests, one).amount
        return Capacity(
            units={
                UPTIME: _uptime(case, copies),
                WITHIN: Quantity(amount=seconds * (1 - decimal(share)), unit=Unit.SECOND),
                BEYOND: Quantity(amount=seconds * decimal(share), unit=Unit.SECOND),
                **data_units(case),
            },
            instances=copies,
            p50_ms=one.quantile_s(0.5) * 1000,
            p99_ms=p99_s * 1000,
            cold_share=share,
            assumptions=(
                f"{warm} warm copies are kept all month; requests beyond them all start cold.",
                *ASSUMPTIONS[1:],
                *quota(case, warm),
            ),
        )

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """Uptime of warm copies, their duration, the duration of others, data."""
        lines = tuple(
            Line(
                item=name,
                quantity=units[name],
                price=catalog.item("aws", SERVICE, f"{item}-{place.memory_mb}", region),
            )
            for name, item in ITEMS.items()
            if name in units and (units[name].amount or name != BEYOND)
        )
        return Bill(lines=(*lines, *sagemaker_lines(dict(units), catalog, region)))


def _uptime(case: Case, copies: int) -> Quantity:
    return Quantity(amount=decimal(copies * case.hours * 3600), unit=Unit.SECOND)


def _warm(case: Case, service_s: float, most: int) -> tuple[int, float]:
    """The fewest warm copies, and the share of requests that find them all busy (Erlang's loss)."""
    import numpy as np

    rates, weights = _rates(case.arriving, case.hours)
    blocked = np.ones_like(rates)
    share = 1.0
    for copies in range(1, most + 1):
        load = rates * service_s
        blocked = load * blocked / (copies + load * blocked)
        share = float((weights * blocked).sum())
        if share <= case.traffic.cold_start_share and math.isfinite(share):
            return copies, share
    return most, share


@lru_cache(maxsize=64)
def _rates(traffic: Traffic, hours: int) -> tuple[np.ndarray, np.ndarray]:
    """Requests per second that occur in the month, and the share of the requests at each."""
    import numpy as np

    rates, counts = np.unique(np.round(traffic.per_minute(hours) / 60, 9), return_counts=True)
    weights = rates * counts
    return rates, weights / float(weights.sum())
