"""A count over time: so many instances from this second on, until the next change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Steps:
    """``counts[i]`` holds from ``times_s[i]`` on; the first time is 0 and times never fall."""

    times_s: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, changes: list[tuple[float, int]]) -> Steps:
        """From (second, new count) pairs in order; of several at one time the last holds."""
        import numpy as np

        times = np.array([time for time, _ in changes], dtype=np.float64)
        counts = np.array([count for _, count in changes], dtype=np.int64)
        return cls(times, counts)

    @classmethod
    def constant(cls, count: int) -> Steps:
        """The same count for ever."""
        return cls.of([(0.0, count)])

    @classmethod
    def summed(cls, deltas: list[tuple[float, int]]) -> Steps:
        """From (second, difference) pairs in any order."""
        count, changes = 0, []
        for time, delta in sorted(deltas, key=lambda pair: pair[0]):
            count += delta
            changes.append((time, count))
        return cls.of(changes if changes and changes[0][0] <= 0 else [(0.0, 0), *changes])

    def at(self, times_s: np.ndarray) -> np.ndarray:
        """The counts at some times; a change counts from its own time on."""
        return self.counts[self.times_s.searchsorted(times_s, side="right") - 1]

    def total_s(self, end_s: float) -> float:
        """Count times seconds from 0 to the end."""
        import numpy as np

        edges = np.append(self.times_s, np.inf).clip(max=end_s)
        return float((np.diff(edges) * self.counts).sum())

    def until(self, times_s: np.ndarray) -> np.ndarray:
        """Count times seconds from 0 to each of some times."""
        import numpy as np

        sums = np.append(0.0, np.cumsum(np.diff(self.times_s) * self.counts[:-1]))
        places = self.times_s.searchsorted(times_s, side="right") - 1
        found: np.ndarray = sums[places] + (times_s - self.times_s[places]) * self.counts[places]
        return found

    def seconds_at(self, count: int, end_s: float) -> float:
        """Seconds up to the end during which the count is this."""
        import numpy as np

        edges = np.append(self.times_s, np.inf).clip(max=end_s)
        return float(np.diff(edges)[self.counts == count].sum())

    def peak(self, end_s: float) -> int:
        """The largest count before the end."""
        return int(self.counts[self.times_s < end_s].max())

    def times(self, factor: int) -> Steps:
        """Each count by a factor, as instances become lanes."""
        return Steps(self.times_s, self.counts * factor)

    def shares_at(self, count: int, minutes: int) -> np.ndarray:
        """Of each minute the share during which the count is this: float64 ``[minutes]``."""
        import numpy as np

        matching = np.append(0.0, np.cumsum(np.diff(self.times_s) * (self.counts[:-1] == count)))
        edges = np.arange(minutes + 1) * 60.0
        places = self.times_s.searchsorted(edges, side="right") - 1
        within = (edges - self.times_s[places]) * (self.counts[places] == count)
        shares: np.ndarray = np.diff(matching[places] + within) / 60.0
        return shares.clip(0.0, 1.0)
