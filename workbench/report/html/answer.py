"""The answer: what each variant gained and lost against the baseline, and which one to take.

Nothing is rounded up to good news: what the intervals leave open is called undecided, what is
worse is called worse, and what was not measured is said.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from workbench.gates import WORST_FIRST
from workbench.records import (
    Interval,
    Latency,
    Measurement,
    Outcome,
    Run,
    Setting,
    VariantResult,
)
from workbench.report.costs import money
from workbench.report.grids import NONE, bytes_text, closeness_text, ms_text
from workbench.report.html.pricing import Pricing

SIGNS = {Outcome.PASS: "✓", Outcome.FAIL: "✗", Outcome.UNDECIDED: "?", Outcome.NOT_JUDGED: "·"}

SIZES_ALIKE = 1.02
"""Sizes whose ratio is below it count as alike in the choice."""

RULE = (
    "Of the variants whose gates all pass, those whose speed-up overlaps with the fastest one's "
    "count as equally fast; of them the smallest is taken, and of sizes within 2 % the fastest. "
    "Where none passes all, those with undecided gates are considered, and failing ones last."
)

Tone = Literal["good", "bad", "open", ""]
Pair = tuple[tuple[float, str], tuple[float, str]]
"""Before and after, each with its text."""


@dataclass(frozen=True)
class Figure:
    """One part of the answer.

    ``big`` is the number, ``word`` what it is, ``detail`` how it came about. ``value``, ``low`` and
    ``high`` are raw, ``bounds`` is their text. ``pair`` holds the baseline's and the variant's
    absolute figure with their texts, where both are known.
    """

    big: str
    word: str
    detail: str
    tone: Tone = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    bounds: str = ""
    pair: Pair | None = None


@dataclass(frozen=True)
class Answer:
    """What a variant gained and lost."""

    variant: str
    size: Figure
    speed: Figure
    quality: Figure
    money: Figure
    gates: Figure
    standing: Outcome
    speedup: Interval | None
    size_bytes: int


def answers(run: Run, pricing: Pricing) -> list[Answer]:
    """The answers for all measured variants but the baseline, in the recipe's order.

    Args:
        run: the record.
        pricing: what hosting costs, or why that is not known.
    """
    base = run.baseline.measurement
    if base is None:
        return []
    return [
        _answer(run, variant, variant.measurement, base, pricing)
        for variant in run.variants
        if variant.measurement and not variant.baseline
    ]


def choose(found: Sequence[Answer]) -> Answer | None:
    """The variant to take, by :data:`RULE`; none where there is none beside the baseline."""
    for outcomes in ({Outcome.PASS}, {Outcome.UNDECIDED, Outcome.NOT_JUDGED}, {Outcome.FAIL}):
        group = [answer for answer in found if answer.standing in outcomes]
        if not group:
            continue
        timed = [answer for answer in group if answer.speedup]
        if not timed:
            return min(group, key=lambda answer: answer.size_bytes)
        fastest = max(answer.speedup.value for answer in timed if answer.speedup)
        floor = next(a.speedup.low for a in timed if a.speedup and a.speedup.value == fastest)
        alike = [answer for answer in timed if answer.speedup and answer.speedup.high >= floor]
        least = min(answer.size_bytes for answer in alike)
        small = [answer for answer in alike if answer.size_bytes < SIZES_ALIKE * least]
        return max(small, key=lambda answer: answer.speedup.value if answer.speedup else 0.0)
    return None


def sentence(answer: Answer) -> str:
    """The answer in one line: ``74 % smaller, 2.3× faster, no loss shown``."""
    parts = [
        f"{answer.size.big} {answer.size.word}".strip(),
        _speed_words(answer.speed),
        _quality_words(answer.quality),
    ]
    return ", ".join(filter(None, parts))


def mean_speedup(cells: Sequence[Latency]) -> Interval | None:
    """Geometric mean of the cells' speed-ups, with that of their bounds as its interval.

    The cells of a run share processes, so their errors may go together: the mean of the bounds
    holds even then, and is too wide where they do not.
    """
    found = [cell.speedup for cell in cells if cell.speedup]
    if not found or any(min(each.value, each.low, each.high) <= 0 for each in found):
        return None

    def mean(values: list[float]) -> float:
        return math.exp(sum(map(math.log, values)) / len(values))

    return Interval(
        value=mean([each.value for each in found]),
        low=mean([each.low for each in found]),
        high=mean([each.high for each in found]),
        n=sum(each.n for each in found),
        method=f"geometric mean of {len(found)} cells and of their bounds",
        confidence=min(each.confidence for each in found),
    )


def cell_text(cell: Setting, *, batch: bool = True) -> str:
    """A cell in words: ``batch 1, 128 tokens, 2 threads``."""
    parts = [f"batch {cell.batch}"] if batch else []
    parts += [f"{cell.sequence} tokens"] if cell.sequence else []
    parts.append(f"{cell.threads} thread{'' if cell.threads == 1 else 's'}")
    parts += [] if cell.device == "cpu" else [cell.device]
    return ", ".join(parts)


def _answer(
    run: Run,
    variant: VariantResult,
    own: Measurement,
    base: Measurement,
    pricing: Pricing,
) -> Answer:
    speedup = mean_speedup(own.latency)
    gates, standing = _gates(run, variant.name)
    return Answer(
        variant=variant.name,
        size=_size(own, base),
        speed=_speed(own, base, speedup),
        quality=_quality(own),
        money=_money(pricing, variant.name),
        gates=gates,
        standing=standing,
        speedup=speedup,
        size_bytes=own.footprint.size_bytes,
    )


def _size(own: Measurement, base: Measurement) -> Figure:
    ours, theirs = own.footprint.size_bytes, base.footprint.size_bytes
    share = 1 - ours / theirs
    percent = f"{abs(share):.0%}" if abs(share) >= 0.01 or ours == theirs else f"{abs(share):.2%}"
    word = "smaller" if share > 0 else "larger" if share < 0 else "same size"
    return Figure(
        "" if ours == theirs else percent.replace("%", " %"),
        word,
        "all files of the model: graph, weights, tokenizer",
        "good" if share > 0 else "bad" if share < 0 else "",
        value=share,
        pair=((theirs, bytes_text(theirs)), (ours, bytes_text(ours))),
    )


def _speed(own: Measurement, base: Measurement, speedup: Interval | None) -> Figure:
    if speedup is None:
        return Figure(NONE, "speed not measured", "No latency was measured beside the baseline's.")
    low, high = speedup.low, speedup.high
    tone: Tone = "good" if low > 1 else "bad" if high < 1 else "open"
    words = {"good": "faster", "bad": "slower", "open": "speed undecided", "": ""}
    ratios = [cell.speedup.value for cell in own.latency if cell.speedup]
    shown = (1 / speedup.value, 1 / high, 1 / low) if tone == "bad" else (speedup.value, low, high)
    detail = f"{shown[1]:.2f}× to {shown[2]:.2f}×"
    if len(ratios) > 1:
        detail += f" over {len(ratios)} cells, whose speed-ups reach from {min(ratios):.2f}× to "
        detail += f"{max(ratios):.2f}×"
    if any(not cell.steady for cell in own.latency):
        detail += "; rounds disagreed, the machine was busy"
    pair, where = _p50s(own, base)
    detail += f". Bars: p50 at {where}" if pair else ""
    return Figure(
        f"{shown[0]:.2f}×",
        words[tone],
        detail,
        tone,
        speedup.value,
        low,
        high,
        f"{shown[1]:.2f}, {shown[2]:.2f}",
        pair,
    )


def _p50s(own: Measurement, base: Measurement) -> tuple[Pair | None, str]:
    """p50 in the first cell that both have, and which that is."""
    theirs = {cell.setting: cell.p50_ms.value for cell in base.latency}
    for cell in own.latency:
        if (before := theirs.get(cell.setting)) is not None:
            after = cell.p50_ms.value
            pair = (before, f"{ms_text(before)} ms"), (after, f"{ms_text(after)} ms")
            return pair, cell_text(cell.setting)
    return None, ""


def _quality(own: Measurement) -> Figure:
    quality = own.quality
    if quality is None:
        return Figure(NONE, "quality not measured", "The task gave no figure.")
    change = quality.difference
    if change is None:
        close = closeness_text(quality)
        if close == NONE:
            return Figure(NONE, "quality not compared", "No difference to the baseline is known.")
        name, value = next(iter(quality.agreement.items()))
        detail = f"No labels, so no loss is known: closeness to the baseline only. {close}."
        return Figure(f"{value:.4g}", name.replace("_", " "), detail, "", value)
    interval = f"{change.low:+.4f} to {change.high:+.4f}"
    samples = f"{quality.samples} samples"
    if change.high < 0:
        word, tone, detail = "lost", "bad", f"{interval}, {samples}"
    elif change.low > 0:
        word, tone, detail = "gained", "good", f"{interval}, {samples}"
    elif change.low == change.high:
        word, tone, detail = "unchanged", "good", f"on each of {samples}"
    else:
        word, tone = "no loss shown", "open"
        detail = f"{interval}: a loss of more than {-change.low:.4f} is ruled out ({samples})"
    return Figure(
        f"{change.value:+.4f}".replace("-", "−"),
        f"{quality.metric}, {word}",
        detail.replace("-", "−"),
        tone,  # type: ignore[arg-type]
        change.value,
        change.low,
        change.high,
        f"{change.low:+.4f}, {change.high:+.4f}".replace("-", "−"),
    )


def _speed_words(speed: Figure) -> str:
    if speed.tone == "open":
        return "no faster that could be shown"
    return "" if speed.value is None else f"{speed.big} {speed.word}"


def _quality_words(quality: Figure) -> str:
    if quality.low is None:
        return "quality not compared"
    metric, _, word = quality.word.rpartition(", ")
    if word in ("lost", "gained"):
        return f"{quality.big.lstrip('−+')} {metric} {word}"
    return "no quality lost" if word == "unchanged" else "no quality loss shown"


def _gates(run: Run, variant: str) -> tuple[Figure, Outcome]:
    mine = [v for v in run.verdicts if v.variant == variant]
    counts = Counter(v.outcome for v in mine)
    total = sum(counts.values())
    if not total:
        return Figure(NONE, "no gates", "The recipe sets none for it."), Outcome.PASS
    standing = next(outcome for outcome in WORST_FIRST if counts[outcome])
    tones: dict[Outcome, Tone] = {Outcome.PASS: "good", Outcome.FAIL: "bad"}
    figure = Figure(
        f"{counts[Outcome.PASS]} of {total}",
        "pass",
        "\n".join(f"{SIGNS[v.outcome]} {v.gate}" for v in mine),
        tones.get(standing, "open"),
        counts[Outcome.PASS] / total,
    )
    return figure, standing


def _money(pricing: Pricing, variant: str) -> Figure:
    if pricing.plan is None:
        return Figure(NONE, "not priced", pricing.why)
    found = pricing.saved(variant)
    if found is None:
        return Figure(NONE, "not priced", "No option is possible under this traffic.")
    theirs, ours, saved = found
    tone: Tone = "good" if saved.low > 0 else "bad" if saved.high < 0 else "open"
    if saved.low == saved.high == 0:
        tone = ""
    words = {"good": "saved a month", "bad": "more a month", "open": "a month, undecided", "": ""}
    details = (
        [f"{abs(saved.mid) / theirs.usd.mid:.0%}".replace("%", " %")] if theirs.usd.mid else []
    )
    if saved.low != saved.high:
        between = f"{money(saved.low)} to {money(saved.high)}".replace("-", "−")
        details.append(f"{between} USD saved")
    details.append(
        f"on {ours.option}" + ("" if ours.measured and theirs.measured else ", predicted")
    )
    negative = saved.mid < 0 and tone != "bad"
    return Figure(
        f"{'−' * negative}${money(abs(saved.mid))}",
        words[tone] or "same cost",
        "; ".join(details),
        tone,
        float(saved.mid),
        float(saved.low),
        float(saved.high),
        f"{money(saved.low)}, {money(saved.high)}".replace("-", "−"),
        (
            (float(theirs.usd.mid), f"${money(theirs.usd.mid)}"),
            (float(ours.usd.mid), f"${money(ours.usd.mid)}"),
        ),
    )
