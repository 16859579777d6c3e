"""The cost explorer of a report: its HTML, and the data that its scripts compute with."""

from __future__ import annotations

import base64
import gzip
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError
from workbench.report.html.page import text

if TYPE_CHECKING:
    from workbench.cost.catalog import Catalog
    from workbench.cost.explorer import CostAnswer
    from workbench.cost.profile import ServiceProfile
    from workbench.cost.traffic import Traffic
    from workbench.progress import Progress
    from workbench.records import Run
    from workbench.store import Store

SCRIPTS = ("cost_decimal.js", "cost_pricing.js", "cost_chart.js", "cost.js")
"""Names of the scripts beside this file, in the order in which they run."""
STYLES = ("cost.css",)
ASSUMED_REQUESTS = 1e6
"""A month, where neither the recipe nor the caller says how much traffic there is."""

OPTIONS = (
    ("option", ""),
    ("USD a month", "number"),
    ("where", ""),
    ("instances", "number"),
    ("p99, ms", "number"),
    ("per 1,000", "number"),
    ("per 1 M", "number"),
)
VARIANTS = (
    ("variant", ""),
    ("cheapest option", ""),
    ("p99, ms", "number"),
    ("USD a month", "number"),
    ("saved, USD a month", "number"),
    ("saved", "number"),
)
BILL = (
    ("line", ""),
    ("quantity", "number"),
    ("price, USD", "number"),
    ("USD", "number"),
    ("source", ""),
    ("as of", ""),
)


def cost_section(
    runs: Sequence[Run],
    *,
    traffic: Traffic | None = None,
    region: str = "us-east-1",
    catalog: Catalog | None = None,
    store: Store | None = None,
    progress: Progress | None = None,
) -> tuple[str, dict[str, Any]]:
    """The section ``#cost``, and what stands in the page's data under ``cost``.

    Args:
        runs: measured runs; of several the variants have their run's name before their own.
        traffic: none: that of the first run's recipe that names any, else a constant million
            requests a month, which the section says.
        region: that is shown first.
        catalog: the prices; none: those that are shipped.
        store: keeps what was computed; none: the user's own.
        progress: told how far it is.

    Returns:
        HTML and JSON values. Without any latency a sentence that says so, and no data.

    Raises:
        InputError: no price is known in the region, or a log of the traffic cannot be read.
    """
    from workbench.cost.catalog import Catalog
    from workbench.cost.explorer import cost_answer, explore
    from workbench.store import Store

    profiles, baselines, left_out = _profiles(runs)
    if not profiles:
        return _section(f"<p>Nothing can be priced: {text(' '.join(left_out))}</p>"), {}
    load, said = _traffic(runs, traffic)
    prices = catalog or Catalog.standard()
    found = explore(
        profiles, load, prices, region=region, store=store or Store(), progress=progress
    )
    answer = cost_answer(profiles, load, prices, region=region)
    packed = gzip.compress(found.text.encode(), mtime=0)
    data = {
        "packed": base64.b64encode(packed).decode(),
        "baselines": baselines,
        "start": {"variant": _start(answer, profiles)},
    }
    notes = [*said, *_machines(profiles), *answer.plan.notes, *left_out]
    return _section(_body(answer, notes)), data


def _profiles(runs: Sequence[Run]) -> tuple[list[ServiceProfile], list[int], list[str]]:
    """All profiles, the place of the baseline of each, and which runs have none."""
    from workbench.cost.profile import profiles_of_run

    found: list[ServiceProfile] = []
    baselines: list[int] = []
    left_out: list[str] = []
    for run, label in zip(runs, _labels(runs), strict=True):
        try:
            profiles = profiles_of_run(run)
        except InputError as error:
            left_out.append(str(error))
            continue
        at = next((i for i, profile in enumerate(profiles) if profile.baseline), 0)
        baselines += [len(found) + at] * len(profiles)
        found += [
            profile.model_copy(update={"name": f"{label}{profile.name}"}) for profile in profiles
        ]
    return found, baselines, left_out


def _labels(runs: Sequence[Run]) -> list[str]:
    """What stands before the names of a run's variants; several runs may have one name."""
    if len(runs) < 2:
        return [""] * len(runs)
    seen: Counter[str] = Counter()
    labels = []
    for run in runs:
        seen[run.name] += 1
        labels.append(f"{run.name} ({seen[run.name]}): " if seen[run.name] > 1 else f"{run.name}: ")
    return labels


def _traffic(runs: Sequence[Run], given: Traffic | None) -> tuple[Traffic, list[str]]:
    """The traffic, and what is to be said of it."""
    from workbench.cost.traffic import Traffic, recorded_traffic

    recorded = next(filter(None, (recorded_traffic(run) for run in runs)), None)
    load = given or recorded or Traffic(requests=ASSUMED_REQUESTS)
    shape = f"Traffic: {load.describe()}; payload {load.payload_in_bytes:,} bytes in, "
    shape += f"{load.payload_out_bytes:,} out. Only its volume and its objective change here."
    if given or recorded:
        return load, [shape]
    assumed = "The recipe names no traffic: a constant one of a million requests is assumed."
    return load, [assumed, shape]


def _start(answer: CostAnswer, profiles: Sequence[ServiceProfile]) -> int:
    """The variant that is shown first: the cheapest, else the last."""
    names = [profile.name for profile in profiles]
    return names.index(answer.best.variant) if answer.best else len(names) - 1


def _machines(profiles: Sequence[ServiceProfile]) -> list[str]:
    machines = dict.fromkeys(profile.cpu for profile in profiles)
    if len(machines) < 2:
        return []
    return [
        f"The variants were measured on different machines ({', '.join(machines)}): each is "
        "carried to the places from its own, so that what is saved between them is less certain "
        "than between those of one machine."
    ]


def _section(body: str) -> str:
    title = '<h2 id="cost-title">Cost</h2>'
    return f'<section id="cost" aria-labelledby="cost-title">{title}{body}</section>'


def _body(answer: CostAnswer, notes: Sequence[str]) -> str:
    from workbench.report.costs import headline, sentences

    plain = "".join(
        f"<p>{text(one)}</p>" for one in (headline(answer.plan), *sentences(answer.plan))
    )
    said = "".join(f"<li>{text(one)}</li>" for one in notes)
    return f"""
<p>What a month of hosting costs, for every option. Each step of the slider was computed by
<code>workbench cost</code>; the page multiplies by prices and takes off the discount. Nothing lies
between the steps.</p>
<div id="cost-explorer">
<div data-cost="needs-script">{plain}</div>
<div class="waits">
<form data-cost="form" class="cost-controls" aria-label="Cost: what is asked">
{_range("volume", "Traffic", "wide", ' list="cost-ticks"')}
<datalist id="cost-ticks" data-cost="ticks"></datalist>
{_select("variant", "Variant")}
{_select("region", "Region")}
{_select("objective", "Objective")}
{_range("discount", "Savings Plan discount", "")}
</form>
<p class="said" role="status" data-cost="answer"></p>
<figure>
<div class="plot" data-cost="chart"></div>
<ul class="legend" data-cost="legend"></ul>
<figcaption data-cost="changes"></figcaption>
</figure>
{_table("variants", "All variants, each on its cheapest option", VARIANTS)}
{_table("options", "All options", OPTIONS, '<ul class="notes" data-cost="predicted"></ul>')}
<details data-cost="refused"><summary></summary><dl></dl></details>
{_table("bill", "The bill", BILL, '<ul class="notes"></ul>', foot=True)}
</div>
</div>
<ul class="notes">
<li>Brackets: from the fast to the slow end of what the speed on a place may be. What is saved is
taken end by end where both variants are predicted alike on one place; else from the one's low to
the other's high, as if the two had nothing to do with each other.</li>
<li>The discount is your own; it is on SageMaker's instance-hours, and on nothing else.</li>
{said}
</ul>
"""


def _range(name: str, label: str, style: str, more: str = "") -> str:
    return (
        f'<div class="field {style}"><label for="cost-{name}">{label}</label>'
        f'<output for="cost-{name}" data-cost="{name}-said"></output>'
        f'<input type="range" id="cost-{name}" data-cost="{name}" min="0" max="1" step="1"{more}>'
        "</div>"
    )


def _select(name: str, label: str) -> str:
    return (
        f'<div class="field"><label for="cost-{name}">{label}</label>'
        f'<select id="cost-{name}" data-cost="{name}"></select></div>'
    )


def _table(
    name: str,
    caption: str,
    columns: Sequence[tuple[str, str]],
    below: str = "",
    *,
    foot: bool = False,
) -> str:
    """A table that the scripts fill; it is sorted and copied as all others are."""
    head = "".join(
        f'<th scope="col"{f" class={style!r}" if style else ""}>{text(title)}</th>'
        for title, style in columns
    ).replace("'", '"')
    last = ""
    if foot:
        last = (
            '<tfoot><tr><td colspan="3">total</td><td class="number"></td>'
            f'<td colspan="{len(columns) - 4}"></td></tr></tfoot>'
        )
    return (
        f'<figure class="table" data-cost="{name}">'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}">'
        f'<table class="sortable"><caption>{text(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody></tbody>{last}</table></div>"
        f'{below}<div class="tools"></div></figure>'
    )
