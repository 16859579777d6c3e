"""A Machine Learning Savings Plan: a discount on instances for a commitment that is always paid.

The rates are not public: the discount is the user's own. It is on SageMaker's instance usage only,
not on storage, data, serverless, nor on EC2, Lambda or Fargate, which have plans of their own (AWS
Savings Plans user guide). A commitment is in US dollars per hour at the plan's rates; what is not
used of it in an hour is lost, what is used beyond it is paid on demand.
"""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field

from workbench.cost.money import Bill, Line, Price, Unit, hours
from workbench.records import Record

MOST = Decimal("0.64")
"""AWS: "up to 64 %" off on demand."""


class SavingsPlan(Record):
    """``discount`` is a share of the price on demand; no ``commitment``: just what is used."""

    discount: Decimal = Field(gt=0, le=MOST)
    commitment: Decimal | None = Field(None, gt=0, description="USD per hour.")

    def bill(self, bill: Bill, month: int, *, covers: bool) -> Bill:
        """The bill of a month of so many hours under the plan.

        ``covers`` says whether its instance-hours are SageMaker's. Hours are taken to be alike: an
        endpoint that scales uses less of the commitment in calm hours than this says.
        """
        covered = [line for line in bill.lines if covers and line.quantity.unit is Unit.HOUR]
        used = sum((line.usd for line in covered), Decimal(0)) * (1 - self.discount)
        if self.commitment is None:
            return self._discounted(bill, covered, Decimal(1)) if covered else bill
        committed = self.commitment * month
        share = min(Decimal(1), committed / used) if used else Decimal(0)
        made = self._discounted(bill, covered, share)
        unused = committed - min(committed, used)
        if not unused:
            return made
        return Bill(lines=(*made.lines, self._unused(unused, month)))

    def least(self, usd: Decimal, month: int, *, covers: bool) -> Decimal:
        """A lower bound of a bill whose lower bound on demand is ``usd``."""
        committed = (self.commitment or Decimal(0)) * month
        return max(committed, usd * (1 - self.discount)) if covers else committed + usd

    def _discounted(self, bill: Bill, covered: list[Line], share: Decimal) -> Bill:
        factor = 1 - self.discount * share
        why = f"Savings Plan: {self.discount:.0%} off, on {share:.0%} of the use"
        lines = (
            line.model_copy(update={"price": line.price.times(factor, why)})
            if line in covered
            else line
            for line in bill.lines
        )
        return Bill(lines=tuple(lines))

    def _unused(self, usd: Decimal, month: int) -> Line:
        price = Price(
            usd=usd / month, per=Unit.HOUR, source="the commitment that you gave",
            as_of="your own", confidence="user",
        )  # fmt: skip
        return Line(item="commitment not used", quantity=hours(month), price=price)
