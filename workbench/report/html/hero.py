"""How the report opens: the answer in a sentence, in five figures, and in a table of all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from workbench.records import Outcome, Run
from workbench.report.grids import NONE
from workbench.report.html.answer import (
    RULE,
    Answer,
    Figure,
    sentence,
)
from workbench.report.html.page import text
from workbench.report.html.pricing import Pricing
from workbench.report.html.tables import Cell, table_html

SIGNS = {"good": "✓ ", "bad": "✗ ", "open": "? ", "": ""}
"""Before a word that is coloured, so that it says the same without colour."""

SMOKE = (
    "A smoke run: few samples, and random weights unless the model is ONNX. "
    "No figure here says anything."
)


def hero(run: Run, best: Answer | None, pricing: Pricing, *, level: int) -> str:
    """The opening of a run."""
    kicker = " · ".join(
        [run.name, f"model {run.model}", run.task.replace("-", " "), day(run.created)]
    )
    alert = f'<p class="alert" role="note"><strong>{SMOKE}</strong></p>' if run.smoke else ""
    return (
        f'<header class="answer"><p class="kicker">{text(kicker)}</p>{alert}'
        f'<h{level} class="verdict">{_headline(run, best)}</h{level}>'
        f"{_lede(run, best)}{_tiles(best)}{_terms(best, pricing)}</header>"
    )


def answer_table(run: Run, found: Sequence[Answer], best: Answer | None, pricing: Pricing) -> str:
    """Every variant against the baseline."""
    if not found:
        return ""
    rows = []
    for answer in found:
        name = f"{answer.variant} (chosen)" if best and answer.variant == best.variant else None
        rows.append(
            [
                Cell(name or answer.variant),
                _cell(answer.size),
                _cell(answer.speed),
                _cell(answer.quality),
                _cell(answer.money),
                _cell(answer.gates),
            ]
        )
    columns = ("variant", "size", "speed", "quality", "saved a month", "gates")
    notes = (
        "Brackets are intervals, of 95 % for speed and quality; ochre: undecided, as the interval "
        "spans no change. Speed is the geometric mean over the "
        "cells, and its bounds are those of the cells' bounds.",
        f"Cost: {pricing.asked}.",
    )
    caption = f"Every variant against {run.baseline.name}"
    return table_html(caption, columns, rows, notes, head=0)


def overview(found: Sequence[tuple[str, Run, Answer | None, Pricing]]) -> str:
    """Several runs at a glance, each against its own baseline."""
    machines = {run.machine.cpu for _, run, _, _ in found}
    rows: list[list[str | Cell]] = []
    for _, run, best, _ in found:
        dash = [Cell(NONE)] * 5
        figures = (
            [_cell(f) for f in (best.size, best.speed, best.quality, best.money, best.gates)]
            if best
            else dash
        )
        name = f"{run.name} (smoke)" if run.smoke else run.name
        rows.append([Cell(name), Cell(best.variant if best else NONE), *figures, run.machine.cpu])
    columns = ("run", "chosen", "size", "speed", "quality", "saved a month", "gates", "machine")
    notes = ["Each run is held against its own baseline, measured beside it on the same machine."]
    if len(machines) > 1:
        notes.append(
            "The runs were measured on different machines: their ratios may be compared, their "
            "milliseconds may not."
        )
    links = "".join(f'<li><a href="#{i}">{text(run.name)}</a></li>' for i, run, _, _ in found)
    return (
        '<section id="overview" class="overview" aria-labelledby="overview-title">'
        f'<h1 id="overview-title" class="verdict">{len(found)} runs</h1>'
        + table_html("What each run chose", columns, rows, notes, head=0)
        + f'<ul class="runs">{links}</ul></section>'
    )


def day(moment: str) -> str:
    """``25 November 2026`` of an ISO moment; the text itself where it is none."""
    try:
        when = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    return f"{when.day} {when:%B %Y}"


def _headline(run: Run, best: Answer | None) -> str:
    if best is None:
        measured = sum(v.measurement is not None for v in run.variants)
        return "Only the baseline was measured." if measured else "Nothing was measured."
    if best.standing is Outcome.FAIL:
        return "No variant passes its gates."
    return f'<bdi class="pick">{text(best.variant)}</bdi> is {text(sentence(best))}.'


def _lede(run: Run, best: Answer | None) -> str:
    said = []
    if best and best.standing is Outcome.FAIL:
        said.append(f"The nearest is {best.variant}: {sentence(best)}.")
    if best and best.standing in (Outcome.UNDECIDED, Outcome.NOT_JUDGED):
        said.append("Not all of its gates are decided, and no variant passes all: see Gates.")
    if best and not run.verdicts:
        said.append("The recipe sets no gates, so nothing was demanded of it.")
    said.append(_measured_on(run, best))
    return f'<p class="lede">{text(" ".join(said).strip())}</p>'


def _measured_on(run: Run, best: Answer | None) -> str:
    """What the headline rests on."""
    own = next((v.measurement for v in run.variants if best and v.name == best.variant), None)
    if own is None:
        return ""
    parts = []
    if own.quality:
        parts.append(f"{own.quality.samples} samples of {run.task}")
    if own.latency:
        count = len(own.latency)
        parts.append(f"{count} cell{'' if count == 1 else 's'} of latency on {run.machine.cpu}")
    return f"Against {run.baseline.name}, over {' and '.join(parts)}." if parts else ""


def _terms(best: Answer | None, pricing: Pricing) -> str:
    if best is None:
        return ""
    return (
        f'<p class="terms"><strong>Cost</strong> {text(pricing.asked)}.<br>'
        f"<strong>Choice</strong> {text(RULE)}</p>"
    )


def _tiles(best: Answer | None) -> str:
    if best is None:
        return ""
    named = (
        ("Size", best.size),
        ("Speed", best.speed),
        ("Quality", best.quality),
        ("Cost", best.money),
        ("Gates", best.gates),
    )
    return f'<dl class="tiles">{"".join(_tile(name, figure) for name, figure in named)}</dl>'


def _tile(name: str, figure: Figure) -> str:
    metric, _, word = figure.word.removesuffix(" a month").rpartition(", ")
    named = {"Quality": f"Quality, {metric}" if metric else name, "Cost": "Cost a month"}
    return (
        f'<div class="card"><dt>{text(named.get(name, name))}</dt>'
        f'<dd class="big">{text(figure.big or "=")}</dd>'
        f'<dd class="word {figure.tone}">{SIGNS[figure.tone]}{text(word)}</dd>'
        f"{_pair(figure)}{_strip(figure) if name == 'Quality' else ''}"
        f'<dd class="detail">{text(figure.detail)}</dd></div>'
    )


def _strip(figure: Figure) -> str:
    """An interval on a line with no change at its middle; the numbers stand below."""
    if figure.value is None or figure.low is None or figure.high is None:
        return ""
    most = max(abs(figure.low), abs(figure.high)) or 1.0
    at, left, right = ((x / most + 1) / 2 for x in (figure.value, figure.low, figure.high))
    return (
        '<dd class="strip" aria-hidden="true"><span class="span" '
        f'style="left:{left:.1%};width:{right - left:.1%}"></span>'
        f'<span class="at-value" style="left:{at:.1%}"></span></dd>'
    )


def _pair(figure: Figure) -> str:
    """Before and after as two bars; the numbers stand beside them."""
    if figure.pair is None:
        return ""
    most = max(value for value, _ in figure.pair) or 1.0
    bars = "".join(
        f'<span class="track"><span class="fill {kind}" style="width:{value / most:.1%}">'
        f'</span></span><span class="at">{text(shown)}</span>'
        for kind, (value, shown) in zip(("before", "after"), figure.pair, strict=True)
    )
    return f'<dd class="pair">{bars}</dd>'


def _cell(figure: Figure) -> Cell:
    """A figure in a table: without what the column says, with its bounds."""
    if figure.big == NONE:
        return Cell(NONE)
    word = figure.word.rpartition(", ")[2].removesuffix(" a month")
    if figure.low is None or figure.low == figure.high:
        return Cell(f"{figure.big} {word}".strip(), figure.value, tone=figure.tone)
    shown = figure.big if figure.tone == "open" else f"{figure.big} {word}"
    return Cell(f"{shown} [{figure.bounds}]", figure.value, figure.low, figure.high, figure.tone)
