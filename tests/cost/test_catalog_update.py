"""Prices from the Price List Query API, against pages made by hand in its documented shape."""

import importlib
import json
from decimal import Decimal
from pathlib import Path

import pytest

from workbench.cost.catalog import Catalog
from workbench.cost.catalog.update import update_prices
from workbench.errors import InputError, MissingError

PAGES = json.loads((Path(__file__).parent / "recorded/get_products.json").read_text())["pages"]


@pytest.fixture
def pricing():
    boto3 = pytest.importorskip("boto3")
    stub = pytest.importorskip("botocore.stub")
    client = boto3.client(
        "pricing", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with stub.Stubber(client) as stubber:
        yield client, stubber


def asked(**more):
    where = [{"Type": "TERM_MATCH", "Field": "regionCode", "Value": "us-east-1"}]
    return {"ServiceCode": "AmazonSageMaker", "Filters": where, "FormatVersion": "aws_v1", **more}


def answer(stubber):
    stubber.add_response("get_products", PAGES[0], asked())
    stubber.add_response("get_products", PAGES[1], asked(NextToken="page-2"))


@pytest.fixture
def updated(pricing, tmp_path):
    client, stubber = pricing
    answer(stubber)
    path = update_prices(["us-east-1"], client, tmp_path / "new.yaml")
    stubber.assert_no_pending_responses()
    return path, Catalog.standard().overlay(path)


def test_all_pages_become_a_price_file(updated):
    _, catalog = updated
    price = catalog.hourly("ml.c5.xlarge", "us-east-1", "hosting")
    assert (price.usd, price.as_of, price.confidence) == (Decimal("0.205"), "2026-10-03", "user")
    assert "usage type USE1-Host:ml.c5.xlarge" in price.source
    assert catalog.hourly("ml.c5.xlarge", "us-east-1", "async").usd == Decimal("0.205")
    assert catalog.hourly("ml.c5.xlarge", "us-east-1", "batch-transform").usd == Decimal("0.206")


@pytest.mark.parametrize(
    ("service", "item", "usd"),
    [
        ("sagemaker-serverless", "duration-2048", "0.00004"),
        ("sagemaker-serverless", "provisioned-usage-2048", "0.00001"),
        ("sagemaker-serverless", "provisioned-duration-2048", "0.000023"),
        ("sagemaker", "hosting-storage", "0.14"),
        ("sagemaker", "data-processed-in", "0.016"),
        ("sagemaker", "data-processed-out", "0.017"),
    ],
)
def test_what_is_not_hourly_is_read_too(updated, service, item, usd):
    assert updated[1].item("aws", service, item, "us-east-1").usd == Decimal(usd)


def test_other_components_of_the_same_type_are_not_taken(updated):
    assert updated[1].hourly("ml.g6.2xlarge", "us-east-1", "hosting").usd == Decimal("1.222")
    assert "Train" not in updated[0].read_text()
    assert "Notebk" not in updated[0].read_text()


def test_entries_of_nothing_and_unknown_types_and_units_are_not_taken(updated):
    text = updated[0].read_text()
    assert "ml.m5.xlarge" not in text
    assert "ml.eia2.medium" not in text
    assert "ml.m5.large" not in text
    assert updated[1].hourly("ml.m5.xlarge", "us-east-1", "hosting").usd == Decimal("0.23")


def test_two_prices_of_the_same_are_left_out_and_named(updated):
    assert "# left out: the hosting price of ml.c6i.large in us-east-1" in updated[0].read_text()
    shipped = Catalog.standard().hourly("ml.c6i.large", "us-east-1", "hosting")
    assert updated[1].hourly("ml.c6i.large", "us-east-1", "hosting") == shipped


def test_a_region_without_prices_is_refused_and_nothing_written(pricing, tmp_path):
    client, stubber = pricing
    stubber.add_response("get_products", {"FormatVersion": "aws_v1", "PriceList": []}, asked())
    with pytest.raises(InputError, match="no hosting price in 'us-east-1'"):
        update_prices(["us-east-1"], client, tmp_path / "new.yaml")
    assert not (tmp_path / "new.yaml").exists()


def test_an_api_that_refuses(pricing, tmp_path):
    client, stubber = pricing
    stubber.add_client_error("get_products", "AccessDeniedException", "not allowed", 400)
    with pytest.raises(MissingError, match=r"not allowed.*pricing:GetProducts"):
        update_prices(["us-east-1"], client, tmp_path / "new.yaml")


def test_no_region_is_refused():
    with pytest.raises(InputError, match="No region"):
        update_prices([])


def test_without_boto3_the_extra_is_named(monkeypatch):
    real = importlib.import_module

    def without(name, *more):
        if name == "boto3":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(MissingError, match=r"pip install 'workbench\[sagemaker\]'"):
        update_prices(["us-east-1"])
