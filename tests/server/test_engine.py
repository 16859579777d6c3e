"""The engine's queue, with a model that only waits."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pytest
from onnx_server.curve import BatchCurve
from onnx_server.engine import Engine, Line
from onnx_server.errors import DeadlineExceeded
from onnx_server.metrics import Metrics

LONG_S = 0.2


class Waits:
    """Takes ``LONG_S`` for any number of rows, and remembers how many there were."""

    clock = staticmethod(time.perf_counter)

    def __init__(self, *, batches: bool) -> None:
        self.batches = batches
        self.ran: list[int] = []
        self._curve = BatchCurve(32)

    def run(self, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.ran.append(len(feed["x"]))
        time.sleep(LONG_S)
        return {"y": feed["x"] * 2}

    def bucket(self, feed: dict[str, np.ndarray]) -> Any:
        return None

    def curve(self, bucket: Any) -> BatchCurve:
        return self._curve

    def join(self, feeds: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        return {"x": np.concatenate([feed["x"] for feed in feeds])}


async def ask(engine: Engine, line: Line, value: float, patience_s: float = 60.0) -> float:
    feed = {"x": np.full((1, 1), value)}
    outputs = await engine.submit(line, feed, 1, time.monotonic() + patience_s)
    return float(outputs["y"][0, 0])


def engine() -> Engine:
    loop = asyncio.get_running_loop()
    return Engine(loop, Metrics(), lanes=1, max_queue=100, max_delay_s=0.005)


@pytest.mark.parametrize("batches", [False, True])
def test_a_request_whose_deadline_passes_is_not_computed_wherever_it_waits(batches: bool) -> None:
    async def scenario() -> None:
        made, model = engine(), Waits(batches=batches)
        line = Line("model", model)  # type: ignore[arg-type]
        first = asyncio.create_task(ask(made, line, 1.0))
        await asyncio.sleep(LONG_S / 4)
        late = [asyncio.create_task(ask(made, line, 2.0, LONG_S / 4)) for _ in range(3)]
        patient = asyncio.create_task(ask(made, line, 3.0))
        assert await first == 2.0
        assert await patient == 6.0
        for task in late:
            with pytest.raises(DeadlineExceeded):
                await task
        assert sum(model.ran) == 2
        assert (made.running, made.waiting, line.running) == (0, 0, 0)

    asyncio.run(scenario())


def test_the_next_batch_is_at_hand_when_a_lane_is_free() -> None:
    async def scenario() -> None:
        made, model = engine(), Waits(batches=False)
        line = Line("model", model)  # type: ignore[arg-type]
        tasks = [asyncio.create_task(ask(made, line, float(n))) for n in range(3)]
        await asyncio.sleep(LONG_S / 2)
        assert (made.running, made.waiting) == (2, 1)
        assert await asyncio.gather(*tasks) == [0.0, 2.0, 4.0]

    asyncio.run(scenario())


def test_requests_that_come_together_share_batches_and_get_their_own_answers() -> None:
    async def scenario() -> None:
        made, model = engine(), Waits(batches=True)
        line = Line("model", model)  # type: ignore[arg-type]
        for _ in range(3):
            answers = await asyncio.gather(*(ask(made, line, float(n)) for n in range(12)))
            assert answers == [2.0 * n for n in range(12)]
        assert len(model.ran) < 30
        assert max(model.ran) > 1

    asyncio.run(scenario())
