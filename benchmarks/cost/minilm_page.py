"""The tables and the plot of docs/cost-minilm.md, from what was measured of MiniLM.

    python benchmarks/cost/minilm_page.py         from docs/data/minilm-*.json
    python benchmarks/cost/minilm_page.py RUN     from a run directory, which is then kept there

What stands between ``<!-- NAME -->`` and ``<!-- /NAME -->`` is written here; the rest is prose. A
test makes it again and compares.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from log_plot import Axes, Panel, Series, svg

from workbench.cost.catalog import Catalog
from workbench.cost.plan import BreakEven, Estimate, Plan
from workbench.cost.planner import plan
from workbench.cost.profile import ServiceProfile, profiles_of
from workbench.cost.traffic import OfficeHours, Traffic
from workbench.report.costs import money, short

DOCS = Path(__file__).parents[2] / "docs"
PAGE, PLOT = DOCS / "cost-minilm.md", DOCS / "cost-minilm.svg"
PROFILES, MACHINE = DOCS / "data" / "minilm-profiles.json", DOCS / "data" / "minilm-machine.json"

TOKENS = (16, 128)
DECADES = tuple(10.0**power for power in range(3, 9))
WHERE = 1e6
"""Volume of which the tables name the places."""
PLOTTED = {
    "real-time": "#D55E00",
    "fargate": "#009E73",
    "cloud-run": "#CC79A7",
    "lambda": "#E69F00",
    "serverless": "#0072B2",
}
"""Options of the plot in Okabe and Ito's colours, which the colour-blind can tell apart."""
NAMED_VERSIONS = ("workbench", "onnxruntime", "onnx", "torch", "transformers")
EVEN = Traffic(requests=1e6)
OFFICE = Traffic(requests=1e6, shape=OfficeHours())
TWO = Traffic(requests=1e6, availability="redundant")
FAST = Traffic(requests=1e6, p99_ms=100)
ENDPOINTS = ("serverless", "real-time")


def main() -> None:
    """Write the page's blocks and the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path, help="a run directory of recipes/minilm-int8")
    run = parser.parse_args().run
    if run:
        keep(run)
    figures = Figures.kept()
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")
    PLOT.write_text(plot(figures), encoding="utf-8")


def keep(run: Path) -> None:
    """What the page rests on, of a run."""
    from workbench.run_directory import load_run

    loaded = load_run(run)
    profiles = [profile.model_dump(mode="json") for profile in profiles_of(run)]
    PROFILES.parent.mkdir(exist_ok=True)
    PROFILES.write_text(json.dumps(profiles, indent=1) + "\n", encoding="utf-8")
    machine = loaded.machine
    versions = {name: machine.versions[name] for name in NAMED_VERSIONS}
    stated = {
        "cpu": machine.cpu, "isa": machine.isa, "cores": machine.cores, "python": machine.python,
        "versions": versions,
    }  # fmt: skip
    MACHINE.write_text(json.dumps(stated, indent=1) + "\n", encoding="utf-8")


def filled(page: str, figures: Figures) -> str:
    """The page with all blocks made anew."""
    for name, block in blocks(figures).items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        page, found = pattern.subn(lambda m, text=block: f"{m[1]}{text}\n{m[2]}", page)
        if found != 1:
            raise SystemExit(f"{PAGE.name} has {found} blocks '{name}'; one is needed.")
    return page


@dataclass(frozen=True)
class Figures:
    """The engine's answers for one set of profiles."""

    profiles: tuple[ServiceProfile, ...]
    machine: dict[str, Any]

    @classmethod
    def kept(cls) -> Figures:
        """Of what is in docs/data."""
        machine = json.loads(MACHINE.read_text(encoding="utf-8"))
        return cls(tuple(profiles_of(PROFILES)), machine)

    @cached_property
    def _plans(self) -> dict[tuple[object, ...], Plan]:
        return {}

    def plan(
        self,
        tokens: int,
        requests: float,
        traffic: Traffic = EVEN,
        chosen: tuple[str, ...] | None = None,
        break_evens: bool = False,
    ) -> Plan:
        """One plan, made once."""
        key = (tokens, requests, traffic, chosen, break_evens)
        if key not in self._plans:
            self._plans[key] = plan(
                self.profiles, traffic.scaled(requests), Catalog.standard(),
                sequence=tokens, chosen=chosen, break_evens=break_evens,
            )  # fmt: skip
        return self._plans[key]

    def break_evens(
        self, tokens: int, traffic: Traffic = EVEN, chosen: tuple[str, ...] | None = None
    ) -> tuple[BreakEven, ...]:
        """Where the best option changes."""
        return self.plan(tokens, 1e6, traffic, chosen, break_evens=True).break_evens

    def each(self, made: Plan, option: str | None = None) -> dict[str, Estimate]:
        """Of each variant its best option, or the named one where it is possible."""
        found = {}
        for variant in made.variants:
            named = (one for one in variant.estimates if option in (None, one.option))
            if (first := next(named, None)) is not None:
                found[variant.variant] = first
        return found


def blocks(figures: Figures) -> dict[str, str]:
    """The Markdown of each block by its name."""
    return {
        "measured": "\n".join(_measured(figures)),
        **{f"volumes-{tokens}": "\n".join(_volumes(figures, tokens)) for tokens in TOKENS},
        "break-evens": "\n".join(_break_evens(figures)),
        "int8": "\n".join(_saved(figures)),
        "ranges": "\n".join(_ranges(figures)),
        "rules": "\n".join(_rules(figures)),
    }


def _measured(figures: Figures) -> Iterator[str]:
    machine, first = figures.machine, figures.profiles[0]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    yield (
        f"Measured on {first.measured[:10]}: {machine['cpu']}, {machine['cores']} cores "
        f"({', '.join(machine['isa'])}); Python {machine['python']}, {versions}."
    )
    yield ""
    yield "| variant | tokens | mean ms | p50 ms | p99 ms | memory of a process | loading |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for profile in figures.profiles:
        for tokens in TOKENS:
            point = min(profile.points(tokens), key=lambda p: (p.batch, p.threads))
            yield (
                f"| {profile.name} | {tokens} | {point.mean_ms:.2f} | {_ms(point.p50_ms)} | "
                f"{_ms(point.p99_ms)} | {(profile.memory_bytes or 0) / 1e6:.0f} MB | "
                f"{(profile.load_s or 0) * 1000:.0f} ms |"
            )


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _volumes(figures: Figures, tokens: int) -> Iterator[str]:
    plans = [figures.plan(tokens, requests) for requests in DECADES]
    names = [profile.name for profile in figures.profiles]
    columns = (*(short(requests) for requests in DECADES), f"where, at {short(WHERE)}")
    yield from _head(" / ".join(names), columns)
    found = {one.option for made in plans for v in made.variants for one in v.estimates}
    for option in sorted(found):
        cells = []
        for made in plans:
            here, best = figures.each(made, option), figures.each(made)
            shown = [_cell(here.get(name), best.get(name)) for name in names]
            cells.append(" / ".join(shown) if set(shown) != {"–"} else "–")
        places = figures.each(figures.plan(tokens, WHERE), option).values()
        where = " / ".join(dict.fromkeys(str(found.place) for found in places)) or "–"
        yield f"| {option} | {' | '.join(cells)} | {where} |"


def _cell(found: Estimate | None, best: Estimate | None) -> str:
    if found is None:
        return "–"
    text = money(found.usd.mid)
    return f"**{text}**" if best is not None and found.option == best.option else text


def _break_evens(figures: Figures) -> Iterator[str]:
    yield "| traffic | tokens | variant | from the fewest requests a month to the most |"
    yield "| --- | ---: | --- | --- |"
    for title, traffic in (("even", EVEN), ("even, p99 100 ms", FAST), ("office hours", OFFICE)):
        for tokens in TOKENS:
            found = figures.break_evens(tokens, traffic)
            for profile in figures.profiles:
                mine = [change for change in found if change.variant == profile.name]
                yield f"| {title} | {tokens} | {profile.name} | {_chain(mine)} |"


def _chain(changes: Sequence[BreakEven]) -> str:
    text = changes[0].before
    for change in changes:
        text += f" → {change.requests:,.0f} → {change.after}"
    return text


def _saved(figures: Figures) -> Iterator[str]:
    yield from _head("saved by int8", (short(requests) for requests in DECADES))
    for title, option in (("best option of each", None), ("real-time endpoint", "real-time")):
        for tokens in TOKENS:
            shares = [f"{_saving(figures, tokens, requests, option):.0%}" for requests in DECADES]
            yield f"| {title}, {tokens} tokens | {' | '.join(shares)} |"


def _ranges(figures: Figures) -> Iterator[str]:
    yield from _head("int8, 128 tokens, 10 M requests", ("low", "mid", "high", "p99 ms"))
    name, made = figures.profiles[-1].name, figures.plan(128, 1e7)
    for option in PLOTTED:
        found = figures.each(made, option)[name]
        cells = [money(usd) for usd in (found.usd.low, found.usd.mid, found.usd.high)]
        p99 = f"{found.p99_ms.low:.0f}–{found.p99_ms.high:.0f}"
        yield f"| {option} on {found.place} | {' | '.join(cells)} | {p99} |"


def _saving(figures: Figures, tokens: int, requests: float, option: str | None = None) -> float:
    found = figures.each(figures.plan(tokens, requests), option)
    return float(1 - found["int8"].usd.mid / found["fp32"].usd.mid)


def _head(first: str, columns: Iterable[str]) -> Iterator[str]:
    names = (first, *columns)
    yield f"| {' | '.join(names)} |"
    yield f"| --- | {' | '.join('---:' for _ in names[1:])} |"


# --- rules of thumb -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """What is said, whether it holds, and the figures that say so."""

    said: str
    holds: str
    figures: str


def _rules(figures: Figures) -> Iterator[str]:
    yield "| what is said | holds | what comes out (128 tokens, fp32 / int8) |"
    yield "| --- | --- | --- |"
    for make in (
        _five_hundred_thousand, _formula, _cold_starts, _zero, _halves, _data, _mean, _redundant,
        _like_ec2, _like_lambda,
    ):  # fmt: skip
        rule = make(figures)
        yield f"| {rule.said} | {rule.holds} | {rule.figures} |"


def _usd(figures: Figures, requests: float, option: str, traffic: Traffic = EVEN) -> list[float]:
    found = figures.each(figures.plan(128, requests, traffic), option)
    return [float(found[profile.name].usd.mid) for profile in figures.profiles]


def _pair(values: Iterable[float], text: str = "{:,.2f}") -> str:
    return " / ".join(text.format(value) for value in values)


def _verdict(holds: bool, partly: bool = False) -> str:
    return "yes" if holds else "partly" if partly else "no"


def _five_hundred_thousand(figures: Figures) -> Rule:
    serverless, real_time = (_usd(figures, 5e5, option) for option in ENDPOINTS)
    changes = figures.break_evens(128, EVEN, ENDPOINTS)
    ends = [change for change in changes if change.before == "serverless"]
    upper = _pair((c.requests for c in ends), "{:,.0f}") if ends else f"over {short(DECADES[-1])}"
    begins = [change.requests for change in changes if change.after == "serverless"]
    near = bool(ends) and all(2.5e5 < change.requests < 1e6 for change in ends)
    return Rule(
        "Serverless below 500 K requests a month, a real-time endpoint above",
        _verdict(near),
        f"At 500 K: {_pair(serverless)} USD serverless, {_pair(real_time)} real-time. Of the two "
        f"serverless is the cheaper from {_pair(begins, '{:,.0f}')} to {upper} requests.",
    )


def _cold_starts(figures: Figures) -> Rule:
    limits = {}
    for title, traffic in (("even", EVEN), ("office hours", OFFICE)):
        limits[title] = [
            change.requests
            for tokens in TOKENS
            for change in figures.break_evens(tokens, traffic, ("serverless",))
        ]
    holds = {title: all(3e4 < at < 5e4 for at in found) for title, found in limits.items()}
    texts = [f"{min(v):,.0f} to {max(v):,.0f} ({title})" for title, v in limits.items()]
    return Rule(
        "Below about 40 K requests a month more than 1 % meet a cold start",
        _verdict(all(holds.values()), holds["even"]),
        f"The share falls to 1 % at {', '.join(texts)} requests: both variants, 16 and 128 tokens.",
    )


def _halves(figures: Figures) -> Rule:
    best = {requests: _saving(figures, 128, requests) for requests in DECADES}
    fixed = {requests: _saving(figures, 128, requests, "real-time") for requests in DECADES}
    half = [requests for requests, share in best.items() if 0.45 <= share <= 0.55]
    texts = [f"{share:.0%} at {short(requests)}" for requests, share in best.items()]
    same = [short(requests) for requests, share in fixed.items() if abs(share) < 0.005]
    return Rule(
        "int8 halves the bill",
        _verdict(len(half) == len(DECADES), bool(half)),
        f"Saved, each on its best option: {', '.join(texts)}. On a real-time endpoint nothing from "
        f"{same[0]} to {same[-1]}.",
    )


def _formula(figures: Figures) -> Rule:
    idle = _usd(figures, DECADES[0], "real-time")
    a_request = [usd / 1e6 for usd in _usd(figures, 1e6, "serverless")]
    said = [month / each for month, each in zip(idle, a_request, strict=True)]
    real_time, serverless = (
        [_usd(figures, requests, option)[number] for number, requests in enumerate(said)]
        for option in ("real-time", "serverless")
    )
    return Rule(
        "An endpoint is cheaper than serverless from (its month) / (a request's price) on",
        _verdict(all(a <= b for a, b in zip(real_time, serverless, strict=True))),
        f"That is from {_pair((n / 1e6 for n in said), '{:.0f} M')} requests on; there the "
        f"endpoint costs {_pair(real_time)} USD and serverless {_pair(serverless)}.",
    )


def _data(figures: Figures) -> Rule:
    shares = {}
    for tokens in TOKENS:
        found = figures.each(figures.plan(tokens, 1e6), "serverless").values()
        shares[tokens] = [
            float(sum(line.usd for line in one.bill.lines if "data" in line.item) / one.bill.usd)
            for one in found
        ]
    texts = [f"{_pair(v, '{:.0%}')} at {tokens} tokens" for tokens, v in shares.items()]
    return Rule(
        "What is paid is the model's time",
        _verdict(max(map(max, shares.values())) < 0.1, min(map(min, shares.values())) < 0.25),
        f"Of a serverless bill the data (1 KiB in, 4 KiB out) are {', '.join(texts)}.",
    )


def _zero(figures: Figures) -> Rule:
    parts, shares = [], []
    for title, traffic in (("even", EVEN), ("office hours", OFFICE)):
        for requests in (1e3, 1e4):
            name = figures.profiles[-1].name
            made = figures.plan(128, requests, traffic)
            scaled, fixed = (
                figures.each(made, option)[name] for option in ("asynchronous", "real-time")
            )
            shares.append(float(scaled.usd.mid / fixed.usd.mid))
            parts.append(f"{shares[-1]:.0%} at {short(requests)} {title}")
    return Rule(
        "An endpoint that scales to zero costs next to nothing while little is asked",
        _verdict(max(shares) < 0.1, min(shares) < 0.1),
        f"An asynchronous endpoint, in parts of a real-time one: {', '.join(parts)}.",
    )


def _mean(figures: Figures) -> Rule:
    fixed, used = (
        [_usd(figures, 5e7, option, traffic) for traffic in (EVEN, OFFICE)]
        for option in ("real-time", "serverless")
    )
    holds = max(fixed[1]) <= 1.1 * max(fixed[0])
    return Rule(
        "The month's mean gives the bill",
        _verdict(holds, max(used[1]) <= 1.1 * max(used[0])),
        f"50 M requests, real-time: {_pair(fixed[0])} USD even, {_pair(fixed[1])} in office hours; "
        f"serverless: {_pair(used[0])} and {_pair(used[1])}.",
    )


def _redundant(figures: Figures) -> Rule:
    ratios = {
        option: max(
            two / one
            for two, one in zip(
                _usd(figures, 1e6, option, TWO), _usd(figures, 1e6, option), strict=True
            )
        )
        for option in ("real-time", "serverless")
    }
    many = [
        two / one
        for two, one in zip(
            _usd(figures, 1e8, "real-time", TWO), _usd(figures, 1e8, "real-time"), strict=True
        )
    ]
    return Rule(
        "Surviving the loss of an instance doubles the bill",
        _verdict(False, ratios["real-time"] > 1.9),
        f"{ratios['real-time']:.2f} times for a real-time endpoint at 1 M, {_pair(many)} times at "
        f"100 M; {ratios['serverless']:.2f} for serverless.",
    )


def _like_ec2(figures: Figures) -> Rule:
    ratios = [
        ours / theirs
        for ours, theirs in zip(
            _usd(figures, 1e6, "real-time"), _usd(figures, 1e6, "ec2"), strict=True
        )
    ]
    return Rule(
        "An endpoint's instance costs what EC2 asks for it",
        _verdict(max(ratios) < 1.05),
        f"At 1 M a real-time endpoint costs {_pair(ratios)} times the same on EC2.",
    )


def _like_lambda(figures: Figures) -> Rule:
    ratios = [
        theirs / ours
        for theirs, ours in zip(
            _usd(figures, 1e7, "lambda"), _usd(figures, 1e7, "serverless"), strict=True
        )
    ]
    return Rule(
        "SageMaker's serverless is a dearer Lambda",
        _verdict(max(ratios) < 1),
        f"At 10 M Lambda costs {_pair(ratios)} times as much: it asks for each request too.",
    )


# --- the plot -----------------------------------------------------------------------------------


def plot(figures: Figures) -> str:
    """Cost over requests, a panel for each number of tokens."""
    panels = [Panel(f"{tokens} tokens", tuple(_series(figures, tokens))) for tokens in TOKENS]
    usd = [y for panel in panels for series in panel.series for _, y in series.points]
    axes = Axes((3, 8), (_power(min(usd)), _power(max(usd)) + 1))
    return svg(panels, axes, "MiniLM: USD a month in us-east-1, evenly spread requests")


def _series(figures: Figures, tokens: int) -> Iterator[Series]:
    plans = [figures.plan(tokens, requests, chosen=tuple(PLOTTED)) for requests in _steps()]
    for option, colour in PLOTTED.items():
        for profile in figures.profiles:
            points = tuple(
                (made.requests, float(found[profile.name].usd.mid))
                for made in plans
                if profile.name in (found := figures.each(made, option))
            )
            yield Series(option, profile.name, colour, profile.baseline, points)


@cache
def _steps() -> tuple[float, ...]:
    return tuple(10 ** (exponent / 8) for exponent in range(24, 65))


def _power(usd: float) -> int:
    from math import floor, log10

    return floor(log10(usd))


if __name__ == "__main__":
    main()
