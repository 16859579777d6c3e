"""Random traffic over many models by Zipf's law; every answer is checked."""

from __future__ import annotations

import bisect
import itertools
import json
import random
import statistics
import threading
import time
from typing import Any

import numpy as np
from residents import Client, Residents
from sample_models import tiny_answer

TOLERANCE = 1e-4


class Zipf:
    """Random numbers below ``count``; number k comes 1 / (k + 1) times as often as 0."""

    def __init__(self, count: int, seed: int) -> None:
        self._random = random.Random(seed)
        self._sums = list(itertools.accumulate(1 / (k + 1) for k in range(count)))

    def draw(self) -> int:
        """The next."""
        return bisect.bisect(self._sums, self._random.random() * self._sums[-1])


def traffic(
    residents: Residents,
    port: int,
    names: list[str],
    body: bytes,
    clients: int,
    seconds: float,
    seed: int,
) -> dict[str, Any]:
    """Ask ``names`` for so long; counts of hits, misses and wrong answers, and latencies in ms."""
    answers = [tiny_answer(number) for number in range(len(names))]
    times: dict[bool, list[float]] = {True: [], False: []}
    wrong: list[str] = []
    errors: list[Exception] = []
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        zipf, client = Zipf(len(names), seed * 1000 + number), Client(port)
        while time.perf_counter() < end and not errors:
            picked = zipf.draw()
            began = time.perf_counter()
            try:
                hit, content = residents.ask(client, names[picked], body)
            except Exception as error:  # a thread must not end silently
                errors.append(error)
                return
            times[hit].append((time.perf_counter() - began) * 1e3)
            if not right(content, answers[picked]):
                wrong.append(names[picked])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise ValueError(f"traffic over many models failed: {errors[0]!r}")
    return {
        "asked": len(times[True]) + len(times[False]),
        "hit_share": len(times[True]) / max(1, len(times[True]) + len(times[False])),
        "wrong": len(wrong),
        "hit_p50_ms": _quantile(times[True], 50),
        "hit_p99_ms": _quantile(times[True], 99),
        "miss_p50_ms": _quantile(times[False], 50),
        "miss_p99_ms": _quantile(times[False], 99),
    }


def right(content: bytes, answer: np.ndarray) -> bool:
    """Whether the body holds this answer."""
    got = json.loads(content)["predictions"][0]
    return bool(np.allclose(got, answer, rtol=0, atol=TOLERANCE))


def _quantile(values: list[float], percent: int) -> float | None:
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else None
