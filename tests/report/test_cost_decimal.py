"""The page's decimal arithmetic against Python's, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.browser import browser as browser
from workbench.report.costs import money
from workbench.report.html.page import asset

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BATCH = 60
"""Cases that are sent to the browser at a time."""
DEFAULT = Context(prec=28, rounding=ROUND_HALF_EVEN)

digits = st.integers(-(10**34), 10**34) | st.integers(-1000, 1000)
numbers = st.builds(
    lambda c, e: f"{Decimal(c).scaleb(e, Context(prec=60))}", digits, st.integers(-30, 6)
)
"""Of up to 35 digits, more than are kept, as the text of a Decimal."""


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    page.set_content("<!doctype html><title>decimal</title>")
    page.add_script_tag(content="const workbench = {};\n" + asset("cost_decimal.js"))
    yield page
    page.close()


COMPUTE = """(pairs) => pairs.map(([x, y]) => {
  const { of, add, subtract, multiply, divide, compare, plain, money, trimmed, percent, general,
    fixed } = workbench.decimal;
  const [a, b] = [of(x), of(y)];
  const small = (n) => compare(n, of("1e20")) < 0 && compare(n, of("-1e20")) > 0;
  return [plain(add(a, b)), plain(subtract(a, b)), plain(multiply(a, b)),
    b.c === 0n ? null : plain(divide(a, b)), compare(a, b),
    small(a) ? money(a) : null, small(a) ? money(a, 4) : null, trimmed(a),
    percent(a), general(a, 4), fixed(a, 0, { commas: true })];
})"""


@settings(
    max_examples=25,
    deadline=None,
    # A batch of many cases is no use to be made smaller: the first wrong one is named.
    phases=[Phase.generate],
)
@given(st.lists(st.tuples(numbers, numbers), min_size=BATCH, max_size=BATCH))
def test_every_operation_gives_pythons_digits(tab, pairs):
    with localcontext(DEFAULT):
        expected = [_python(Decimal(a), Decimal(b)) for a, b in pairs]
    for pair, found, right in zip(pairs, tab.evaluate(COMPUTE, pairs), expected, strict=True):
        assert found == right, pair


def _python(a: Decimal, b: Decimal) -> list[object]:
    # There is no negative zero in the page: + 0 takes its sign away.
    return [
        f"{a + b:f}",
        f"{a - b:f}",
        f"{a * b + 0:f}",
        f"{a / b + 0:f}" if b else None,
        int(a.compare(b)),
        # Of more digits than are kept, Python rounds no amount to cents.
        money(a) if abs(a) < 10**20 else None,
        money(a, 4) if abs(a) < 10**20 else None,
        f"{a.normalize():f}",
        f"{a:.0%}",
        f"{a:.4g}",
        f"{a:,.0f}",
    ]


@pytest.mark.parametrize("text", ["", ".", "1.2.3", "0x1", "NaN", "1e", "--1"])
def test_what_is_no_number_is_an_error(tab, text):
    assert tab.evaluate(
        "(text) => { try { workbench.decimal.of(text); return false } catch { return true } }", text
    )
