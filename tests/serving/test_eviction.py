"""Which model goes when the container is full, and who waits for it."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.serving.endpoints import ask, eventually, make_endpoint, name
from tests.serving.stub import StubContainer
from workbench.serving.answers import ApiError
from workbench.serving.slots import Slots


def test_the_least_recently_used_model_is_evicted_on_507(archives: Path, tmp_path: Path) -> None:
    stub = StubContainer(budget=2)
    endpoint = make_endpoint(stub, archives, tmp_path)
    assert [ask(endpoint, n) for n in (0, 1, 0, 2)] == [name(n) for n in (0, 1, 0, 2)]
    assert stub.unloads == [name(1)]
    assert endpoint.metrics.summary("ModelCacheHit") == (1.0, 4)
    assert "LoadedModelCount{" in endpoint.metrics.render()


def test_concurrent_first_calls_load_a_model_once(archives: Path, tmp_path: Path) -> None:
    stub = StubContainer(budget=2, load_s=0.2)
    endpoint = make_endpoint(stub, archives, tmp_path)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: ask(endpoint, 3), range(8))) == {name(3)}
    assert stub.loads == [name(3)]


def test_a_model_too_large_for_an_empty_container_is_a_model_error_507(
    archives: Path, tmp_path: Path
) -> None:
    endpoint = make_endpoint(StubContainer(budget=0), archives, tmp_path)
    with pytest.raises(ApiError) as caught:
        ask(endpoint, 0)
    assert (caught.value.kind, caught.value.body["OriginalStatusCode"]) == ("ModelError", 507)


def test_a_call_waits_for_a_busy_model_to_become_idle_and_evicts_it(
    archives: Path, tmp_path: Path
) -> None:
    stub = StubContainer(budget=1)
    endpoint = make_endpoint(stub, archives, tmp_path)
    stub.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, endpoint, 0)
        assert stub.asked.acquire(timeout=60)
        second = pool.submit(ask, endpoint, 1)
        time.sleep(0.3)
        assert not second.done()
        assert stub.unloads == []
        stub.gate.set()
        assert (first.result(60), second.result(60)) == (name(0), name(1))
    assert stub.unloads == [name(0)]


def test_waiting_for_an_idle_model_has_an_end_and_leaves_all_as_it_was() -> None:
    slots, began = Slots(), time.monotonic()
    soon = began + 0.1
    busy, _ = slots.enter("busy", soon, slots.settle)
    slots.await_loaded(busy, soon)
    wanted, _ = slots.enter("wanted", soon, lambda _: None)
    assert slots.claim_victim(wanted, slots.unloads, soon) is None
    assert 0.1 <= time.monotonic() - began < 20
    assert slots.enter("busy", soon, slots.settle) == (busy, True)


def test_two_that_load_do_not_wait_for_each_other_in_vain(archives: Path, tmp_path: Path) -> None:
    endpoint = make_endpoint(StubContainer(budget=0, load_s=0.05), archives, tmp_path)

    def fails(number: int) -> object:
        with pytest.raises(ApiError) as caught:
            ask(endpoint, number)
        return caught.value.body["OriginalStatusCode"]

    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(fails, range(2))) == [507, 507]
    assert time.monotonic() - began < 20, "each waited for the other until the deadline"


def test_a_model_that_is_always_in_use_leaves_all_the_same(archives: Path, tmp_path: Path) -> None:
    stub = StubContainer(budget=1, invoke_s=0.05)
    endpoint = make_endpoint(stub, archives, tmp_path)
    done = threading.Event()

    def keep_asking(_: int) -> None:
        while not done.is_set():
            assert ask(endpoint, 0) == name(0)

    with ThreadPoolExecutor(4) as pool:
        busy = [pool.submit(keep_asking, n) for n in range(3)]
        assert stub.asked.acquire(timeout=60)
        time.sleep(0.12)
        try:
            assert pool.submit(ask, endpoint, 1).result(60) == name(1)
        finally:
            done.set()
        for one in busy:
            one.result(60)


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("budget", [1, 2])
def test_callers_that_press_each_other_out_are_all_answered(
    archives: Path, tmp_path: Path, budget: int, cached: bool
) -> None:
    stub = StubContainer(budget, load_s=0.002, invoke_s=0.002)
    endpoint = make_endpoint(stub, archives, tmp_path, cached=cached)
    order = random.Random(budget)
    calls = [order.randrange(6) for _ in range(150)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda number: ask(endpoint, number), calls)) == list(map(name, calls))
    assert eventually(lambda: len(stub.models) <= (budget if cached else 0))


@pytest.mark.parametrize("status", [500, 0])
def test_a_failed_unload_after_a_call_takes_no_answer_away(
    archives: Path, tmp_path: Path, status: int
) -> None:
    stub = StubContainer(budget=1)
    said: list[str] = []
    endpoint = make_endpoint(stub, archives, tmp_path, cached=False, say=said.append)
    stub.unload_status = status
    assert [ask(endpoint, 0), ask(endpoint, 0)] == [name(0), name(0)]
    assert eventually(lambda: len(said) == 2)
    assert said[0].startswith("The container did not unload plus-0.tar.gz:")


@pytest.mark.parametrize("status", [500, 0])
def test_a_failed_eviction_is_the_containers_507(
    archives: Path, tmp_path: Path, status: int
) -> None:
    stub = StubContainer(budget=1)
    endpoint = make_endpoint(stub, archives, tmp_path, say=lambda _: None)
    ask(endpoint, 0)
    stub.unload_status = status
    with pytest.raises(ApiError) as caught:
        ask(endpoint, 1)
    assert caught.value.body["OriginalStatusCode"] == 507
    assert ask(endpoint, 0) == name(0)
