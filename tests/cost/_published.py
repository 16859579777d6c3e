"""Published calculations put through the engine: which call of it an entry's mode and inputs mean.

A rule is chosen by mode and by the inputs that an entry has, the one with the most of them; so a
new entry of a known kind needs nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from workbench.cost import unit_costs
from workbench.cost.catalog import Catalog, Key
from workbench.cost.money import (
    Bill,
    Line,
    Price,
    Quantity,
    Unit,
    decimal,
    gb_seconds,
    hours,
    requests,
)
from workbench.cost.options import Option, Place, options
from workbench.cost.options._instances import sagemaker_lines
from workbench.cost.options.cloud_run import ITEMS as CLOUD_RUN_ITEMS
from workbench.cost.options.cloud_run import vcpu_seconds
from workbench.cost.options.kubernetes import CONTROL_PLANES
from workbench.cost.options.lambda_ import TIERS
from workbench.yaml_source import read_yaml

FILE = Path(__file__).with_name("worked_examples.yaml")
REGION = "us-east-1"
HOURLY = ("hosting", "async", "batch-transform", "multi-model", "ec2", "ec2-spot")
OPTIONS = {
    "real_time": "real-time",
    "real_time_scheduled": "real-time",
    "batch_transform": "batch-transform",
    "asynchronous": "asynchronous",
    "multi_model": "multi-model",
    "ec2": "ec2",
}
GATEWAYS = {"api_gateway_rest": "rest-api", "api_gateway_http": "http-api"}

Rule = Callable[["Example"], Decimal]
RULES: list[tuple[frozenset[str], frozenset[str], Rule]] = []


@dataclass(frozen=True)
class Example:
    """One entry of the file."""

    data: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.data["id"])

    @property
    def inputs(self) -> Mapping[str, Any]:
        return dict(self.data["inputs"])

    def number(self, key: str, default: Any = None) -> Decimal:
        return decimal(self.inputs.get(key, default))

    def first(self, *keys: str) -> Decimal:
        """The first of several spellings of an input; 1 where none is given."""
        return next((self.number(key) for key in keys if key in self.inputs), Decimal(1))

    @property
    def published(self) -> Decimal:
        return decimal(self.data["published"])

    @property
    def tolerance(self) -> Decimal:
        return decimal(self.data["tolerance"])

    @property
    def option(self) -> Option:
        return _option(OPTIONS[self.data["mode"]])

    @property
    def place(self) -> Place:
        return Place(instance_type=self.inputs.get("instance", "ml.m5.xlarge"))

    @property
    def region(self) -> str:
        return str(self.inputs.get("region", REGION))

    def price(self, key: str, per: Unit = Unit.HOUR, divided_by: int = 1) -> Price:
        return Price(
            usd=self.number(key) / divided_by,
            per=per,
            source=str(self.data["source"]),
            as_of=str(self.data["as_of"]),
            confidence="user",
        )

    def hourly(self, key: str = "price_per_hour") -> dict[Key, Price]:
        """The entry's hourly price as that of its type, whatever it is used for."""
        kind = self.place.instance_type or ""
        return {Key("aws", mode, kind, self.region): self.price(key) for mode in HOURLY}

    def storage(self, key: str) -> dict[Key, Price]:
        price = self.price(key, Unit.GB_MONTH)
        return {Key("aws", "sagemaker", "hosting-storage", self.region): price}


def examples() -> list[Example]:
    """All entries of the file."""
    return [Example(entry) for entry in read_yaml(FILE).data["examples"]]


def answer(example: Example) -> Decimal:
    """What the engine finds for an entry.

    Raises:
        LookupError: nothing here knows entries of that kind.
    """
    given = frozenset(example.inputs)
    fitting = [r for r in RULES if example.data["mode"] in r[0] and r[1] <= given]
    if not fitting:
        raise LookupError(f"no rule for {example.data['mode']} with {sorted(given)}")
    return max(fitting, key=lambda rule: len(rule[1]))[2](example)


def rule(modes: str, *keys: str) -> Callable[[Rule], Rule]:
    """Register how entries of some modes with these inputs are computed."""

    def register(function: Rule) -> Rule:
        RULES.append((frozenset(modes.split()), frozenset(keys), function))
        return function

    return register


def catalog_with(prices: Mapping[Key, Price]) -> Catalog:
    """The shipped catalog with the entry's prices over it."""
    standard = Catalog.standard()
    return Catalog(standard.types, {**standard.prices, **prices}, standard.absent)


def billed(
    option: Option,
    units: Mapping[str, Quantity],
    prices: Mapping[Key, Price],
    place: Place | None = None,
    region: str = REGION,
) -> Bill:
    """The option's bill of units at the entry's prices."""
    return option.bill(units, place or Place(), catalog_with(prices), region)


def _option(name: str, **settings: Any) -> Option:
    made: Option = options()[name](**settings)
    return made


# --- instances by the hour ---------------------------------------------------------------------

ON_INSTANCES = " ".join(OPTIONS)


def _instance_bill(example: Example, used: Quantity, key: str = "price_per_hour") -> Bill:
    return billed(
        example.option, {"instances": used}, example.hourly(key), example.place, example.region
    )


@rule(ON_INSTANCES, "price_per_hour", "hours")
def _hours(example: Example) -> Decimal:
    count = example.first("instances", "count")
    return _instance_bill(example, hours(example.number("hours") * count)).usd


@rule(ON_INSTANCES, "price_per_hour", "minutes")
def _minutes(example: Example) -> Decimal:
    count = example.first("instances", "count")
    return _instance_bill(example, hours(example.number("minutes") / 60 * count)).usd


@rule(ON_INSTANCES, "price_per_hour", "seconds")
def _seconds(example: Example) -> Decimal:
    count = example.first("instances", "count")
    used = unit_costs.whole_seconds(example.number("seconds"), count)
    return _instance_bill(example, used).usd


@rule(ON_INSTANCES, "price", "quantity")
def _priced_hours(example: Example) -> Decimal:
    return _instance_bill(example, hours(example.number("quantity")), "price").usd


@rule("multi_model real_time", "price_per_hour", "instances_per_endpoint", "endpoints", "hours")
def _endpoints(example: Example) -> Decimal:
    count = example.number("instances_per_endpoint") * example.number("endpoints")
    return _instance_bill(example, hours(example.number("hours") * count)).usd


@rule("multi_model real_time", "instances", "monthly_each")
def _months(example: Example) -> Decimal:
    month = 730
    prices = {
        key: price.model_copy(update={"usd": price.usd / month})
        for key, price in example.hourly("monthly_each").items()
    }
    used = hours(example.number("instances") * month)
    units = {"instances": used}
    return billed(example.option, units, prices, example.place, example.region).usd


@rule("real_time", "gb", "price_per_gb_month", "hours")
def _storage(example: Example) -> Decimal:
    month = 720  # hours; as the sources of this kind of entry count
    used = unit_costs.gb_months(example.number("gb"), example.number("hours"), month)
    catalog = catalog_with(example.storage("price_per_gb_month"))
    return Bill(lines=tuple(sagemaker_lines({"storage": used}, catalog, example.region))).usd


@rule("real_time_scheduled", "price_per_hour", "hours_per_day", "days")
def _scheduled(example: Example) -> Decimal:
    used = example.number("hours_per_day") * example.number("days") * example.first("instances")
    units, prices = {"instances": hours(used)}, example.hourly()
    if "storage_gb" in example.inputs:
        amount = example.number("storage_gb")
        units["storage"] = Quantity(amount=amount, unit=Unit.GB_MONTH)
        prices |= example.storage("storage_price")
    return billed(example.option, units, prices, example.place, example.region).usd


@rule("real_time", "ec2_price", "rule")
def _surcharge(example: Example) -> Decimal:
    return example.price("ec2_price").times(example.number("rule"), "a surcharge").usd


@rule("ec2", "instance")
def _ec2(example: Example) -> Decimal:
    place = Place(instance_type=example.inputs["instance"])
    return billed(example.option, {"instances": hours(1)}, {}, place).usd


@rule("kubernetes", "price_per_hour", "hours")
def _control_plane(example: Example) -> Decimal:
    unit = next(iter(CONTROL_PLANES))
    prices = {Key(*CONTROL_PLANES[unit], REGION): example.price("price_per_hour")}
    used = hours(example.number("hours") * example.first("clusters"))
    return billed(_option("kubernetes"), {unit: used}, prices).usd


# --- functions and containers ------------------------------------------------------------------


@rule("serverless", "requests", "seconds", "memory_gb", "price_per_gb_second")
@rule("serverless", "requests", "ms", "memory_mb", "price_per_gb_second")
def _serverless(example: Example) -> Decimal:
    memory = int(_memory_mb(example))
    usd = example.number("price_per_gb_second") * memory / 1024
    price = example.price("price_per_gb_second", Unit.SECOND).model_copy(update={"usd": usd})
    used = Quantity(amount=example.number("requests") * _duration(example), unit=Unit.SECOND)
    prices = {Key("aws", "sagemaker-serverless", f"duration-{memory}", REGION): price}
    place = Place(memory_mb=memory)
    return billed(_option("serverless"), {"duration": used}, prices, place).usd


def _memory_mb(example: Example) -> Decimal:
    if "memory_gb" in example.inputs:
        return example.number("memory_gb") * 1024
    return example.number("memory_mb")


def _duration(example: Example) -> Decimal:
    return example.number("ms") / 1000 if "ms" in example.inputs else example.first("seconds")


def _lambda(example: Example, unit: str, used: Quantity, price: Price) -> Decimal:
    """The lines of one unit, each price step of it at the entry's price."""
    service, tiers = TIERS[unit]
    prices = {Key("aws", service, tier.item, REGION): price for tier in tiers}
    return billed(_option("lambda"), {unit: used}, prices).usd


def _duration_unit(example: Example) -> str:
    return f"duration-{example.inputs.get('arch', 'x86')}"


@rule("lambda", "gb_seconds", "price")
def _lambda_gb_seconds(example: Example) -> Decimal:
    used = Quantity(amount=example.number("gb_seconds"), unit=Unit.GB_SECOND)
    price = example.price("price", Unit.GB_SECOND)
    return _lambda(example, _duration_unit(example), used, price)


@rule("lambda", "requests", "ms", "memory_mb", "price")
@rule("lambda", "requests", "ms", "memory_gb", "price")
@rule("lambda", "requests", "seconds", "memory_mb", "price")
@rule("lambda", "requests", "seconds", "memory_gb", "price")
def _lambda_requests(example: Example) -> Decimal:
    """The line of the duration; a published request line is one of its own."""
    used = gb_seconds(_memory_mb(example), example.number("requests") * _duration(example))
    price = example.price("price", Unit.GB_SECOND)
    return _lambda(example, _duration_unit(example), used, price)


@rule("lambda", "requests", "request_price_per_m")
def _lambda_request_line(example: Example) -> Decimal:
    price = example.price("request_price_per_m", Unit.REQUEST, 10**6)
    return _lambda(example, "requests", requests(example.number("requests")), price)


@rule("lambda", "memory_mb", "price_per_gb_s")
def _lambda_second(example: Example) -> Decimal:
    used = gb_seconds(_memory_mb(example), example.first("seconds"))
    price = example.price("price_per_gb_s", Unit.GB_SECOND)
    return _lambda(example, _duration_unit(example), used, price)


@rule("lambda_provisioned_concurrency", "memory_mb", "price_per_gb_s", "seconds")
@rule("lambda_provisioned_concurrency", "memory_mb", "price_per_gb_s", "hours")
def _provisioned(example: Example) -> Decimal:
    seconds = example.number("hours") * 3600 if "hours" in example.inputs else _duration(example)
    used = gb_seconds(_memory_mb(example), seconds * example.first("concurrency"))
    return _lambda(example, "provisioned", used, example.price("price_per_gb_s", Unit.GB_SECOND))


@rule("api_gateway_rest api_gateway_http", "million_requests", "price")
@rule("api_gateway_rest api_gateway_http", "million", "price")
@rule("api_gateway_rest api_gateway_http", "requests", "price_per_million")
def _gateway(example: Example) -> Decimal:
    millions = example.first("million_requests", "million")
    count = example.number("requests", millions * 10**6)
    key = "price_per_million" if "price_per_million" in example.inputs else "price"
    unit = GATEWAYS[example.data["mode"]]
    return _lambda(example, unit, requests(count), example.price(key, Unit.REQUEST, 10**6))


@rule("fargate", "vcpu", "gb", "vcpu_h", "gb_h")
def _task(example: Example) -> Decimal:
    time = example.first("hours") * example.first("tasks", "count")
    units = {
        "vcpu": Quantity(amount=example.number("vcpu") * time, unit=Unit.VCPU_HOUR),
        "memory": Quantity(amount=example.number("gb") * time, unit=Unit.GB_HOUR),
    }
    prices = {
        Key("aws", "fargate", "vcpu", REGION): example.price("vcpu_h", Unit.VCPU_HOUR),
        Key("aws", "fargate", "memory", REGION): example.price("gb_h", Unit.GB_HOUR),
    }
    return billed(_option("fargate"), units, prices).usd


@rule("fargate", "quantity", "price_per_hour", "hours")
def _task_part(example: Example) -> Decimal:
    """vCPUs or memory: the entry does not say which, its price does."""
    known = Catalog.standard().item("aws", "fargate", "memory", REGION)
    memory = example.number("price_per_hour") == known.usd
    name, unit = ("memory", Unit.GB_HOUR) if memory else ("vcpu", Unit.VCPU_HOUR)
    amount = example.number("quantity") * example.number("hours")
    prices = {Key("aws", "fargate", name, REGION): example.price("price_per_hour", unit)}
    return billed(_option("fargate"), {name: Quantity(amount=amount, unit=unit)}, prices).usd


CLOUD_RUN_UNITS = {
    "vcpu": Unit.VCPU_SECOND,
    "memory": Unit.GB_SECOND,
    "vcpu always": Unit.VCPU_SECOND,
    "memory always": Unit.GB_SECOND,
    "requests": Unit.REQUEST,
}


def _cloud_run(example: Example, name: str, used: Quantity) -> Decimal:
    price = example.price("price", CLOUD_RUN_UNITS[name])
    prices = {Key("gcp", "cloud-run", CLOUD_RUN_ITEMS[name], "us-central1"): price}
    return billed(_option("cloud-run"), {name: used}, prices).usd


@rule("cloud_run", "quantity", "price")
def _cloud_run_line(example: Example) -> Decimal:
    """A line of which the entry does not say what it counts: its price does, where it is known."""
    known = Catalog.standard().prices
    items = {key.item for key, price in known.items() if price.usd == example.number("price")}
    name = next((unit for unit, item in CLOUD_RUN_ITEMS.items() if item in items), "vcpu")
    used = Quantity(amount=example.number("quantity"), unit=CLOUD_RUN_UNITS[name])
    return _cloud_run(example, name, used)


def _answering(example: Example) -> Decimal:
    count = example.first("requests", "requests_per_day") * example.first("days")
    return count * _duration(example)


@rule("cloud_run", "requests_per_day", "days", "seconds", "vcpu", "price")
@rule("cloud_run", "requests", "seconds", "vcpu", "price")
def _cloud_run_vcpus(example: Example) -> Decimal:
    place = Place(vcpus=example.number("vcpu"))
    return _cloud_run(example, "vcpu", vcpu_seconds(place, _answering(example)))


@rule("cloud_run", "requests_per_day", "days", "seconds", "gib", "price")
@rule("cloud_run", "requests", "seconds", "gib", "price")
def _cloud_run_memory(example: Example) -> Decimal:
    used = gb_seconds(example.number("gib") * 1024, _answering(example))
    return _cloud_run(example, "memory", used)


# --- arithmetic of bills and unit costs --------------------------------------------------------


@rule("other", "price", "quantity")
def _line(example: Example) -> Decimal:
    return unit_costs.line_usd(example.name, example.number("quantity"), example.price("price"))


@rule("total lambda+api_gateway", "lines")
def _total(example: Example) -> Decimal:
    return total(example).usd


def total(example: Example) -> Bill:
    """A bill of lines of which only the sums are known."""
    base = Price(usd=Decimal(0), per=Unit.HOUR, source=str(example.data["source"]), as_of="2023")
    one = hours(1)
    return Bill(
        lines=tuple(
            Line(
                item=f"line {number}",
                quantity=one,
                price=base.model_copy(update={"usd": decimal(amount)}),
            )
            for number, amount in enumerate(example.inputs["lines"], 1)
        )
    )


@rule("real_time", "cost_per_hour", "max_invocations_per_minute")
def _recommender(example: Example) -> Decimal:
    price = example.price("cost_per_hour")
    return unit_costs.per_inference(price, example.number("max_invocations_per_minute"))


@rule("cost_per_inference", "price_per_hour", "throughput_per_s")
def _million(example: Example) -> Decimal:
    price = example.price("price_per_hour")
    return unit_costs.per_million(price, example.number("throughput_per_s"))


@rule("cost_per_token", "price_per_hour", "tokens_per_s")
def _tokens(example: Example) -> Decimal:
    return unit_costs.per_million(example.price("price_per_hour"), example.number("tokens_per_s"))


@rule("cost_per_inference", "price_per_hour", "p50_ms")
def _thousands(example: Example) -> Decimal:
    price = example.price("price_per_hour")
    return unit_costs.thousands_per_dollar(price, example.number("p50_ms"))


@rule("multi_model real_time", "dedicated", "shared")
def _sharing(example: Example) -> Decimal:
    return unit_costs.percent_saved(example.number("dedicated"), example.number("shared"))


@rule("real_time serverless multi_model batch_transform asynchronous", "a", "b")
def _saving(example: Example) -> Decimal:
    return unit_costs.percent_saved(example.number("b"), example.number("a"))


@rule("serverless", "points", "real_time")
def _break_even(example: Example) -> Decimal:
    found = unit_costs.crossing(example.inputs["points"], example.number("real_time"))
    assert found is not None
    return found
