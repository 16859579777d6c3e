"""The emulator's own figures, named as the platform names them, as Prometheus text."""

from __future__ import annotations

import threading
from collections.abc import Callable

SUMMARIES = {
    "ModelCacheHit": "1 where the model was loaded already when it was asked for, else 0.",
    "ModelLoadingWaitTime": "Microseconds that an invocation waited for its model.",
    "ModelDownloadingTime": "Microseconds to fetch and unpack an archive.",
    "ModelLoadingTime": "Microseconds of the container's POST /models that loaded a model.",
    "ModelUnloadingTime": "Microseconds of the container's DELETE of a model.",
    "ModelLatency": "Microseconds that the container took to answer.",
    "OverheadLatency": "Microseconds of an invocation outside the container and model loading.",
}
COUNTERS = {
    "Invocations": "Invocations of an existing endpoint.",
    "Invocation4XXErrors": "Invocations that failed by the client's fault.",
    "Invocation5XXErrors": "Invocations that failed otherwise.",
}


class Metrics:
    """Sums and counts; thread-safe. Times are in microseconds, as the platform gives them."""

    def __init__(self, endpoint: str, loaded: Callable[[], int]) -> None:
        """``loaded`` says how many models are in the container's memory now."""
        self._endpoint, self._loaded = endpoint, loaded
        self._lock = threading.Lock()
        self._sums: dict[str, list[float]] = {name: [0.0, 0.0] for name in SUMMARIES}
        self._counts = dict.fromkeys(COUNTERS, 0)

    def observe(self, name: str, value: float) -> None:
        """Add one sample to a summary."""
        with self._lock:
            pair = self._sums[name]
            pair[0] += value
            pair[1] += 1

    def observe_seconds(self, name: str, seconds: float) -> None:
        """Add one time, given in seconds."""
        self.observe(name, seconds * 1e6)

    def count(self, name: str) -> None:
        """Count one event."""
        with self._lock:
            self._counts[name] += 1

    def count_answer(self, status: int) -> None:
        """Count an invocation by the status that its model, or the platform, gave."""
        self.count("Invocations")
        if 400 <= status < 500:
            self.count("Invocation4XXErrors")
        elif not 200 <= status < 300:
            self.count("Invocation5XXErrors")

    def summary(self, name: str) -> tuple[float, int]:
        """Sum and number of samples of a summary."""
        with self._lock:
            total, number = self._sums[name]
        return total, int(number)

    def render(self) -> str:
        """All of it in Prometheus' text format."""
        label = '{endpoint="%s"}' % self._endpoint.replace("\\", r"\\").replace('"', r"\"")  # noqa: UP031
        lines: list[str] = []
        with self._lock:
            for name, text in COUNTERS.items():
                lines += _head(name, "counter", text)
                lines.append(f"{name}{label} {self._counts[name]}")
            for name, text in SUMMARIES.items():
                total, number = self._sums[name]
                lines += _head(name, "summary", text)
                lines += [f"{name}_sum{label} {total:.0f}", f"{name}_count{label} {number:.0f}"]
        lines += _head("LoadedModelCount", "gauge", "Models in the container's memory.")
        lines.append(f"LoadedModelCount{label} {self._loaded()}")
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
