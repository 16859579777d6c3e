"""Hosting options: each file here is one way to host a model, found by being there.

An option says where it could run (``places``), why it cannot (``reasons``), what it uses over a
month (``capacity``) and what that costs (``bill``). ``bill`` knows nothing of the traffic: it
prices units, so that a published calculation can be put through it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from workbench.cost.money import Bill, Quantity
from workbench.plugins import Plugin, plugins
from workbench.records import Record

if TYPE_CHECKING:
    from workbench.cost.case import Case
    from workbench.cost.catalog import Catalog


class Place(Record):
    """Where an option would run: an instance type, or a memory size of a serverless service."""

    instance_type: str | None = None
    memory_mb: int | None = None
    vcpus: Decimal | None = None

    def __str__(self) -> str:
        if self.instance_type:
            return self.instance_type
        cpus = f"{self.vcpus.normalize():f} vCPU, " if self.vcpus else ""
        return f"{cpus}{(self.memory_mb or 0) / 1024:g} GB"


class Capacity(Record):
    """What an option uses in a month, and how it answers.

    Latencies in milliseconds, without the network. ``cold_share`` is the share of requests that
    meet a cold start. ``batch`` is how many requests run together at most; none where a copy
    answers one at a time. ``assumptions`` are sentences that stand beside the result.
    """

    units: Mapping[str, Quantity]
    instances: int | None = Field(None, description="At the peak.")
    p50_ms: float
    p99_ms: float
    cold_share: float = 0.0
    batch: int | None = None
    assumptions: tuple[str, ...] = ()


class Option(Plugin):
    """Base of all hosting options; the first line of the docstring is the title."""

    name: ClassVar[str]
    provider: ClassVar[str] = "aws"
    savings_plan: ClassVar[bool] = False
    """Whether its instance-hours are usage that a Machine Learning Savings Plan covers."""
    sagemaker: ClassVar[bool] = False
    """Whether its requests come through SageMaker's runtime, which PrivateLink can lead to."""
    job: ClassVar[bool] = False
    """Whether it is a job over many rows, to which no single requests come."""
    gpu: ClassVar[bool] = False
    """Whether it has the GPU that a profile names, without instance types of its own."""
    regional: ClassVar[bool] = False
    """Whether its reasons, its capacity or its assumptions differ between regions; the others'
    hold for a place in every region, only the prices are others."""

    unmoved: ClassVar[bool] = True
    """Whether the capacity stays as it is under an objective that it keeps with room to spare."""

    @abstractmethod
    def places(self, case: Case) -> Iterable[Place]:
        """Where it could run at all in the case's region."""

    @abstractmethod
    def reasons(self, case: Case, place: Place) -> list[str]:
        """Why it is not possible there, at any volume of the traffic; sentences with the limit and
        its value. Empty: possible."""

    def floor(self, case: Case, place: Place) -> Decimal:
        """A month there costs at least so much, at the ``mid`` speed; the planner looks no further
        where that is more than it has found already.

        Of two places the same one must have the lower floor at every volume of the traffic.

        Raises:
            PriceMissingError: a price is not in the catalog which ``bill`` needs too.
        """
        return Decimal(0)

    @abstractmethod
    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """What it uses in a month if the place is ``speed`` times the measured machine.

        Raises:
            NotPossibleError: no number of instances meets the objective.
        """

    @abstractmethod
    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """The lines that so many units cost.

        Raises:
            PriceMissingError: a price is not in the catalog.
        """


class NotPossibleError(Exception):
    """An option cannot serve the case at any size; the message says why."""


class NowhereError(NotPossibleError):
    """So in every region, with the same message, even if the option is ``regional``."""


class TooSlowError(NowhereError):
    """So at every volume of the traffic too: the service itself is too slow."""


def options() -> dict[str, type[Option]]:
    """All options by name."""
    return plugins("workbench.cost.options", Option)
