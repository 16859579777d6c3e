"""An option that is always refused, with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.money import Bill, Quantity
from workbench.cost.options import Capacity, NotPossibleError, Option, Place


class Retired(Option):
    """One place, which is always refused."""

    why: ClassVar[str]

    def places(self, case: Case) -> Iterable[Place]:
        """One, so that the reason is told."""
        yield Place()

    def reasons(self, case: Case, place: Place) -> list[str]:
        """Always the same."""
        return [self.why]

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """None."""
        raise NotPossibleError(self.why)

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """None."""
        raise NotPossibleError(self.why)
