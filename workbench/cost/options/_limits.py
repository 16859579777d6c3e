"""Limits of SageMaker's modes that need the model's own times and numbers."""

from __future__ import annotations

from workbench.cost.case import Case
from workbench.cost.catalog.limits import limit
from workbench.cost.options import NotPossibleError


def timeout_reasons(p99_s: float, mode: str, name: str = "timeout_s") -> list[str]:
    """Why an inference takes too long for a mode, if it does."""
    most = limit(mode, name)
    if most.value is None or p99_s <= float(most.value):
        return []
    return [f"One inference takes {p99_s:.0f} s; the time-out is {most.text}."]


def endpoint_reasons(case: Case, mode: str = "serverless") -> list[str]:
    """Why so many models cannot have an endpoint each, if they cannot."""
    most = limit(mode, "endpoints_per_region")
    if case.portfolio <= int(most.value):
        return []
    return [f"{case.portfolio} models need as many endpoints; a region takes {most.text}."]


def check_concurrency(copies: int) -> None:
    """Whether a serverless endpoint may answer so many requests at once.

    Raises:
        NotPossibleError: it may not.
    """
    most = limit("serverless", "max_concurrency_per_endpoint")
    if copies > int(most.value):
        raise NotPossibleError(
            f"{copies} requests are answered at once at the peak; the limit is {most.text}."
        )
