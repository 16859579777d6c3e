"""The cost explorer's place in the report: where it is imported, or why it is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.records import Run
from workbench.report.html.page import asset

if TYPE_CHECKING:
    from workbench.cost.traffic import Traffic
    from workbench.progress import Progress
    from workbench.store import Store

ABSENT = (
    '<section id="cost" aria-labelledby="cost-title"><h2 id="cost-title">Cost</h2>'
    "<p>Every option at every volume of traffic takes a while to compute: "
    "<code>workbench report RUN</code> writes this page with it, as does a run whose recipe names "
    "its <code>traffic:</code>.</p></section>"
)


@dataclass(frozen=True)
class CostPart:
    """HTML of a whole section, data, scripts and styles; all empty where nothing is priced."""

    html: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    scripts: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()


def cost_part(
    runs: Sequence[Run],
    *,
    traffic: Traffic | None,
    region: str,
    explorer: bool,
    store: Store | None,
    progress: Progress | None,
) -> CostPart:
    """The explorer over all runs but smoke runs, whose figures say nothing.

    Raises:
        InputError: no price is known in the region, or the traffic cannot be read.
    """
    from workbench.report.html.cost import SCRIPTS, STYLES, cost_section

    real = [run for run in runs if not run.smoke]
    if not real:
        return CostPart()
    if not explorer:
        return CostPart(ABSENT)
    html, data = cost_section(real, traffic=traffic, region=region, store=store, progress=progress)
    if not data:
        return CostPart(html)
    return CostPart(
        html,
        {"cost": data},
        tuple(asset(name) for name in SCRIPTS),
        tuple(asset(name) for name in STYLES),
    )
