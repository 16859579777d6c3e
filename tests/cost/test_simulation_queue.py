"""The line, event by event: agreement with theory, and with itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.cost.queueing import Queue, erlang_c, service_quantile_of
from workbench.cost.simulation.mixture import condensed, quantile_grid, weighted_quantiles
from workbench.cost.simulation.queue import _by_heap, _cyclic, fifo
from workbench.cost.simulation.regimes import erlang_c_of, service_quantiles, wait_quantiles
from workbench.cost.simulation.samples import draw_arrivals, draw_counts, draw_services
from workbench.cost.simulation.steps import Steps


def waits(
    rate: float, services: np.ndarray, servers: int, seed: int, warm: int = 20_000
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1 / rate, len(services)))
    return (fifo(arrivals, services, Steps.constant(servers)) - arrivals)[warm:]


class TestTheory:
    """Mean waits within 2 % of the closed form, with fixed seeds."""

    def test_exponential_on_one_server(self) -> None:
        services = np.random.default_rng(1).exponential(1.0, 6_000_000)
        found = waits(0.8, services, 1, seed=2)
        queue = Queue(0.8, 1, 1, 1)
        assert found.mean() == pytest.approx(queue.mean_wait_s, rel=0.02)
        assert np.quantile(found, 0.99) == pytest.approx(queue.wait_quantile_s(0.99), rel=0.03)
        assert (found > 0).mean() == pytest.approx(0.8, abs=0.005)

    def test_exponential_on_several_servers(self) -> None:
        services = np.random.default_rng(3).exponential(1.0, 2_000_000)
        found = waits(3.0, services, 4, seed=4)
        queue = Queue(3.0, 1, 4, 1)
        assert found.mean() == pytest.approx(queue.mean_wait_s, rel=0.02)
        assert (found > 0).mean() == pytest.approx(erlang_c(4, 3.0), rel=0.02)

    def test_fixed_service_on_one_server(self) -> None:
        found = waits(0.8, np.ones(4_000_000), 1, seed=5)
        assert found.mean() == pytest.approx(Queue(0.8, 1, 1, 0).mean_wait_s, rel=0.02)

    def test_fixed_service_on_several_servers(self) -> None:
        found = waits(8.0, np.ones(4_000_000), 10, seed=6)
        assert found.mean() == pytest.approx(Queue(8, 1, 10, 0).mean_wait_s, rel=0.03)

    def test_lognormal_service_on_one_server(self) -> None:
        services = draw_services(6_000_000, 1.0, 2.0, np.random.default_rng(7))
        found = waits(0.6, services, 1, seed=8)
        assert found.mean() == pytest.approx(Queue(0.6, 1, 1, 2).mean_wait_s, rel=0.02)

    def test_response_quantile(self) -> None:
        services = draw_services(1_000_000, 0.02, 0.05, np.random.default_rng(9))
        rng = np.random.default_rng(10)
        arrivals = np.cumsum(rng.exponential(1 / 160, len(services)))
        found = fifo(arrivals, services, Steps.constant(4)) + services - arrivals
        slow = service_quantile_of(0.02, 0.05, 0.99)
        expected = Queue(160, 0.02, 4, 0.05).response_quantile_s(0.99, slow)
        # The exponential tail is a little too long for services that hardly vary.
        assert np.quantile(found, 0.99) == pytest.approx(expected, rel=0.1)
        assert np.quantile(found, 0.99) <= expected


class TestLine:
    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 2**31), st.integers(1, 6), st.floats(0.2, 1.5), st.floats(0, 3))
    def test_more_lanes_never_worsen(self, seed: int, lanes: int, busy: float, scv: float) -> None:
        rng = np.random.default_rng(seed)
        arrivals = np.cumsum(rng.exponential(1 / (busy * lanes), 500))
        services = draw_services(500, 1.0, scv, rng)
        few = fifo(arrivals, services, Steps.constant(lanes))
        more = fifo(arrivals, services, Steps.constant(lanes + 1))
        later = fifo(arrivals, services, Steps.of([(0.0, lanes), (50.0, lanes + 1)]))
        assert (more <= few + 1e-9).all()
        assert (later <= few + 1e-9).all()
        assert (more <= later + 1e-9).all()

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 2**31), st.integers(1, 6), st.integers(0, 80))
    def test_both_ways_are_the_same(self, seed: int, lanes: int, count: int) -> None:
        rng = np.random.default_rng(seed)
        arrivals = np.cumsum(rng.exponential(1 / lanes, count))
        services = np.full(count, 0.9) if lanes > 1 else rng.exponential(0.9, count)
        by_heap = _by_heap(arrivals, services, Steps.constant(lanes), math.inf)
        assert _cyclic(arrivals, services, lanes) == pytest.approx(by_heap)

    def test_lanes_come_and_go(self) -> None:
        arrivals = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
        services = np.full(5, 10.0)
        # One lane until 5, two until 12, then one: the idle one goes, the busy one finishes.
        lanes = Steps.of([(0.0, 1), (5.0, 2), (12.0, 1)])
        # 0 at once; 1 on the second lane at 5; 2 at 10; at 12 the lane that is free first (15)
        # ends its request and goes; the others share the lane that is free at 20.
        assert fifo(arrivals, services, lanes).tolist() == [0, 5, 10, 20, 30]

    def test_nothing_there(self) -> None:
        arrivals, services = np.array([0.0, 1.0]), np.ones(2)
        assert np.isnan(fifo(arrivals, services, Steps.constant(0))).all()
        lanes = Steps.of([(0.0, 0), (100.0, 1)])
        assert fifo(arrivals, services, lanes).tolist() == [100, 101]
        assert np.isnan(fifo(arrivals, services, lanes, patience_s=60)).all()

    def test_patience(self) -> None:
        arrivals, services = np.zeros(4), np.full(4, 10.0)
        found = fifo(arrivals, services, Steps.constant(1), patience_s=15)
        assert found[:2].tolist() == [0, 10]
        assert np.isnan(found[2:]).all()


class TestRegimes:
    @settings(max_examples=100)
    @given(
        st.floats(0, 200), st.floats(1e-3, 0.5), st.integers(1, 60), st.floats(0, 5),
        st.floats(0.5, 0.999),
    )  # fmt: skip
    def test_as_the_queue(
        self, rate: float, service: float, servers: int, scv: float, q: float
    ) -> None:
        found = wait_quantiles(
            np.array([rate, 0.0]), np.array([servers, 1]), service, scv, np.array([q])
        )
        expected = Queue(rate, service, servers, scv).wait_quantile_s(q)
        assert found[0, 0] == pytest.approx(expected)
        assert found[1, 0] == 0

    @settings(max_examples=50)
    @given(st.floats(1e-3, 5), st.floats(0, 5), st.floats(0.9, 0.999))
    def test_service(self, service: float, scv: float, q: float) -> None:
        found = service_quantiles(service, min(scv, 2.0), np.array([q]))[0]
        assert found == pytest.approx(service_quantile_of(service, min(scv, 2.0), q))

    def test_erlang_for_many(self) -> None:
        servers = np.array([7, 1, 3000, 2, 7])
        loads = np.array([5.0, 0.5, 2950.0, 2.5, 0.0])
        expected = [erlang_c(int(c), float(a)) for c, a in zip(servers, loads, strict=True)]
        assert erlang_c_of(servers, loads) == pytest.approx(expected)


class TestParts:
    def test_steps(self) -> None:
        steps = Steps.summed([(0.0, 2), (90.0, -2), (60.0, 1), (150.0, 3)])
        assert steps.at(np.array([0.0, 59.9, 60.0, 89.0, 90.0, 1e9])).tolist() == [2, 2, 3, 3, 1, 4]
        assert steps.total_s(100) == 2 * 60 + 3 * 30 + 10
        assert steps.peak(100) == 3
        assert steps.seconds_at(1, 1000) == 60
        assert steps.shares_at(1, 4).tolist() == [0, 0.5, 0.5, 0]
        assert steps.shares_at(4, 4).tolist() == [0, 0, 0.5, 1]
        assert Steps.summed([(5.0, 1)]).counts.tolist() == [0, 1]

    def test_weighted_quantiles(self) -> None:
        values, weights = np.array([3.0, 1.0, 2.0]), np.array([1.0, 98.0, 1.0])
        assert weighted_quantiles(values, weights, (0.5, 0.98, 0.985, 0.995)) == (1, 1, 2, 3)
        assert weighted_quantiles(values, np.zeros(3), (0.5,)) == (math.inf,)

    def test_grid(self) -> None:
        _, cells = quantile_grid()
        assert cells.sum() == pytest.approx(1)
        values, weights = condensed(np.arange(100_000.0), np.ones(100_000))
        assert weights.sum() == pytest.approx(100_000)
        assert weighted_quantiles(values, weights, (0.99,))[0] == pytest.approx(99_000, abs=100)

    def test_draws(self) -> None:
        rng = np.random.default_rng(0)
        counts = draw_counts(np.array([600.0, 0.0, 60.0]), rng)
        arrivals = draw_arrivals(counts, rng)
        assert (np.diff(arrivals) >= 0).all()
        assert np.bincount((arrivals // 60).astype(int), minlength=3).tolist() == counts.tolist()
        services = draw_services(400_000, 0.5, 1.5, rng)
        assert services.mean() == pytest.approx(0.5, rel=0.01)
        assert services.var() / services.mean() ** 2 == pytest.approx(1.5, rel=0.05)
        assert (draw_services(3, 0.5, 0, rng) == 0.5).all()
