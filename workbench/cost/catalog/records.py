"""What the catalog holds: instance types, the key of a price, and the error of a missing one."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from pydantic import Field

from workbench.errors import InputError
from workbench.records import Record

ANY = "any"
"""In place of a region: the price is the same in all regions."""
SAGEMAKER_MODES = ("hosting", "async", "batch-transform", "multi-model")
"""What an ``ml.`` type is paid for by the hour; ``multi-model`` is paid as ``hosting``."""
EC2_MODES = ("ec2", "ec2-spot")
MODES = (*SAGEMAKER_MODES, *EC2_MODES)


class PriceMissingError(InputError):
    """No price is known for what was asked; the message says which."""


class InstanceType(Record):
    """A hosting instance type. ``isa`` are instruction sets; None where it is not known.

    ``modes`` are those of SageMaker that take it: ``hosting``, ``batch-transform``, ``async``,
    ``multi-model``; a type of EC2 (``c6i.large``) has ``ec2`` and ``ec2-spot``.
    """

    name: str
    family: str
    vcpus: int = Field(gt=0)
    cores: int | None = Field(gt=0)
    memory_gib: Decimal = Field(gt=0)
    architecture: str
    cpu: str
    isa: tuple[str, ...] | None
    accelerator: str | None = None
    accelerators: int = 0
    local_storage: bool = False
    modes: tuple[str, ...] = ()
    source: str
    as_of: str


class Key(NamedTuple):
    """What a price is of. An hourly price has the mode as its service and the type as its item."""

    provider: str
    service: str
    item: str
    region: str

    def __str__(self) -> str:
        if self.service in MODES:
            return f"{self.service} price of {self.item}"
        return f"price of {self.provider} {self.service} {self.item}"
