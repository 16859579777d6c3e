"""What each step bought: size along the lineage, the step's account, and what it left alone."""

from __future__ import annotations

from typing import Any

from workbench.records import Run, StepRecord
from workbench.report.grids import NONE, bytes_text, curve_grid, ms_text
from workbench.report.html.answer import mean_speedup
from workbench.report.html.page import text
from workbench.report.html.tables import Cell, interval_cell, table_html


def stages(run: Run) -> list[dict[str, Any]]:
    """Each distinct step of the run once, with the bytes of the model's parts after it.

    Steps that give no bytes are left out; ``variants`` are those that went through it.
    """
    found: dict[str, dict[str, Any]] = {}
    for variant in run.variants:
        for at, record in enumerate(variant.lineage):
            if record.account.bytes_after and record.key not in found:
                found[record.key] = {
                    "label": " → ".join(r.step for r in variant.lineage[: at + 1]),
                    "step": record.step,
                    "variants": [
                        v.name for v in run.variants if any(r.key == record.key for r in v.lineage)
                    ],
                    "parts": record.account.bytes_after,
                }
    return list(found.values())


def lineage_table(run: Run) -> str:
    """Size after each step of each variant; latency and quality where that stage was measured."""
    measured = {v.key: v for v in run.variants if v.measurement}
    rows: list[list[str | Cell]] = []
    for variant in run.variants:
        before: int | None = None
        for at, record in enumerate(variant.lineage, 1):
            after = sum(record.account.bytes_after.values()) or None
            stage = measured.get(record.key)
            rows.append(
                [
                    variant.name,
                    Cell(f"{at} {record.step}", at),
                    Cell(NONE) if after is None else Cell(bytes_text(after), after),
                    _change(before, after),
                    *_measured(
                        stage.measurement if stage else None, bool(stage and stage.baseline)
                    ),
                    _parity(record),
                ]
            )
            before = after if after is not None else before
    columns = (
        "variant", "step", "model after", "saved by the step", "speed-up", "Δ quality",
        "worst output difference",
    )  # fmt: skip
    base = run.baseline.name
    notes = (
        f"Speed-up and Δ quality are against {base}. They stand where the stage is a variant that "
        "was measured; what lies between was not.",
        "Worst output difference: to the stage before, on real inputs.",
    )
    return table_html("Along the lineage", columns, rows, notes, head=0)


def accounts(run: Run) -> str:
    """The account of each distinct step, to be opened; its summary stands on the outside."""
    seen: dict[str, StepRecord] = {}
    for variant in run.variants:
        for record in variant.lineage:
            seen.setdefault(record.key, record)
    inner = "".join(_account(run, record) for record in seen.values())
    return f"<div class='accounts'>{inner}</div>"


def _change(before: int | None, after: int | None) -> Cell:
    if before is None or after is None:
        return Cell(NONE)
    saved = before - after
    share = f"{saved / before:.0%}".replace("-", "−").replace("%", " %")
    sign = "−" if saved < 0 else ""
    return Cell(f"{sign}{bytes_text(abs(saved))} ({share})" if saved else "0", saved)


def _measured(measurement: Any, is_baseline: bool) -> list[str | Cell]:
    if measurement is None:
        return [Cell(NONE), Cell(NONE)]
    if is_baseline:
        return [Cell("1", 1.0), Cell("0", 0.0)]
    speedup = mean_speedup(measurement.latency)
    change = measurement.quality.difference if measurement.quality else None
    return [
        Cell(NONE)
        if speedup is None
        else interval_cell(
            f"{speedup.value:.2f}× [{speedup.low:.2f}, {speedup.high:.2f}]", speedup
        ),
        Cell(NONE)
        if change is None
        else interval_cell(f"{change.value:+.4f} [{change.low:+.4f}, {change.high:+.4f}]", change),
    ]


def _parity(record: StepRecord) -> Cell:
    parity = record.account.parity
    return Cell(NONE) if parity is None else Cell(f"{parity.max_abs:.1e}", parity.max_abs)


def _account(run: Run, record: StepRecord) -> str:
    account = record.account
    users = [v.name for v in run.variants if any(r.key == record.key for r in v.lineage)]
    parts = []
    if account.parity:
        parity = account.parity
        within = {True: "within", False: "beyond", None: "no"}[parity.within]
        tolerance = "" if parity.tolerance is None else f" of {parity.tolerance:.2g}"
        parts.append(
            f"<p class='small'>Against the stage before, {parity.samples} samples: largest "
            f"difference {parity.max_abs:.2g}, smallest cosine {parity.cosine_min:.6f}; {within} "
            f"tolerance{tolerance}.</p>"
        )
    if account.changed:
        changed = ", ".join(f"{count} {kind}" for kind, count in account.changed.items())
        parts.append(f"<p class='small'>Changed: {text(changed)}.</p>")
    parts.append(_choices(record))
    if account.bytes_before or account.bytes_after:
        parts.append(_parts(record))
    if account.skipped:
        rows = [[item.name, item.reason] for item in account.skipped]
        parts.append(table_html(f"Left alone by {record.step}", ("what", "why"), rows))
    named = f"{text(record.step)} <span class='muted'>({text(', '.join(users))})</span>"
    took = f"<span class='muted small'>{record.seconds:.1f} s</span>"
    return (
        f"<details class='account'><summary>{named} {took}"
        f"<span class='summary'>{text(account.summary)}</span></summary>{''.join(parts)}</details>"
    )


def _choices(record: StepRecord) -> str:
    """What was chosen; a choice that is a mapping, such as figures by layer, is a table."""
    curve = curve_grid(record) if "curve" in record.account.choices else None
    choices = {k: v for k, v in record.account.choices.items() if k != "curve"}
    plain = {k: v for k, v in choices.items() if not isinstance(v, dict)}
    plain |= {k: v for k, v in record.options.items() if v not in (None, [], {}) and k not in plain}
    listed = "".join(
        f"<div><dt>{text(key.replace('_', ' '))}</dt><dd>{text(_plain(value))}</dd></div>"
        for key, value in plain.items()
    )
    tables = "".join(
        table_html(
            f"{record.step}: {key.replace('_', ' ')}",
            ("name", "value"),
            [[str(name), _value(value)] for name, value in found.items()],
        )
        for key, found in choices.items()
        if isinstance(found, dict)
    )
    if curve:
        tables += table_html(curve.title, curve.columns, curve.rows, curve.notes)
    return (f"<dl class='choices'>{listed}</dl>" if listed else "") + tables


def _parts(record: StepRecord) -> str:
    before, after = record.account.bytes_before, record.account.bytes_after
    rows: list[list[str | Cell]] = [
        [
            part,
            Cell(bytes_text(before[part]), before[part]) if part in before else Cell(NONE),
            Cell(bytes_text(after[part]), after[part]) if part in after else Cell(NONE),
        ]
        for part in dict.fromkeys((*before, *after))
    ]
    return table_html(f"Bytes by part, {record.step}", ("part", "before", "after"), rows)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def _value(value: Any) -> Cell:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(ms_text(value) if isinstance(value, float) else f"{value:,}", value)
    return Cell(_plain(value))
