"""How sure a check is: error probabilities, their sharing, and the intervals that keep them.

**What is bounded.** The probability that *any* gate of a whole check fails although its bound is
kept is at most ``FALSE_FAILURE``. It is shared out equally over all tests of the check (a test is
one noisy gate in one cell for one variant) and holds however they depend on each other
(Bonferroni's inequality). A pass needs no sharing among the cells of a gate: it is given only if
*every* cell passes, and the probability of that is no larger than that of the worst cell alone
(intersection-union test; Berger 1982, Multiparameter hypothesis testing and acceptance sampling,
Technometrics 24(4)); it is bounded by ``FALSE_PASS``.

**What counts as a sample.** A process, not a run of the model: how a session comes to lie in
memory moves its speed for the life of the process, so the runs of one process share an error that
no number of them takes away (Kalibera and Jones 2013, Rigorous benchmarking in reasonable time,
ISMM; Georges, Buytaert and Eeckhout 2007, Statistically rigorous Java performance evaluation,
OOPSLA; Mytkowicz et al. 2009, Producing wrong data without doing anything obviously wrong!,
ASPLOS). A process gives one figure: the median of the logarithms of its paired ratios. The
interval is Student's t over those figures. Where both models are the same they can be exchanged,
so the figures are spread symmetrically around 0, and outliers make the t interval cautious rather
than rash (Benjamini 1983, Is the t test really conservative when the parent distribution is
long-tailed?, JASA 78(383)).

**Looking several times.** After each number of processes in ``LOOKS`` the tests are judged, and
those that are not decided go on. Each look spends a part of the error probability, by the spending
function ``n / (n + HALF)`` of the number of processes (Lan and DeMets 1983, Discrete sequential
boundaries for clinical trials, Biometrika 70(3)); the parts are added up, which is more than the
joint distribution of the looks asks for, but needs no assumption about it. The function never
reaches 1: one can always go on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist, fmean, stdev

from workbench.records import Interval

FALSE_FAILURE = 0.01
"""Of a whole check."""

FALSE_PASS = 0.05
"""Of a gate whose bound is broken in at least one cell."""

LOOKS = (6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Numbers of processes after which is judged: even, so that each model was loaded first equally
often, and about √2 apart."""

HALF = 12
"""Processes after which half of the error probability is spent."""

RESOLUTION_MS = 1e-4
"""Times are kept to a tenth of a microsecond."""


@dataclass(frozen=True)
class Level:
    """One-sided error probabilities of one test at one look."""

    fail: float
    keep: float

    def part(self, share: float) -> Level:
        """A part of both."""
        return Level(self.fail * share, self.keep * share)

    def ends(self, at_least: bool) -> tuple[float, float]:
        """The probabilities that the lower and the upper end of the interval may miss the truth.

        A gate with ``<=`` fails on the lower end and passes on the upper; ``>=`` the other way.
        """
        return (self.keep, self.fail) if at_least else (self.fail, self.keep)


def level(tests: int) -> Level:
    """What one of so many tests may use, over all its looks."""
    return Level(FALSE_FAILURE / max(1, tests), FALSE_PASS)


def spent(processes: int) -> float:
    """Share of the error probability that is spent when so many processes have measured."""
    return processes / (processes + HALF)


def t_interval(
    logs: Sequence[float], at_least: bool, spend: Level, *, resolution: float = 0.0, what: str = ""
) -> Interval:
    """Interval of a ratio from one logarithm per process, by Student's t.

    Args:
        logs: natural logarithms of the ratio, one per process; at least two.
        at_least: whether the gate that it is for reads ``>=``.
        spend: the error probabilities at this look.
        resolution: what the clock cannot tell apart, as a share of the time; the interval is at
            least that wide to either side.
        what: said of the method.
    """
    n, mean = len(logs), fmean(logs)
    error = stdev(logs) / math.sqrt(n)
    low, high = (max(t_quantile(p, n - 1) * error, resolution) for p in spend.ends(at_least))
    return Interval(
        value=math.exp(mean),
        low=math.exp(mean - low),
        high=math.exp(mean + high),
        n=n,
        method=f"Student's t over {n} processes{what}",
        confidence=1 - spend.fail - spend.keep,
    )


def widened(
    interval: Interval, at_least: bool, spend: Level, *, degrees: int | None, logs: bool
) -> Interval:
    """A stored interval, at the error probabilities of a check.

    Each half is stretched by the ratio of the quantiles: of Student's t with so many ``degrees`` of
    freedom (processes less one), or of the normal distribution where they are none. A bootstrap
    interval that was wider than t's is thereby stretched by more than it had to be, never by less.

    Args:
        interval: as it was stored; one that has no width was counted, and stays.
        at_least: whether the gate that it is for reads ``>=``.
        spend: the error probabilities.
        degrees: of freedom.
        logs: whether to stretch on a logarithmic scale, as ratios and times ask for.
    """
    if interval.low == interval.high:
        return interval
    before = _quantile((1 - interval.confidence) / 2, degrees)
    low, high = (_quantile(p, degrees) / before for p in spend.ends(at_least))
    scaled = logs and interval.low > 0
    go, back = (math.log, math.exp) if scaled else (float, float)
    value = go(interval.value)
    return interval.model_copy(
        update={
            "low": back(value - low * (value - go(interval.low))),
            "high": back(value + high * (go(interval.high) - value)),
            "method": f"{interval.method}; stretched for the whole check",
            "confidence": 1 - spend.fail - spend.keep,
        }
    )


def _quantile(tail: float, degrees: int | None) -> float:
    return NormalDist().inv_cdf(1 - tail) if degrees is None else t_quantile(tail, degrees)


@cache
def t_quantile(tail: float, degrees: int) -> float:
    """The point that Student's t exceeds with probability ``tail`` (below 1/2), by bisection.

    Its distribution for whole degrees of freedom is a finite sum: Abramowitz and Stegun, Handbook
    of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    low, high = 0.0, 1.0
    while t_tail(high, degrees) > tail:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tail(middle, degrees) > tail else (low, middle)
    return (low + high) / 2


def t_tail(t: float, degrees: int) -> float:
    """Probability that Student's t with so many degrees of freedom exceeds ``t`` (0 or more)."""
    angle = math.atan2(t, math.sqrt(degrees))
    cosine = math.cos(angle)
    odd = degrees % 2 == 1
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(3 if odd else 2, degrees - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    inside = math.sin(angle) * total
    central = 2 / math.pi * (angle + inside) if odd else inside
    return max(0.0, (1 - central) / 2)


def processes_to_decide(
    logs: Sequence[float], bound: float, at_least: bool, whole: Level
) -> int | None:
    """How many more processes would decide a test, if the estimate and the spread stay as they are.

    Args:
        logs: natural logarithms of the ratio, one per process.
        bound: of the ratio.
        at_least: whether the gate reads ``>=``.
        whole: the error probabilities over all looks.

    Returns:
        The number, rounded up to the next look; none where even the last look would not do.
    """
    if bound <= 0:
        return None
    mean, spread = fmean(logs), stdev(logs)
    distance = mean - math.log(bound)
    broken = distance < 0 if at_least else distance > 0
    before = spent(len(logs))
    for n in LOOKS:
        if n <= len(logs):
            continue
        part = (whole.fail if broken else whole.keep) * (spent(n) - before)
        before = spent(n)
        if t_quantile(part, n - 1) * spread / math.sqrt(n) <= abs(distance):
            return n - len(logs)
    return None


def samples_to_decide(interval: Interval, bound: float) -> int | None:
    """How many more samples would decide a test on a stored interval.

    The width shrinks with the root of their number, and the value is taken to stay: the half of the
    interval that spans the bound has to become as short as the distance to it.
    """
    distance = abs(interval.value - bound)
    half = (
        interval.high - interval.value if bound > interval.value else interval.value - interval.low
    )
    if not distance or half <= distance:
        return None
    return max(1, math.ceil(interval.n * ((half / distance) ** 2 - 1)))
