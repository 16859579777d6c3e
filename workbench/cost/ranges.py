"""A figure that is known only within a range: low, mid, high."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from pydantic import model_validator

from workbench.records import Record

Value = TypeVar("Value")
Other = TypeVar("Other")


class Range(Record, Generic[Value]):
    """``low`` ≤ ``mid`` ≤ ``high``; measured figures have their interval, predictions theirs."""

    low: Value
    mid: Value
    high: Value

    @model_validator(mode="after")
    def _ordered(self) -> Range[Value]:
        if not self.low <= self.mid <= self.high:  # type: ignore[operator]
            raise ValueError(f"not in order: {self.low}, {self.mid}, {self.high}")
        return self

    def map(self, function: Callable[[Value], Other]) -> Range[Other]:
        """Each of the three through a function; its order may turn round."""
        made = sorted([function(self.low), function(self.mid), function(self.high)])  # type: ignore[type-var]
        return Range(low=made[0], mid=made[1], high=made[2])


def exactly(value: Value) -> Range[Value]:
    """A figure without doubt."""
    return Range(low=value, mid=value, high=value)
