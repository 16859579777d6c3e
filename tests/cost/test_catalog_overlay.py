"""A user's own prices: they win, and what is wrong with them is named with its line."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.cost.catalog import Catalog, PriceMissingError
from workbench.cost.money import Unit
from workbench.errors import InputError
from workbench.yaml_source import dump_yaml

ROW = {
    "type": "ml.c5.xlarge",
    "mode": "hosting",
    "region": "us-east-1",
    "usd": 0.1,
    "source": "our agreement",
    "as_of": "2026-10-01",
}
ITEM = {
    "provider": "aws",
    "service": "lambda",
    "item": "requests",
    "region": "us-east-1",
    "usd": 0.15,
    "per": "1M requests",
    "source": "our agreement",
    "as_of": 2026,
}


@pytest.fixture
def over(tmp_path):
    def make(*rows):
        file = tmp_path / "prices.yaml"
        file.write_text(rows[0] if isinstance(rows[0], str) else dump_yaml(list(rows)))
        return Catalog.standard().overlay(file)

    return make


def test_a_users_price_wins_and_the_others_stay(over):
    catalog = over(ROW, ITEM)
    price = catalog.hourly("ml.c5.xlarge", "us-east-1", "hosting")
    assert (price.usd, price.confidence, price.source) == (Decimal("0.1"), "user", "our agreement")
    assert price.as_of == "2026-10-01"
    requests = catalog.item("aws", "lambda", "requests", "us-east-1")
    assert (requests.usd, requests.per) == (Decimal("0.00000015"), Unit.REQUEST)
    assert catalog.hourly("ml.m5.xlarge", "us-east-1", "hosting").usd == Decimal("0.23")
    standard = Catalog.standard().hourly("ml.c5.xlarge", "us-east-1", "hosting")
    assert standard.usd == Decimal("0.204")


def test_async_follows_a_users_hosting_price(over):
    price = over(ROW).hourly("ml.c5.xlarge", "us-east-1", "async")
    assert (price.usd, price.confidence) == (Decimal("0.1"), "user")


def test_a_user_may_give_what_is_missing(over):
    missing = ITEM | {
        "service": "sagemaker-serverless",
        "item": "provisioned-usage-2048",
        "per": "second",
    }
    catalog = over(missing, ROW | {"region": "mx-central-1"})
    name = ("aws", "sagemaker-serverless", "provisioned-usage-2048", "us-east-1")
    assert catalog.item(*name).confidence == "user"
    assert "mx-central-1" in catalog.regions()
    assert [kind.name for kind in catalog.instances("mx-central-1", "hosting")] == ["ml.c5.xlarge"]


def test_a_price_for_any_region_replaces_that_of_each(over):
    catalog = over(ITEM | {"service": "sagemaker", "item": "data-processed-in", "per": "GB",
                           "region": "any"})  # fmt: skip
    for region in ("eu-west-1", "us-east-1", "ap-south-1"):
        assert catalog.item("aws", "sagemaker", "data-processed-in", region).usd == Decimal("0.15")


def test_a_provider_of_ones_own(over):
    own = ITEM | {"provider": "our-cluster", "service": "node", "item": "cpu", "per": "vCPU-hour",
                  "region": "cellar"}  # fmt: skip
    assert over(own).item("our-cluster", "node", "cpu", "cellar").per is Unit.VCPU_HOUR
    with pytest.raises(PriceMissingError):
        Catalog.standard().item("our-cluster", "node", "cpu", "cellar")


def test_a_date_may_be_written_without_quotes(over):
    text = dump_yaml([ROW]).replace("'2026-10-01'", "2026-10-01")
    price = over(text).hourly("ml.c5.xlarge", "us-east-1", "hosting")
    assert price.as_of == "2026-10-01"


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"usdd": 1}, "usdd", "Did you mean 'usd'?"),
        ({"as_of": None}, "as_of", "is no date"),
        ({"as_of": "yesterday"}, "as_of", "is no date"),
        ({"as_of": "2026-13-01"}, "as_of", "is no date"),
        ({"usd": -0.1}, "usd", "cannot be negative"),
        ({"usd": "cheap"}, "usd", "is no number"),
        ({"usd": True}, "usd", "is no number"),
        ({"usd": float("nan")}, "usd", "is no number"),
        ({"usd": "1e999999"}, "usd", "is no price"),
        ({"per": "hours"}, "per", "Did you mean 'hour'?"),
        ({"per": "second"}, "per", "is per hour, not per second"),
        ({"mode": "hostin"}, "mode", "Did you mean 'hosting'?"),
        ({"type": "ml.c5.xlarg"}, "type", "Did you mean 'ml.c5.xlarge'?"),
        ({"mode": "ec2"}, "type", "is no EC2 type"),
        ({"region": "us-east1"}, "region", "Did you mean 'us-east-1'?"),
        ({"source": ""}, "source", "a text is wanted"),
    ],
)
def test_an_error_names_file_line_and_field(over, change, field, says):
    with pytest.raises(InputError) as caught:
        over(ROW, ROW | {"type": "ml.m5.xlarge"} | change)
    message = str(caught.value)
    assert says in message
    line = 1 + len(ROW) + list(ROW | change).index(field)
    assert f"prices.yaml:{line}: {field}: " in message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"item": "request"}, "Did you mean 'requests'?"),
        ({"service": "api_gateway_rest"}, "Did you mean 'api-gateway-rest'?"),
        ({"per": "GB-second"}, "is per request, not per GB-second"),
        ({"service": "hosting"}, "Give type and mode instead"),
    ],
)
def test_a_slip_in_an_item_is_named(over, change, says):
    with pytest.raises(InputError, match=r"prices.yaml:\d: ") as caught:
        over(ITEM | change)
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["region", "usd", "source", "as_of", "mode"])
def test_a_missing_field_is_named(over, name):
    with pytest.raises(InputError, match=rf"prices.yaml:1: the field '{name}' is missing"):
        over({key: value for key, value in ROW.items() if key != name})


def test_a_row_twice_is_refused(over):
    with pytest.raises(InputError, match="stands here twice"):
        over(ROW, ROW)


@pytest.mark.parametrize(
    "text",
    ["", "usd: 1", "- 1", "- [1, 2]", "- &a [*a]", "- as_of: 2026-99-99", "- {[1]: 2}", "\0"],
)
def test_what_is_no_list_of_rows_is_refused(over, text):
    with pytest.raises(InputError, match=r"prices\.yaml"):
        over(text or "\n")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        Catalog.standard().overlay(tmp_path / "none.yaml")


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.dates(),
    st.lists(st.integers(), max_size=2), st.sampled_from([*ROW.values(), *ITEM.values(), "any"]),
)  # fmt: skip
FIELDS = st.one_of(st.sampled_from([*ROW, *ITEM]), st.text(max_size=6))


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(base=st.sampled_from([ROW, ITEM, {}]), change=st.dictionaries(FIELDS, VALUES, max_size=3))
def test_any_row_is_read_or_refused(tmp_path, base, change):
    file = tmp_path / "prices.yaml"
    file.write_text(dump_yaml([base | change]), encoding="utf-8")
    try:
        catalog = Catalog.standard().overlay(file)
    except InputError as error:
        assert "prices.yaml" in str(error)
    else:
        own = [price for price in catalog.prices.values() if price.confidence == "user"]
        assert len(own) == 1
        assert own[0].usd >= 0


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(alphabet="-:{}[]&*!#|>\"'%@ \n\taeu1.0", max_size=60))
def test_any_text_is_read_or_refused(tmp_path, text):
    file = tmp_path / "prices.yaml"
    file.write_text(text, encoding="utf-8")
    try:
        Catalog.standard().overlay(file)
    except InputError as error:
        assert "prices.yaml" in str(error)
