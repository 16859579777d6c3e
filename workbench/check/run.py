"""``check_run``: judges all gates of a check, and measures where that decides."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from workbench.check.evidence import Evidence
from workbench.check.findings import (
    DIFFERENCE,
    NOISY,
    NORMALISED,
    NOTHING,
    PROCESSES,
    RATIO,
    Finding,
    Test,
    judge_ratio,
    not_judged,
    profile_of,
    widener,
    with_samples,
)
from workbench.check.gates_file import PlacedGate, collect_gates
from workbench.check.levels import (
    FALSE_FAILURE,
    LOOKS,
    Level,
    level,
    processes_to_decide,
    spent,
    t_interval,
)
from workbench.check.measuring import Clock, Pair
from workbench.check.quality import evaluate_pair
from workbench.check.records import CellVerdict, CheckResult, CheckVerdict
from workbench.check.sides import Side, load_side
from workbench.errors import DataError, InputError, MissingError
from workbench.gates import CELLS, Judged, judge_difference, selected_cells, severity, worst_of
from workbench.machine import machine, same_machine
from workbench.progress import Progress
from workbench.records import Outcome, Quality

FIRST_LOOKS = 3
"""After so many looks a check ends that is not told to go on: 12 processes for each pair."""

BUDGET_S = 300.0
SMOKE = "a smoke run only shows that everything works"
BESIDE = "measured side by side"
AGAIN = "paired, evaluated again"


def check_run(
    run: Path,
    *,
    baseline: Path | None = None,
    gates: Path | None = None,
    variants: Sequence[str] = (),
    measure: bool = True,
    decide: bool = False,
    budget_s: float = BUDGET_S,
    strict: bool = False,
    progress: Progress | None = None,
) -> CheckResult:
    """Judge the gates of a run.

    Args:
        run: a run directory, or its ``run.json``.
        baseline: an earlier run, likewise: what ``previous`` means.
        gates: a gates file beside those of the recipe.
        variants: which to judge; none: all that the gates are for.
        measure: whether latencies that the stored figures leave open are measured now.
        decide: measure until every gate is decided or the budget is spent; else a few looks.
        budget_s: seconds of measuring after which no process is started any more.
        strict: whether what is not decided fails the check.
        progress: told of the measuring.

    Raises:
        InputError: a run, the gates file or a gate is wrong.
        CorruptError: a stored file is not what was written.
        StepError: the measuring process died.
    """
    now = load_side(run)
    previous = load_side(baseline) if baseline else None
    placed, notes = collect_gates(now, gates, previous, variants)
    here = machine()
    smoke = now.run.smoke or (previous is not None and previous.run.smoke)
    evidence = Evidence(now, previous, here, measure=measure and not smoke)
    tests = [test for gate in placed for test in _tests(now, gate)]
    clock = Clock(budget_s)
    if smoke:
        found = {test: not_judged(SMOKE) for test in tests}
    else:
        whole = level(sum(test.parsed.name in NOISY for test in tests))
        found = {test: evidence.look(test, whole) for test in tests}
        told = _evaluate(evidence, found, whole, clock, progress or Progress())
        notes += told
        _measure(evidence, found, whole, clock, decide, progress or Progress())
    return CheckResult(
        run=now.identity,
        previous=previous.identity if previous else None,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        smoke=smoke,
        strict=strict,
        verdicts=tuple(
            _verdict(gate, variant, [(t, found[t]) for t in tests if _of(t, gate, variant)])
            for gate in placed
            for variant in gate.variants
        ),
        notes=(*notes, *_notes(evidence, found, clock)),
        machine=here,
        false_failure=FALSE_FAILURE,
        seconds_measured=round(clock.seconds, 2),
        processes=clock.processes,
    )


def _tests(now: Side, gate: PlacedGate) -> list[Test]:
    tests = []
    for variant in gate.variants:
        result = now.variant(variant)
        cells = selected_cells(gate.parsed, result.measurement) if (
            gate.parsed.name in CELLS and result and result.measurement
        ) else []  # fmt: skip
        tests += [Test(gate, variant, cell.setting) for cell in cells] or [Test(gate, variant)]
    return tests


def _of(test: Test, gate: PlacedGate, variant: str) -> bool:
    return test.gate is gate and test.variant == variant


# --- measuring -----------------------------------------------------------------------------------


def _evaluate(
    evidence: Evidence,
    found: dict[Test, Finding],
    whole: Level,
    clock: Clock,
    progress: Progress,
) -> list[str]:
    """Evaluate quality again, in pairs, where the stored intervals leave it open."""
    notes: list[str] = []
    qualities: dict[str, Quality | None] = {}
    for test, finding in found.items():
        if test.setting is not None or not finding.measure or finding.decided or clock.over:
            continue
        if test.variant not in qualities:
            label = f"quality of both runs · {test.variant}"
            progress.start(label)
            began = time.monotonic()
            qualities[test.variant] = _evaluated(evidence, test.variant, notes, progress)
            clock.seconds += time.monotonic() - began
            progress.finish(label, time.monotonic() - began, reused=False)
        quality = qualities[test.variant]
        if quality and quality.difference and quality.score:
            reference = quality.score.value - quality.difference.value
            widen = widener(test.parsed, whole.part(0.5), None, logs=False)
            judged = judge_difference(test.parsed, quality.difference, reference, widen)
            found[test] = with_samples(judged, AGAIN, DIFFERENCE)
    return notes


def _evaluated(
    evidence: Evidence, variant: str, notes: list[str], progress: Progress
) -> Quality | None:
    assert evidence.previous is not None
    now, then = evidence.now.artifact(variant), evidence.previous.artifact(variant)
    assert now is not None
    assert then is not None
    found = evidence.now.variant(variant)
    stored = found.measurement.quality if found and found.measurement else None
    try:
        quality = evaluate_pair(evidence.now, now, then, progress.advance)
        if stored and stored.samples != quality.samples:
            raise DataError(
                f"The run judged {stored.samples} samples, and the data here hold "
                f"{quality.samples}."
            )
        return quality
    except (InputError, MissingError) as error:
        notes.append(f"The quality of {variant} could not be paired sample by sample: {error}")
        return None


def _measure(
    evidence: Evidence,
    found: dict[Test, Finding],
    whole: Level,
    clock: Clock,
    decide: bool,
    progress: Progress,
) -> None:
    """Look again and again at what is open, with more processes each time."""
    pairs = _pairs(evidence, found)
    looks = LOOKS if decide else LOOKS[:FIRST_LOOKS]
    if not pairs:
        return
    label = "measuring side by side"
    progress.start(label)
    for look in looks:
        for (variant, against), pair in pairs.items():
            mine = [t for t in found if t.variant == variant and t.against == against]
            failed = {t.gate for t in mine if found[t].judged.outcome is Outcome.FAIL}
            # A gate that failed in one cell has failed: its other cells are left as they are.
            open_tests = [
                t for t in mine if t.setting and found[t].measure and not found[t].decided
                if t.gate not in failed
            ]  # fmt: skip
            while open_tests and len(pair.rounds) < look and not clock.over:
                settings = [t.setting for t in open_tests if t.setting]
                names = {_percentile(t) for t in open_tests}
                clock.timed(lambda: pair.measure(settings, sorted(names)))  # noqa: B023 - at once
                progress.advance(clock.processes, look * len(pairs))
            for test in open_tests:
                found[test] = _judge(test, pair, found[test], whole, evidence)
        if clock.over:
            break
    detail = f"{clock.processes} processes"
    progress.finish(label, clock.seconds, reused=False, detail=detail)


def _pairs(evidence: Evidence, found: dict[Test, Finding]) -> dict[tuple[str, str], Pair]:
    pairs: dict[tuple[str, str], Pair] = {}
    options = profile_of(evidence.now)
    for test, finding in found.items():
        key = (test.variant, test.against)
        if test.setting is None or not finding.measure or finding.decided or key in pairs:
            continue
        own = evidence.now.artifact(test.variant)
        base = evidence.now.baseline.name
        side = evidence.previous if test.against == "previous" else evidence.now
        assert side is not None
        other = side.artifact(test.variant if test.against == "previous" else base)
        assert own is not None
        assert other is not None
        pairs[key] = Pair(test.variant, test.against, own, other, options)
    return pairs


def _judge(test: Test, pair: Pair, before: Finding, whole: Level, evidence: Evidence) -> Finding:
    """What the processes say so far."""
    assert test.setting is not None
    percentile = _percentile(test)
    logs = pair.logs(test.setting, percentile)
    if len(logs) < LOOKS[0]:
        if pair.rounds and not logs:
            reason = f"this machine cannot measure {test.setting}"
            return Finding(Judged(Outcome.UNDECIDED, reason), BESIDE, RATIO)
        if before.judged.observed is not None:
            return before
        missing = LOOKS[0] - len(logs)
        reason = f"the budget ended after {len(logs)} processes; the first look is at {LOOKS[0]}"
        judged = Judged(Outcome.UNDECIDED, f"{reason}, at {test.setting}")
        return Finding(judged, BESIDE, RATIO, missing, PROCESSES, measure=True)
    if before.how == BESIDE and before.judged.observed and before.judged.observed.n == len(logs):
        return before  # the budget ended: nothing new to look at
    # What was judged by stored figures first has spent half there.
    share = 1.0 if test.against == "previous" else 0.5
    looked = before.judged.observed.n if before.how == BESIDE and before.judged.observed else 0
    spend = whole.part(share * (spent(len(logs)) - spent(looked)))
    sign = -1.0 if test.parsed.name == "speedup" else 1.0
    ratio = t_interval(
        [sign * log for log in logs],
        test.parsed.at_least,
        spend,
        resolution=pair.resolution(test.setting),
        what=f" that ran {test.variant} and {test.against} in turn",
    )
    reference = evidence.speedup_then(test) or pair.then_ms(test.setting, percentile)
    judged = judge_ratio(test, ratio, reference)
    needed = None
    if judged.outcome is Outcome.UNDECIDED and judged.bound is not None:
        needed = processes_to_decide(
            [sign * log for log in logs], judged.bound, test.parsed.at_least, whole.part(share)
        )
    return Finding(judged, BESIDE, RATIO, needed, PROCESSES if needed else "", measure=True)


def _percentile(test: Test) -> str:
    return "p50" if test.parsed.name == "speedup" else test.parsed.name.rpartition(".")[2]


# --- the record ----------------------------------------------------------------------------------


def _verdict(
    gate: PlacedGate, variant: str, findings: Sequence[tuple[Test, Finding]]
) -> CheckVerdict:
    speaks = max((finding for _, finding in findings), key=lambda f: severity(f.judged))
    worst = speaks.judged
    if len(findings) > 1 and worst.outcome is not Outcome.NOT_JUDGED:
        worst = worst_of([finding.judged for _, finding in findings])
    needed = [f.samples_needed for _, f in findings if f.samples_needed]
    undecided = worst.outcome is Outcome.UNDECIDED
    return CheckVerdict(
        gate=gate.parsed.text,
        variant=variant,
        outcome=worst.outcome,
        reason=worst.reason,
        observed=worst.observed,
        bound=worst.bound,
        name=gate.name,
        against=gate.parsed.bound.reference or "absolute",
        unit=speaks.unit,
        how=speaks.how,
        samples_needed=max(needed) if undecided and needed else None,
        samples=speaks.samples if undecided and needed else "",
        note=gate.reason,
        file=gate.file,
        line=gate.line,
        cells=tuple(
            CellVerdict(
                setting=test.setting,
                outcome=finding.judged.outcome,
                reason=finding.judged.reason,
                observed=finding.judged.observed,
                bound=finding.judged.bound,
                unit=finding.unit,
                how=finding.how,
                samples_needed=finding.samples_needed,
                samples=finding.samples,
            )
            for test, finding in findings
            if test.setting is not None
        ),
    )


def _notes(evidence: Evidence, found: dict[Test, Finding], clock: Clock) -> list[str]:
    notes = []
    if evidence.previous and evidence.previous.identity.sha256 == evidence.now.identity.sha256:
        notes.append("The earlier run has the same run.json as this one.")
    ways = {finding.how for finding in found.values()}
    beside = any(f.how == BESIDE and t.against == "previous" for t, f in found.items())
    if beside and evidence.previous is not None:
        for side, what in ((evidence.now, "the run"), (evidence.previous, "the earlier run")):
            if reasons := same_machine(side.run.machine, evidence.here):
                notes.append(
                    f"Latency was measured on this machine; {what} was on another: "
                    f"{'; '.join(reasons)}."
                )
    if NORMALISED in ways:
        notes.append(
            "Latencies of two runs were normalised by the baseline that each was measured beside; "
            "that holds as far as the speed-up is the same on every machine of this kind."
        )
    if clock.over and any(f.measure and not f.decided for f in found.values()):
        notes.append(f"The budget of {clock.budget_s:g} s was spent before all was decided.")
    if NOTHING in ways and evidence.previous is not None:
        notes.append("What is not comparable was not judged; its line says why.")
    return notes
