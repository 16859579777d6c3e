"""Metrics in the Prometheus text format 0.0.4, and the series that this server keeps.

A child is bound to its labels once, so that an observation is an addition. Additions to one number
hold no call between reading and writing it: under the GIL several threads lose none.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import quote, unquote

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
SINGLE = "/invocations"


class Number:
    """One value: of a counter, which only grows, or of a gauge."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, amount: float = 1.0) -> None:
        """Add to it."""
        self.value += amount

    def set(self, value: float) -> None:
        """Replace it."""
        self.value = value

    def lines(self, name: str, labels: str) -> list[str]:
        """Its line."""
        return [f"{name}{_braces(labels)} {_number(self.value)}"]


class Histogram:
    """Counts of observations up to each upper bound, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value into the first bucket whose bound is not below it."""
        index = bisect_left(self.bounds, value)
        self.counts[index] += 1
        self.total += value

    def lines(self, name: str, labels: str) -> list[str]:
        """Its buckets, sum and count."""
        before = f"{labels}," if labels else ""
        lines, seen = [], 0
        for bound, count in zip((*self.bounds, float("inf")), tuple(self.counts), strict=True):
            seen += count
            lines.append(f'{name}_bucket{{{before}le="{_number(bound)}"}} {seen}')
        lines.append(f"{name}_sum{_braces(labels)} {_number(self.total)}")
        lines.append(f"{name}_count{_braces(labels)} {seen}")
        return lines


Child = TypeVar("Child", bound="Number | Histogram")


class Family(Generic[Child]):
    """All series of one name, apart in the values of their labels."""

    def __init__(
        self, name: str, kind: str, text: str, labels: Sequence[str], make: Callable[[], Child]
    ) -> None:
        self.name = name
        self.kind = kind
        self.text = text
        self.labels = tuple(labels)
        self._make = make
        self._children: dict[tuple[str, ...], tuple[str, Child]] = {}

    def child(self, *values: str) -> Child:
        """The series with these values of the labels, made on the first call."""
        found = self._children.get(values)
        if found is None:
            pairs = zip(self.labels, values, strict=True)
            text = ",".join(f'{label}="{_escaped(value)}"' for label, value in pairs)
            found = self._children.setdefault(values, (text, self._make()))
        return found[1]

    def remove(self, first: str) -> None:
        """Remove all series whose first label has this value."""
        for values in [values for values in tuple(self._children) if values[0] == first]:
            self._children.pop(values, None)

    def lines(self) -> list[str]:
        """Its help, its type and all series."""
        lines = _head(self.name, self.kind, self.text)
        for labels, child in tuple(self._children.values()):
            lines += child.lines(self.name, labels)
        return lines


class _Model:
    """The series of one model, bound."""

    __slots__ = ("batch_rows", "inference_s", "name", "queue_s", "request_s", "statuses")

    def __init__(self, name: str, metrics: Metrics) -> None:
        self.name = name
        self.request_s = metrics.request_s.child(name)
        self.inference_s = metrics.inference_s.child(name)
        self.queue_s = metrics.queue_s.child(name)
        self.batch_rows = metrics.batch_rows.child(name)
        self.statuses: dict[int, Number] = {}


class Metrics:
    """The series of one server process.

    Labels come from loaded models and from the server's own words, never from a client: what asks
    for no loaded model counts under the empty model, so clients cannot make series.
    """

    def __init__(self) -> None:
        self.requests = Family(
            "onnx_server_requests_total", "counter", "Requests answered, by model and status; "
            "model is empty for the other routes.", ("model", "status"), Number)  # fmt: skip
        self.request_s = _histogram("request_seconds", "Time from a request to its answer.")
        self.inference_s = _histogram("inference_seconds", "Time in the runtime, per batch.")
        self.queue_s = _histogram("queue_seconds", "Time that a request waited for its batch.")
        self.batch_rows = _histogram("batch_rows", "Rows that ran together.", ROWS)
        self.rejections = Family(
            "onnx_server_rejected_total", "counter", "Requests refused, by reason.",
            ("reason",), Number)  # fmt: skip
        self.memory_bytes = Family(
            "onnx_server_model_memory_bytes", "gauge", "Memory that loading the model took.",
            ("model",), Number)  # fmt: skip
        self.load_s = Family(
            "onnx_server_model_load_seconds", "gauge", "Time that the last load of the model took.",
            ("model",), Number)  # fmt: skip
        self.cache_hits = Family(
            "onnx_server_cache_hits_total", "counter", "Answers from the response cache.",
            (), Number)  # fmt: skip
        self._hits = self.cache_hits.child()
        self._other: dict[int, Number] = {}
        self._models: dict[str, _Model] = {}
        self._paths: dict[str, _Model] = {}
        self._watched: list[tuple[str, str, str, Callable[[], float]]] = []
        self._watch_process()

    def watch(self, *, queue: Callable[[], int], models: Callable[[], int]) -> None:
        """Ask for the number of waiting requests and of loaded models on each ``render``."""
        self._watched += [
            ("onnx_server_queue_length", "gauge", "Requests that wait for a batch.", queue),
            ("onnx_server_models_loaded", "gauge", "Models in memory.", models),
        ]

    def loaded(self, name: str, load_s: float, memory_bytes: int) -> None:
        """A model is there: seconds that loading took, bytes that it holds."""
        self.load_s.child(name).set(load_s)
        self.memory_bytes.child(name).set(memory_bytes)
        self._models[name] = _Model(name, self)
        self._bind_paths()

    def unloaded(self, name: str) -> None:
        """A model is gone, and with it all its series; late observations are dropped."""
        self._models.pop(name, None)
        self._bind_paths()
        for family in self._families():
            if family.labels[:1] == ("model",):
                family.remove(name)

    def responded(self, path: str, status: int, seconds: float) -> None:
        """A request of any route was answered.

        ``path`` is as the client sent it; ``/invocations`` is of the only model that is loaded.
        """
        model = self._paths.get(path) or self._find(path)
        if model is None:
            statuses, name = self._other, ""
        else:
            model.request_s.observe(seconds)
            statuses, name = model.statuses, model.name
        counter = statuses.get(status)
        if counter is None:
            counter = statuses[status] = self.requests.child(name, str(status))
        counter.value += 1

    def queued(self, name: str, seconds: float) -> None:
        """A request waited for its batch."""
        if (model := self._models.get(name)) is not None:
            model.queue_s.observe(seconds)

    def inferred(self, name: str, seconds: float, rows: int) -> None:
        """A batch ran."""
        if (model := self._models.get(name)) is not None:
            model.inference_s.observe(seconds)
            model.batch_rows.observe(rows)

    def rejected(self, reason: str) -> None:
        """A request was refused; ``reason`` is one of the server's own words."""
        self.rejections.child(reason).add()

    def cache_hit(self) -> None:
        """An answer came from the response cache."""
        self._hits.add()

    def render(self) -> bytes:
        """All series as text, as a scrape wants them."""
        lines = []
        for family in self._families():
            lines += family.lines()
        for name, kind, text, read in self._watched:
            lines += [*_head(name, kind, text), f"{name} {_number(read())}"]
        lines.append("")
        return "\n".join(lines).encode()

    def _families(self) -> tuple[Family[Number] | Family[Histogram], ...]:
        return (
            self.requests, self.request_s, self.inference_s, self.queue_s, self.batch_rows,
            self.rejections, self.memory_bytes, self.load_s, self.cache_hits,
        )  # fmt: skip

    def _bind_paths(self) -> None:
        paths: dict[str, _Model] = {}
        for name, model in self._models.items():
            quoted = quote(name, safe="", errors="replace")
            paths[f"/models/{quoted}/invoke"] = paths[f"/v2/models/{quoted}/infer"] = model
        if len(self._models) == 1:
            paths[SINGLE] = model
        self._paths = paths

    def _find(self, path: str) -> _Model | None:
        """The model of a path that spells its name in another way than ``quote`` does."""
        match path.split("/"):
            case ["", "models", name, "invoke"] | ["", "v2", "models", name, "infer"]:
                return self._models.get(unquote(name))
        return None

    def _watch_process(self) -> None:
        self._watched.append(
            ("process_cpu_seconds_total", "counter", "CPU time, user and system.",
             time.process_time))  # fmt: skip
        if Path("/proc/self/stat").exists():  # elsewhere than on Linux the two are not told
            start = _start_time()
            self._watched += [
                ("process_resident_memory_bytes", "gauge", "Resident memory.", _resident_bytes),
                ("process_start_time_seconds", "gauge", "Start of the process since 1970.",
                 lambda: start),
            ]  # fmt: skip


def _histogram(name: str, text: str, bounds: Sequence[float] = SECONDS) -> Family[Histogram]:
    return Family(f"onnx_server_{name}", "histogram", text, ("model",), lambda: Histogram(bounds))


def _head(name: str, kind: str, text: str) -> list[str]:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _escaped(value: str) -> str:
    """A label's value; what is no Unicode text is replaced, since the format is UTF-8."""
    value = value.encode("utf-8", "replace").decode()
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _braces(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(float(value))


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _start_time() -> float:
    """Seconds since 1970: the boot time and the ticks from there, as the kernel keeps them."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    lines = Path("/proc/stat").read_text().splitlines()
    boot = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
    return boot + ticks / os.sysconf("SC_CLK_TCK")
