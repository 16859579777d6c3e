"""A Savings Plan: a discount on instances, and a commitment that is always paid."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.cost.profiles import before_and_after
from workbench.cost.catalog import Catalog
from workbench.cost.money import Bill, Line, Price, Unit, gigabytes, hours
from workbench.cost.planner import plan
from workbench.cost.savings_plan import SavingsPlan
from workbench.cost.traffic import Traffic

MONTH = 730


def bill(hourly: str = "1") -> Bill:
    def price(usd: str, per: Unit) -> Price:
        return Price(usd=Decimal(usd), per=per, source="a test", as_of="2026")

    return Bill(
        lines=(
            Line(item="instances", quantity=hours(MONTH), price=price(hourly, Unit.HOUR)),
            Line(item="data in", quantity=gigabytes(10**9), price=price("0.016", Unit.GB)),
        )
    )


def test_the_discount_is_on_instances_and_on_nothing_else():
    made = SavingsPlan(discount=Decimal("0.2")).bill(bill(), MONTH, covers=True)
    assert made.usd == MONTH * Decimal("0.8") + Decimal("0.016")


def test_what_is_used_beyond_the_commitment_is_paid_on_demand():
    plan_ = SavingsPlan(discount=Decimal("0.2"), commitment=Decimal("0.4"))  # half of the use
    made = plan_.bill(bill(), MONTH, covers=True)
    assert made.usd == MONTH * (Decimal("0.4") + Decimal("0.5")) + Decimal("0.016")


def test_a_commitment_that_is_not_used_is_paid_all_the_same():
    plan_ = SavingsPlan(discount=Decimal("0.2"), commitment=Decimal(2))
    assert plan_.bill(bill(), MONTH, covers=True).usd == MONTH * 2 + Decimal("0.016")
    elsewhere = plan_.bill(bill(), MONTH, covers=False)
    assert elsewhere.usd == bill().usd + MONTH * 2
    assert elsewhere.lines[-1].item == "commitment not used"


@given(st.decimals("0.01", "0.64", places=2), st.decimals("0.001", 10, places=3))
def test_a_commitment_never_costs_less_than_itself_nor_than_the_full_discount(discount, hourly):
    made = SavingsPlan(discount=discount, commitment=hourly).bill(bill(), MONTH, covers=True)
    tailored = SavingsPlan(discount=discount).bill(bill(), MONTH, covers=True)
    assert made.usd >= hourly * MONTH
    assert made.usd >= tailored.usd - Decimal("1e-9")


def test_a_commitment_speaks_for_the_endpoints_that_use_it():
    def best(savings_plan: SavingsPlan | None) -> dict[str, Decimal]:
        made = plan(
            before_and_after(), Traffic(requests=20e6), Catalog.standard(),
            savings_plan=savings_plan, chosen=["real-time", "serverless"], break_evens=False,
        )  # fmt: skip
        return {e.option: e.usd.mid for e in made.variants[1].estimates}

    free = best(None)
    bound = best(SavingsPlan(discount=Decimal("0.2"), commitment=Decimal("0.04")))
    assert free["serverless"] < free["real-time"]
    assert bound["real-time"] < bound["serverless"]
