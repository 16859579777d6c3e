"""Every published calculation that is right comes out of the engine; those that are not, do not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.cost._published import Example, answer, examples, total
from workbench.cost import unit_costs

ALL = examples()
RIGHT = [e for e in ALL if e.data["acceptance_test"] or e.data["status"] == "consistent"]
REFUTED = [
    e for e in ALL if e.data["status"] == "INCONSISTENT" and e.data["recomputed"] is not None
]
COLUMN = [e for e in ALL if "price_per_million_requests" in e.inputs]


def ids(items: list[Example]) -> list[str]:
    return [item.name for item in items]


def test_the_file_is_whole() -> None:
    assert len(ALL) == 140
    assert sum(bool(e.data["acceptance_test"]) for e in ALL) == 104


@pytest.mark.parametrize("example", RIGHT, ids=ids(RIGHT))
def test_published_figure_comes_out(example: Example) -> None:
    assert abs(answer(example) - example.published) <= example.tolerance


@pytest.mark.parametrize("example", REFUTED, ids=ids(REFUTED))
def test_wrong_figure_is_refuted(example: Example) -> None:
    ours = answer(example)
    assert abs(ours - Decimal(str(example.data["recomputed"]))) <= Decimal("0.005")
    assert abs(ours - example.published) > example.tolerance


@pytest.mark.parametrize(
    "example",
    [e for e in REFUTED if "lines" in e.inputs],
    ids=ids([e for e in REFUTED if "lines" in e.inputs]),
)
def test_a_line_was_added_at_a_tenth(example: Example) -> None:
    """The published total is ours with just one line, the egress, at a tenth."""
    bill = total(example)
    slips = [bill.usd - line.usd * Decimal("0.9") for line in bill.lines]
    fitting = [n for n, usd in enumerate(slips) if abs(usd - example.published) <= Decimal("0.005")]
    assert fitting == [3]


def test_no_work_per_request_gives_the_published_serverless_column() -> None:
    """A serverless bill is proportional to the requests; the published one is not."""
    each = [
        unit_costs.per_thousand(e.published, e.inputs["monthly_requests"])
        for e in sorted(COLUMN, key=lambda e: e.inputs["monthly_requests"])
    ]
    assert len(each) == 6
    assert each == sorted(each, reverse=True)
    assert each[0] > 2 * each[-1]


def test_the_claim_of_a_saving_is_refuted_by_its_own_table() -> None:
    """At 1,000 requests an hour the serverless column is already dearer than the instance."""
    claim = next(e for e in ALL if "requests_per_hour" in e.inputs)
    rows = [(e.inputs["monthly_requests"], e.published) for e in COLUMN]
    even = unit_costs.crossing(sorted(rows), 883)
    assert even is not None
    assert even < claim.number("monthly_requests")
    assert 658_000 < even < 660_000


def changed(example: Example, name: str, **inputs: Any) -> Example:
    """An entry that nobody has published: other inputs under another name."""
    return Example({**example.data, "id": name, "inputs": {**example.inputs, **inputs}})


PRICES = (
    "price_per_hour", "cost_per_hour", "price", "price_per_gb_month", "price_per_gb_s",
    "price_per_gb_second", "price_per_million", "monthly_each",
)  # fmt: skip
OF_A_PRICE = [e for e in RIGHT if set(PRICES) & set(e.inputs) and "storage_gb" not in e.inputs]


@pytest.mark.parametrize("example", OF_A_PRICE, ids=ids(OF_A_PRICE))
def test_an_entry_that_was_not_seen_follows_its_own_price(example: Example) -> None:
    key = next(key for key in PRICES if key in example.inputs)
    dearer = answer(changed(example, "unseen", **{key: example.number(key) * 3}))
    inverse = example.data["unit"].endswith("per USD")
    expected = answer(example) / 3 if inverse else answer(example) * 3
    assert abs(dearer - expected) <= abs(expected) * Decimal("1e-20")


@pytest.mark.parametrize(
    ("mode", "inputs", "expected"),
    [
        ("real_time", {"instance": "ml.m5.large", "price_per_hour": 0.5, "hours": 744}, "372"),
        ("real_time", {"price_per_hour": 36, "seconds": 10.2, "count": 2}, "0.22"),
        ("batch_transform", {"price_per_hour": 0.4, "hours": 2.5, "instances": 2}, "2"),
        ("asynchronous", {"price_per_hour": 1.2, "minutes": 20, "instances": 3}, "1.2"),
        ("multi_model", {"dedicated": 400, "shared": 100}, "75"),
        ("serverless", {"requests": 1e6, "ms": 200, "memory_mb": 2048,
                        "price_per_gb_second": 2e-5}, "8"),
        ("lambda", {"requests": 2e6, "request_price_per_m": 0.2}, "0.4"),
        ("lambda", {"requests": 1e6, "ms": 100, "memory_mb": 2048, "price": 1e-5}, "2"),
        ("lambda_provisioned_concurrency",
         {"memory_mb": 1024, "price_per_gb_s": 1e-6, "hours": 1, "concurrency": 5}, "0.018"),
        ("fargate", {"vcpu": 1, "gb": 2, "vcpu_h": 0.04, "gb_h": 0.005, "hours": 100}, "5"),
        ("cloud_run", {"requests": 1e6, "seconds": 0.5, "vcpu": 4, "price": 2e-5}, "40"),
        ("kubernetes", {"price_per_hour": 0.1, "hours": 720}, "72"),
        ("total", {"lines": [0.1, 0.2]}, "0.3"),
    ],
)  # fmt: skip
def test_kinds_by_hand(mode: str, inputs: dict[str, Any], expected: str) -> None:
    entry = {"id": "unseen", "mode": mode, "inputs": inputs, "source": "a test", "as_of": "2026"}
    assert answer(Example(entry)) == pytest.approx(Decimal(expected), abs=Decimal("1e-15"))


def test_what_cannot_be_recomputed_is_not_guessed() -> None:
    for example in ALL:
        if example.data["status"] == "unverifiable" and "monthly_requests" in example.inputs:
            with pytest.raises(LookupError, match="no rule for"):
                answer(example)
