"""The closed forms: known values, limits, and that nothing ever goes the wrong way."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.cost.queueing import Queue, erlang_c, servers_for, service_quantile_of

rates = st.floats(0, 500)
services = st.floats(1e-3, 2)
spreads = st.floats(0, 8)
counts = st.integers(1, 300)
quantiles = st.floats(0.5, 0.999)
growth = st.floats(0, 1)


class TestErlangC:
    @pytest.mark.parametrize(
        ("servers", "load", "expected"),
        [(1, 0.8, 0.8), (2, 1.0, 1 / 3), (3, 2.0, 4 / 9), (10, 8.0, 0.409180), (5, 0.0, 0.0)],
    )
    def test_known_values(self, servers: int, load: float, expected: float) -> None:
        assert erlang_c(servers, load) == pytest.approx(expected, abs=1e-6)

    def test_thousands_of_servers(self) -> None:
        # Halfin and Whitt (1981): with load = c - b sqrt(c) the probability tends to a constant.
        b = 1.0
        density = math.exp(-(b**2) / 2) / math.sqrt(2 * math.pi)
        below = (1 + math.erf(b / math.sqrt(2))) / 2
        limit = 1 / (1 + b * below / density)
        assert erlang_c(9_000, 9_000 - b * math.sqrt(9_000)) == pytest.approx(limit, rel=0.01)

    def test_overload_always_waits(self) -> None:
        assert erlang_c(4, 4.0) == erlang_c(4, 9.0) == 1.0

    @pytest.mark.parametrize(("servers", "load"), [(0, 0.5), (1, -1.0), (1, math.nan)])
    def test_no_queue(self, servers: int, load: float) -> None:
        with pytest.raises(ValueError, match="no queue"):
            erlang_c(servers, load)


class TestQueue:
    def test_one_exponential_server(self) -> None:
        queue = Queue(0.8, 1.0, 1)
        assert queue.mean_wait_s == pytest.approx(4.0)
        assert queue.wait_quantile_s(0.99) == pytest.approx(5 * math.log(80))
        # M/M/1's response is exponential with rate 0.2.
        response = queue.response_quantile_s(0.99, math.log(100))
        assert response == pytest.approx(5 * math.log(100), rel=0.02)

    @pytest.mark.parametrize("scv", [0.0, 0.3, 1.0, 4.0])
    def test_pollaczek_khinchine(self, scv: float) -> None:
        rate, service = 30.0, 0.025
        second_moment = service**2 * (1 + scv)
        expected = rate * second_moment / (2 * (1 - rate * service))
        assert Queue(rate, service, 1, scv).mean_wait_s == pytest.approx(expected)

    def test_fixed_service_and_several_servers(self) -> None:
        # Tabulated M/D/c over M/M/c (Seelen, Tijms, van Hoorn, 1985): 10 servers, 0.8: about 0.55.
        ratio = Queue(8, 1, 10, 0).mean_wait_s / Queue(8, 1, 10, 1).mean_wait_s
        assert ratio == pytest.approx(0.55, abs=0.02)

    def test_unstable_waits_for_ever(self) -> None:
        queue = Queue(11, 1, 10)
        assert queue.utilisation == pytest.approx(1.1)
        assert queue.mean_wait_s == queue.wait_quantile_s(0.5) == math.inf
        assert queue.response_quantile_s(0.5, 1.0) == math.inf
        assert Queue(10, 1, 10).mean_wait_s == math.inf

    def test_nobody_comes(self) -> None:
        queue = Queue(0, 1, 3, 0)
        assert queue.mean_wait_s == queue.wait_quantile_s(0.99) == 0
        assert queue.response_quantile_s(0.99, 1.5) == 1.5

    @pytest.mark.parametrize("wrong", [(-1, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, -1)])
    def test_no_queue(self, wrong: tuple[float, float, int, float]) -> None:
        with pytest.raises(ValueError, match="no queue"):
            Queue(*wrong)

    def test_no_quantile(self) -> None:
        with pytest.raises(ValueError, match="quantile"):
            Queue(1, 0.1, 1).wait_quantile_s(1.0)


def times(queue: Queue, q: float, service_quantile_s: float) -> tuple[float, ...]:
    return (
        queue.mean_wait_s,
        queue.wait_quantile_s(q),
        queue.response_quantile_s(q, service_quantile_s),
    )


def never_less(more: tuple[float, ...], less: tuple[float, ...]) -> None:
    for a, b in zip(more, less, strict=True):
        assert a >= b * (1 - 1e-9) - 1e-12


class TestMonotone:
    @settings(max_examples=300)
    @given(rates, services, counts, spreads, quantiles, growth)
    def test_in_every_argument(
        self, rate: float, service: float, servers: int, scv: float, q: float, by: float
    ) -> None:
        slow = service_quantile_of(service, scv, q)
        base = times(Queue(rate, service, servers, scv), q, slow)
        never_less(times(Queue(rate * (1 + by), service, servers, scv), q, slow), base)
        never_less(times(Queue(rate, service * (1 + by), servers, scv), q, slow), base)
        never_less(times(Queue(rate, service, servers, scv + by), q, slow), base)
        never_less(times(Queue(rate, service, servers, scv), q, slow * (1 + by)), base)
        never_less(times(Queue(rate, service, servers, scv), q + (0.9999 - q) * by, slow), base)
        never_less(base, times(Queue(rate, service, servers + 1, scv), q, slow))

    @settings(max_examples=200)
    @given(st.floats(0.01, 0.99), services, st.integers(1, 40), spreads, quantiles, growth)
    def test_close_to_full(
        self, busy: float, service: float, servers: int, scv: float, q: float, by: float
    ) -> None:
        slow = service_quantile_of(service, scv, q)
        rate = busy * servers / service
        base = times(Queue(rate, service, servers, scv), q, slow)
        never_less(times(Queue(rate * (1 + by / 10), service, servers, scv), q, slow), base)
        never_less(times(Queue(rate, service, servers, scv + by / 10), q, slow), base)
        never_less(base, times(Queue(rate, service, servers + 1, scv), q, slow))

    @settings(max_examples=200)
    @given(rates, services, spreads, st.floats(1e-3, 5), growth)
    def test_servers(
        self, rate: float, service: float, scv: float, objective: float, by: float
    ) -> None:
        def needed(**changed: float) -> float:
            known = {"rate_per_s": rate, "service_s": service, "scv": scv, "quantile": 0.99}
            known |= {"objective_s": objective, "ceiling": 0.5}
            return servers_for(**(known | changed)) or math.inf  # type: ignore[arg-type]

        base = needed()
        assert needed(rate_per_s=rate * (1 + by)) >= base
        assert needed(service_s=service * (1 + by)) >= base
        assert needed(scv=scv + by) >= base
        assert needed(quantile=0.99 + 0.0099 * by) >= base
        assert needed(objective_s=objective * (1 + by)) <= base
        assert needed(ceiling=0.5 + by / 2) <= base


class TestServersFor:
    @settings(max_examples=100)
    @given(rates, services, spreads, st.floats(1e-3, 5))
    def test_is_the_fewest(self, rate: float, service: float, scv: float, objective: float) -> None:
        slow = service_quantile_of(service, scv, 0.99)
        found = servers_for(rate, service, scv, objective)
        assert (found is None) == (slow > objective)
        for count in () if found is None else (found, found - 1):
            if count:
                queue = Queue(rate, service, count, scv)
                kept = queue.response_quantile_s(0.99, slow) <= objective
                assert (kept and queue.utilisation <= 0.8 + 1e-8) == (count == found)

    def test_ceiling_alone(self) -> None:
        assert servers_for(100, 0.08, 0, math.inf) == 10
        assert servers_for(100, 0.0801, 0, math.inf) == 11
        assert servers_for(0, 0.08, 0, math.inf) == 1

    def test_the_service_is_longer(self) -> None:
        assert servers_for(1, 0.2, 0, 0.1) is None
        assert servers_for(1, 0.05, 0, 0.1, service_quantile_s=0.2) is None

    def test_more_than_most(self) -> None:
        assert servers_for(100, 1, 0, math.inf, most=124) is None
        assert servers_for(100, 1, 0, math.inf, most=125) == 125

    def test_full_servers_are_never_enough(self) -> None:
        assert servers_for(10, 1, 0, math.inf, ceiling=1.0) == 11

    def test_no_ceiling(self) -> None:
        with pytest.raises(ValueError, match="ceiling"):
            servers_for(1, 1, 1, 1, ceiling=0)


def test_service_quantile() -> None:
    assert service_quantile_of(2, 0, 0.99) == 2
    sigma = 0.5
    expected = math.exp(2.3263479 * sigma - sigma**2 / 2)
    assert service_quantile_of(1, math.expm1(sigma**2), 0.99) == pytest.approx(expected)
