"""The cache gives back what was put, holds its bound, and forgets a model that is gone."""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
from itertools import combinations
from typing import Any

import pytest
from onnx_server.cache import Answer, Cache, Key

HEADERS = (("content-type", "application/json"),)


def answer(body: bytes = b"[1]") -> Answer:
    return (200, HEADERS, body)


def key(cache: Cache, body: bytes = b"x", model: str = "m") -> Key:
    return cache.key(model, "application/json", None, body)


def test_the_same_request_gets_the_same_answer() -> None:
    cache = Cache(10_000)
    cache.put(key(cache), answer())
    assert cache.get(key(cache)) == answer()


def test_another_request_gets_none() -> None:
    cache = Cache(10_000)
    cache.put(key(cache), answer())
    assert cache.get(key(cache, b"y")) is None


def test_requests_that_differ_in_any_part_have_different_keys() -> None:
    cache = Cache(1000)
    requests: list[tuple[Any, ...]] = [
        ("m", "json", "csv", b"body"),
        ("n", "json", "csv", b"body"),
        ("m", None, "csv", b"body"),
        ("m", "", "csv", b"body"),
        ("m", "json", None, b"body"),
        ("m", "json", "", b"body"),
        ("m", "json", "csv", b""),
        ("m", "jsoncsv", "", b"body"),
        ("m", "", "jsoncsv", b"body"),
        ("m", "json", "csvbody", b""),
        ("m", "json", "csvb", b"ody"),
        ("m4:json", "", "csv", b"body"),
    ]
    for first, second in combinations(requests, 2):
        assert cache.key(*first).digest != cache.key(*second).digest, (first, second)
    assert cache.key(*requests[0]) == cache.key(*requests[0])


def test_a_name_that_is_no_unicode_text_has_a_key() -> None:
    cache = Cache(1000)
    assert cache.key("m\udc80", None, None, b"").digest != cache.key("m", None, None, b"").digest


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    cache = Cache(10_000)
    cache.put(key(cache, b"a"), answer(bytes(3000)))
    cache.put(key(cache, b"b"), answer(bytes(3000)))
    assert cache.get(key(cache, b"a")) is not None
    cache.put(key(cache, b"c"), answer(bytes(3000)))
    assert cache.get(key(cache, b"b")) is None
    assert cache.get(key(cache, b"a")) is not None
    assert cache.get(key(cache, b"c")) is not None


def test_the_bound_holds_after_every_put() -> None:
    cache = Cache(20_000)
    for i in range(500):
        cache.put(key(cache, b"%d" % i), answer(bytes(i * 7 % 5000)))
        assert 0 < cache.bytes <= 20_000
    assert len(cache) > 1


def test_an_answer_larger_than_the_cache_is_not_kept_and_evicts_nothing() -> None:
    cache = Cache(10_000)
    cache.put(key(cache, b"small"), answer())
    cache.put(key(cache, b"large"), answer(bytes(10_000)))
    assert cache.get(key(cache, b"large")) is None
    assert cache.get(key(cache, b"small")) == answer()


def test_a_second_answer_replaces_the_first_and_is_counted_once() -> None:
    cache = Cache(10_000)
    cache.put(key(cache), answer(b"old" * 500))
    cache.put(key(cache), answer(b"new"))
    alone = Cache(10_000)
    alone.put(key(alone), answer(b"new"))
    assert cache.get(key(cache)) == answer(b"new")
    assert (cache.bytes, len(cache)) == (alone.bytes, 1)


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_the_count_covers_what_is_really_taken(size: int) -> None:
    cache = Cache(1 << 30)
    gc.collect()
    tracemalloc.start()
    for i in range(5000):
        headers = (("content-type", f"application/json; n={i}"),)
        cache.put(key(cache, b"%d" % i), (200, headers, b"%d" % i + bytes(size)))
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(cache) == 5000
    assert taken <= cache.bytes <= 1.5 * taken + 5000 * 64


def test_a_dropped_model_is_forgotten_and_others_are_not() -> None:
    cache = Cache(100_000)
    for i in range(10):
        cache.put(key(cache, b"%d" % i, "a"), answer())
    cache.put(key(cache, b"0", "b"), answer())
    cache.drop_model("a")
    assert [cache.get(key(cache, b"%d" % i, "a")) for i in range(10)] == [None] * 10
    assert cache.get(key(cache, b"0", "b")) == answer()
    assert len(cache) == 1
    cache.drop_model("b")
    assert cache.bytes == 0


def test_an_answer_that_was_computed_before_its_model_was_dropped_is_not_kept() -> None:
    cache = Cache(10_000)
    asked = key(cache)
    cache.drop_model("m")
    cache.put(asked, answer(b"of the old model"))
    assert cache.get(key(cache)) is None
    cache.put(key(cache), answer(b"of the new model"))
    assert cache.get(key(cache)) == answer(b"of the new model")


def test_dropping_an_unknown_model_does_nothing() -> None:
    cache = Cache(10_000)
    cache.put(key(cache), answer())
    cache.drop_model("nobody")
    assert cache.get(key(cache)) == answer()


def test_evicted_models_leave_nothing_behind() -> None:
    cache = Cache(2000)
    for i in range(1000):
        cache.put(key(cache, b"x", f"model {i}"), answer())
    assert len(cache._models) == len(cache) <= 4


def test_a_cache_of_no_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="holds nothing"):
        Cache(0)


def test_threads_may_share_it() -> None:
    cache = Cache(30_000)
    wrong: list[Any] = []

    def work(name: str) -> None:
        for i in range(3000):
            asked = key(cache, b"%d" % (i % 40), name)
            found = cache.get(asked)
            expected = answer(name.encode() + b"%d" % (i % 40))
            if found is None:
                cache.put(asked, expected)
            elif found != expected:
                wrong.append((found, expected))
            if i % 500 == 0:
                cache.drop_model(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache.bytes == sum(size for _, size, _ in cache._entries.values()) <= 30_000


def test_eviction_takes_no_longer_with_many_entries() -> None:
    def cost_s(entries: int) -> float:
        cache = Cache(10**12)
        for i in range(entries):
            cache.put(key(cache, b"%d" % i), answer())
        cache.max_bytes = cache.bytes
        keys = [key(cache, b"new %d" % i) for i in range(1000)]
        start = time.thread_time()
        for asked in keys:
            cache.put(asked, answer())
        return time.thread_time() - start

    few, many = min(cost_s(100) for _ in range(3)), min(cost_s(50_000) for _ in range(2))
    assert many < 10 * few
