"""Where the figures come from: machine, versions, digests, dates, prices, and the recipe."""

from __future__ import annotations

from workbench.records import Run
from workbench.report.grids import machine_text
from workbench.report.html.page import text
from workbench.report.html.pricing import Pricing, price_sources
from workbench.report.html.tables import table_html
from workbench.yaml_source import dump_yaml


def provenance_section(run: Run, pricing: Pricing, data_id: str) -> str:
    """All of it; ``data_id`` names the run for the download button."""
    machine = run.machine
    facts = [
        ("run", f"{run.name}, made {run.created} in {run.seconds:.0f} s"),
        ("work", f"{run.performed} steps and measurements done, {run.reused} from the store"),
        ("latency measured", run.measured),
        ("machine", machine_text(machine)),
        ("memory", f"{machine.memory_bytes / 2**30:.1f} GiB"),
        ("system", f"{machine.system}; Python {machine.python}"),
        *([("gpu", machine.gpu)] if machine.gpu else []),
        *([("governor", machine.governor)] if machine.governor else []),
        *([("recipe", str(told))] if (told := run.recipe.get("description")) else []),
    ]  # fmt: skip
    versions = [[name, version] for name, version in machine.versions.items()]
    digests = [[v.name, " → ".join(r.step for r in v.lineage), v.key] for v in run.variants]
    sources = [list(row) for row in price_sources(pricing)]
    listed = "".join(f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>" for k, v in facts)
    prices = (
        table_html("Sources of prices", ("source", "as of", "confidence"), sources,
                   ("A: a price list or a bill; B: a dated third party, or a moving price.",))
        if sources else ""
    )  # fmt: skip
    return (
        f"<dl class='facts'>{listed}</dl>"
        + table_html("Digests", ("variant", "made by", "SHA-256 of the step and its inputs"),
                     digests, head=0)
        + prices
        + table_html("Versions", ("package", "version"), versions, head=0)
        + "<details open><summary>The recipe, overrides included</summary>"
        f"<pre tabindex='0'>{text(dump_yaml(run.recipe))}</pre></details>"
        "<p><button type='button' class='plain' data-download="
        f"'{text(data_id)}'>Download the data (JSON)</button></p>"
    )  # fmt: skip
