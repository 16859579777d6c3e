"""What is asked of all options alike: batches, a response cache, a private link, families."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pydantic import Field, NonNegativeInt

from workbench.cost.catalog import Catalog, Key
from workbench.cost.catalog.records import ANY
from workbench.cost.catalog.tables import INSTANCE
from workbench.cost.traffic import parse_share
from workbench.errors import InputError
from workbench.plugins import did_you_mean
from workbench.records import Record

if TYPE_CHECKING:
    from workbench.cost.case import Case
    from workbench.cost.options import Capacity, Option


class Modifiers(Record):
    """The default changes nothing."""

    batching: bool = Field(False, description="The container batches requests that wait together.")
    cache_hits: float = Field(0.0, ge=0, lt=1, description="Share that its cache answers.")
    private_link: NonNegativeInt = Field(0, description="Zones with an interface endpoint.")
    families: tuple[str, ...] = Field((), description="The only families; none: all of them.")

    def describe(self) -> str:
        """What is asked, for a headline; empty where nothing is."""
        said = (
            ("batching", self.batching),
            (f"{self.cache_hits * 100:g}% answered by the cache", self.cache_hits),
            (f"PrivateLink, zones: {self.private_link}", self.private_link),
            (f"only {', '.join(self.families)}", self.families),
        )
        return ", ".join(text for text, asked in said if asked)


UNMODIFIED = Modifiers()


def parse_cache_hits(text: str) -> float:
    """A share of hits: ``30%``.

    Raises:
        InputError: it cannot be read, is negative, or leaves nothing to compute.
    """
    try:
        share = parse_share(text)
    except InputError:
        share = 1.0
    if share >= 1:
        raise InputError(
            f"A cache cannot answer '{text}' of the requests.",
            hint="Give a share from 0% to below 100%, such as 30%.",
        )
    return share


def parse_families(names: Iterable[str], catalog: Catalog) -> tuple[str, ...]:
    """Families of instance types, as a list or separated by commas: ``c7g,c6i``.

    Raises:
        InputError: there is no such family; the message has the nearest ones.
    """
    known = sorted({kind.family for kind in catalog.types.values()})
    given = [part.strip().removeprefix("ml.") for name in names for part in name.split(",")]
    for name in given:
        if name in known:
            continue
        for key, why in catalog.absent.items():
            if _is_type_of(key, name):
                raise InputError(f"The family '{name}' cannot be priced: {why}.")
        raise InputError(f"There is no family '{name}'.", hint=did_you_mean(name, known))
    return tuple(dict.fromkeys(given))


def _is_type_of(key: Key, family: str) -> bool:
    return key.service == INSTANCE and key.region == ANY and key.item.split(".")[1] == family


def said(case: Case, option: Option, capacity: Capacity) -> Iterator[str]:
    """What is assumed of the modifiers, in sentences that stand beside a result."""
    asked = case.modifiers
    if option.job:
        if asked.batching or asked.cache_hits:
            yield "A job's requests hold many rows: neither batching nor the cache changes it."
    else:
        if asked.batching:
            yield _of_batching(case, capacity)
        if asked.cache_hits:
            yield (
                f"{asked.cache_hits * 100:g}% of the requests are answered by the cache of the "
                "container that they reach (CACHE_BYTES); they are sent and paid as all others. "
                "Each container has a cache of its own: the share must be that of requests which "
                "the same one was asked before, and more instances hit less."
            )
    if asked.private_link and not option.sagemaker:
        yield (
            "Its requests do not come through SageMaker's runtime: its network is not modelled, "
            "and --private-link adds nothing to it."
        )
    if case.profile.gpu:
        yield (
            "One inference, or batch, at a time on each GPU; whether the model fits into its "
            "memory is not checked, as the catalog does not know it."
        )


def _of_batching(case: Case, capacity: Capacity) -> str:
    if capacity.batch is None:
        return (
            "A copy of a function answers one request at a time, and each request's time is paid: "
            "batching changes nothing."
        )
    if capacity.batch == 1:
        shared = ", or models share them, whose requests do not run together"
        why = f"batches would need no fewer instances{shared if case.portfolio > 1 else ''}"
        return f"Requests run one at a time: {why}."
    return (
        f"Requests that wait together run as one batch of at most {capacity.batch} (MAX_BATCH), "
        "the smallest measured size that needs the fewest instances; one that finds a free lane "
        "runs at once. A batch between two measured sizes takes a time between theirs. Each lane "
        "is reckoned alone with its share of the requests (a bulk-service queue), which waits "
        "longer than lanes that share a line; batches gain as much as where they were measured."
    )
