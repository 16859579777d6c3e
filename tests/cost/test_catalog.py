"""What is shipped: known prices, sources and dates, and what a missing price says."""

import csv
import re
from decimal import Decimal
from pathlib import Path

import pytest

from workbench.cost import catalog as package
from workbench.cost.catalog import Catalog, PriceMissingError
from workbench.cost.catalog.records import SAGEMAKER_MODES
from workbench.cost.money import Unit

FOLDER = Path(package.__file__).parent
SHIPPED = [path for path in FOLDER.iterdir() if path.suffix in {".csv", ".yaml", ".py"}]


@pytest.fixture(scope="module")
def catalog():
    return Catalog.standard()


def rows(name):
    with (FOLDER / name).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("kind", "region", "mode", "usd"),
    [
        ("ml.c5.xlarge", "us-east-1", "hosting", "0.204"),
        ("ml.m5.xlarge", "us-east-1", "hosting", "0.23"),
        ("ml.m5.xlarge", "eu-west-1", "hosting", "0.257"),
        ("ml.g5.xlarge", "us-east-1", "hosting", "1.408"),
        ("ml.g6.2xlarge", "us-east-1", "hosting", "1.222"),
        ("ml.c7g.large", "us-east-1", "hosting", "0.087"),
        ("ml.g6.xlarge", "eu-west-3", "async", "1.4302"),
        ("ml.m5.xlarge", "eu-west-1", "batch-transform", "0.257"),
        ("c6i.xlarge", "us-east-1", "ec2", "0.17"),
        ("g5.xlarge", "us-east-1", "ec2", "1.006"),
    ],
)
def test_hourly_prices_are_those_of_the_list(catalog, kind, region, mode, usd):
    price = catalog.hourly(kind, region, mode)
    assert (price.usd, price.per, price.region) == (Decimal(usd), Unit.HOUR, region)
    assert price.confidence == "A"


@pytest.mark.parametrize(
    ("name", "region", "usd", "unit"),
    [
        ("sagemaker-serverless duration-2048", "us-east-1", "0.00004", Unit.SECOND),
        ("sagemaker-serverless duration-6144", "eu-west-1", "0.00012", Unit.SECOND),
        ("sagemaker-serverless requests", "us-east-1", "0", Unit.REQUEST),
        ("sagemaker data-processed-in", "us-west-2", "0.016", Unit.GB),
        ("sagemaker hosting-storage", "us-east-1", "0.14", Unit.GB_MONTH),
        ("lambda requests", "us-east-1", "0.0000002", Unit.REQUEST),
        ("lambda duration-x86", "us-east-1", "0.0000166667", Unit.GB_SECOND),
        ("api-gateway-rest requests", "us-east-1", "0.0000035", Unit.REQUEST),
        ("api-gateway-http requests", "us-east-1", "0.000001", Unit.REQUEST),
        ("fargate vcpu", "us-east-1", "0.04048", Unit.VCPU_HOUR),
    ],
)
def test_items_of_aws_are_per_one_unit(catalog, name, region, usd, unit):
    price = catalog.item("aws", *name.split(), region)
    assert (price.usd, price.per) == (Decimal(usd), unit)


@pytest.mark.parametrize(
    ("key", "usd", "unit"),
    [
        ("gcp cloud-run cpu-request-based us-central1", "0.000024", Unit.VCPU_SECOND),
        ("gcp cloud-run memory-request-based us-central1", "0.0000025", Unit.GB_SECOND),
        ("gcp cloud-run requests us-central1", "0.0000004", Unit.REQUEST),
        ("replicate hardware t4 us-east-1", "0.000225", Unit.SECOND),
        ("baseten gpu t4 us-east-1", "0.6312", Unit.HOUR),
        ("kubernetes node cpu us-east-1", "0.031611", Unit.VCPU_HOUR),
    ],
)
def test_items_of_others(catalog, key, usd, unit):
    price = catalog.item(*key.split())
    assert (price.usd, price.per) == (Decimal(usd), unit)


def test_a_price_per_gib_says_so(catalog):
    price = catalog.item("gcp", "cloud-run", "memory-request-based", "europe-west3")
    assert "per GiB (1 GB = 1024 MB)" in price.source


def test_serverless_is_linear_in_memory_in_every_region(catalog):
    for row in rows("items.csv"):
        if row["item"].startswith("duration-") and row["service"] == "sagemaker-serverless":
            per_gb = Decimal(row["usd"]) * 1024 / int(row["item"].split("-")[1])
            one = catalog.item("aws", "sagemaker-serverless", "duration-1024", row["region"])
            assert per_gb == one.usd


# --- what stands behind a price ----------------------------------------------------------------


def test_every_price_has_source_date_and_unit(catalog):
    assert len(catalog.prices) == len(rows("hourly.csv")) + len(rows("items.csv"))
    for key, price in catalog.prices.items():
        assert len(price.source) > 20, key
        assert re.fullmatch(r"\d{4}(-\d\d(-\d\d)?)?", price.as_of), key
        assert price.confidence in {"A", "B"}


def test_only_what_is_free_costs_nothing(catalog):
    free = [str(key) for key, price in catalog.prices.items() if not price.usd]
    assert free == ["price of aws sagemaker-serverless requests"]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("hourly.csv", ("region", "type", "mode")),
        ("items.csv", ("provider", "service", "item", "region")),
        ("absent.csv", ("provider", "service", "item", "region")),
        ("instances.csv", ("type",)),
        ("sources.csv", ("source",)),
    ],
)
def test_no_key_stands_twice(name, key):
    keys = [tuple(row[part] for part in key) for row in rows(name)]
    assert len(keys) == len(set(keys))
    assert all(all(parts) for parts in keys)


def test_all_sources_are_used():
    used = {
        row["source"] for name in ("hourly", "items", "instances") for row in rows(f"{name}.csv")
    }
    assert used == {row["source"] for row in rows("sources.csv")}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_files_name_no_private_place(path):
    text = path.read_text(encoding="utf-8").lower()
    assert "seed" not in text.replace("exceed", "")
    assert not re.search(r"(?<![\w.])/(home|work|tmp|root)/|shared/facts", text)


def test_what_is_absent_is_not_shipped(catalog):
    assert not set(catalog.absent) & set(catalog.prices)


# --- instance types ----------------------------------------------------------------------------


def test_an_instance_type(catalog):
    kind = catalog.instance("ml.c6i.2xlarge")
    assert (kind.family, kind.vcpus, kind.cores, kind.memory_gib) == ("c6i", 8, 4, 16)
    assert kind.isa is not None
    assert "avx512_vnni" in kind.isa
    assert kind.modes == SAGEMAKER_MODES
    assert not kind.accelerators


def test_hosting_sizes_of_c5_have_no_vnni(catalog):
    assert "avx512_vnni" not in (catalog.instance("ml.c5.xlarge").isa or ())


def test_instruction_sets_that_nobody_read_are_not_known(catalog):
    assert catalog.instance("ml.m4.xlarge").isa is None


def test_graviton_is_arm_and_not_taken_by_batch(catalog):
    kind = catalog.instance("ml.c7g.large")
    assert kind.architecture == "arm64"
    assert "batch-transform" not in kind.modes
    with pytest.raises(PriceMissingError, match=r"take ml\.c7g\.large for batch-transform"):
        catalog.hourly(kind.name, "us-east-1", "batch-transform")


def test_277_types_of_which_six_have_no_known_hardware(catalog):
    assert len(rows("instances.csv")) == 277
    assert sum(name.startswith("ml.") for name in catalog.types) == 271
    with pytest.raises(PriceMissingError, match="its hardware is not known"):
        catalog.instance("ml.p3.2xlarge")


def test_types_of_a_region_have_a_price_there(catalog):
    for mode in (*SAGEMAKER_MODES, "ec2", "ec2-spot"):
        kinds = catalog.instances("us-east-1", mode)
        assert kinds
        for kind in kinds:
            assert mode in kind.modes
            assert catalog.hourly(kind.name, "us-east-1", mode).usd > 0


def test_types_of_ec2_have_ec2s_names_and_the_same_hardware(catalog):
    ours = {kind.name: kind for kind in catalog.instances("us-east-1", "ec2")}
    assert ours["c6i.large"].memory_gib == catalog.instance("ml.c6i.large").memory_gib
    assert not any(name.startswith("ml.") for name in ours)


def test_a_region_without_any_lists_no_types(catalog):
    assert catalog.instances("me-south-1", "hosting") == []


def test_regions_are_those_with_a_price(catalog):
    assert {"us-east-1", "eu-west-1", "ap-south-1"} <= set(catalog.regions())
    assert "any" not in catalog.regions()


# --- what is not there -------------------------------------------------------------------------


def test_async_is_paid_as_hosting_where_it_has_no_price_of_its_own(catalog):
    price = catalog.hourly("ml.c5.xlarge", "us-east-1", "async")
    assert price.usd == Decimal("0.204")
    assert price.confidence == "B"
    assert "all 4 AsyncInf prices that were found" in price.source


def test_every_async_and_batch_price_is_that_of_hosting(catalog):
    """What the fallback rests on."""
    found = [key for key in catalog.prices if key.service in {"async", "batch-transform"}]
    assert len(found) == 6
    own = catalog.prices
    compared = [(own[key], own.get(key._replace(service="hosting"))) for key in found]
    assert all(hosting is None or price.usd == hosting.usd for price, hosting in compared)
    assert sum(hosting is not None for _, hosting in compared) == 5


def test_async_is_refused_where_the_list_has_none(catalog):
    with pytest.raises(PriceMissingError, match="no AsyncInf price"):
        catalog.hourly("ml.g4dn.xlarge", "eu-west-3", "async")


@pytest.mark.parametrize(
    ("kind", "region", "mode", "says"),
    [
        ("ml.c5.xlarg", "us-east-1", "hosting", "Did you mean 'ml.c5.xlarge'?"),
        ("c5.xlarge", "us-east-1", "hosting", "Did you mean 'ml.c5.xlarge'?"),
        ("c7g.lrge", "us-east-1", "ec2", "Did you mean 'c7g.large'?"),
        ("ml.c5.xlarge", "us-eas-1", "hosting", "Did you mean 'us-east-1'?"),
        ("ml.c5.xlarge", "us-east-1", "hostng", "Did you mean 'hosting'?"),
        ("ml.c5.xlarge", "ap-south-1", "hosting", "It is known in ap-northeast-1, eu-north-1"),
        ("ml.c5.xlarge", "ap-south-1", "hosting", "Nothing is derived from the prices of EC2"),
        ("ml.c5.xlarge", "ap-south-1", "async", "No async price of ml.c5.xlarge is known in ap"),
        ("ml.c7g.medium", "us-east-1", "hosting", "do not have this type"),
    ],
)
def test_a_missing_hourly_price_says_which(catalog, kind, region, mode, says):
    with pytest.raises(PriceMissingError) as caught:
        catalog.hourly(kind, region, mode)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("aws lamda requests us-east-1", "Did you mean 'lambda'?"),
        ("aw lambda requests us-east-1", "Did you mean 'aws'?"),
        ("aws lambda request us-east-1", "Did you mean 'requests'?"),
        ("aws lambda requests eu-west-1", "It is known in us-east-1."),
        ("aws sagemaker-serverless provisioned-usage-2048 us-east-1", "not found in public"),
        ("gcp vertex-ai prediction-n1-standard-4 us", "only a weak figure is known"),
        ("azure container-instances vcpu westeurope", "only a weak figure is known"),
    ],
)
def test_a_missing_item_says_which(catalog, key, says):
    with pytest.raises(PriceMissingError) as caught:
        catalog.item(*key.split())
    assert says in str(caught.value)


def test_the_catalog_is_read_once():
    assert Catalog.standard() is Catalog.standard()
