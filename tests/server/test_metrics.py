"""The text is read by Prometheus's own parser, and an observation costs about a microsecond."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from onnx_server.metrics import Family, Histogram, Metrics, Number
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(metrics: Metrics) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} is told twice"
            found[key] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics()
    metrics.watch(queue=lambda: 3, models=lambda: 2)
    metrics.loaded("a", 0.25, 1000)
    metrics.loaded("b", 0.5, 2000)
    return metrics


def test_every_line_has_the_form_of_the_text_format(metrics: Metrics) -> None:
    metrics.responded("/models/a/invoke", 200, 0.003)
    metrics.rejected("queue_full")
    text = metrics.render().decode()
    name = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
    label = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
    sample = rf"{name}(?:\{{{label}(?:,{label})*\}})? (?:\+Inf|-?[0-9.e+-]+)"
    comment = rf"# HELP {name} \S.*|# TYPE {name} (?:counter|gauge|histogram)"
    assert text.endswith("\n")
    for line in text.splitlines():
        assert re.fullmatch(f"{comment}|{sample}", line), line


def test_each_family_is_explained_and_typed_once_before_its_samples(metrics: Metrics) -> None:
    metrics.responded("/models/a/invoke", 200, 0.003)
    seen: list[str] = []
    current = ""
    for line in metrics.render().decode().splitlines():
        word, _, rest = line.partition(" ")
        if word == "#":
            kind, name, _ = rest.split(" ", 2)
            if kind == "HELP":
                assert name not in seen
                seen.append(name)
            assert seen[-1] == name
            current = name
        else:
            assert re.sub(r"_(bucket|sum|count)$", "", word.partition("{")[0]) == current


def test_all_series_of_the_server_are_there(metrics: Metrics) -> None:
    names = {family.name for family in text_string_to_metric_families(metrics.render().decode())}
    assert names == {
        "onnx_server_requests",
        "onnx_server_request_seconds",
        "onnx_server_inference_seconds",
        "onnx_server_queue_seconds",
        "onnx_server_batch_rows",
        "onnx_server_queue_length",
        "onnx_server_rejected",
        "onnx_server_models_loaded",
        "onnx_server_model_memory_bytes",
        "onnx_server_model_load_seconds",
        "onnx_server_cache_hits",
        "process_resident_memory_bytes",
        "process_cpu_seconds",
        "process_start_time_seconds",
    }  # the parser takes "_total" off the names of counters


def test_requests_count_by_model_and_status(metrics: Metrics) -> None:
    for path, status in [
        ("/models/a/invoke", 200),
        ("/v2/models/a/infer", 200),
        ("/models/b/invoke", 400),
        ("/ping", 200),
        ("/models/nobody/invoke", 404),
    ]:
        metrics.responded(path, status, 0.003)
    found = samples(metrics)
    name = "onnx_server_requests_total"
    assert value(found, name, model="a", status="200") == 2
    assert value(found, name, model="b", status="400") == 1
    assert value(found, name, model="", status="200") == 1
    assert value(found, name, model="", status="404") == 1
    assert value(found, "onnx_server_request_seconds_count", model="a") == 2
    assert value(found, "onnx_server_request_seconds_sum", model="a") == pytest.approx(0.006)


def test_invocations_count_for_the_only_model() -> None:
    metrics = Metrics()
    metrics.loaded("digits", 0.1, 10)
    metrics.responded("/invocations", 200, 0.01)
    assert value(samples(metrics), "onnx_server_requests_total", model="digits", status="200") == 1


def test_invocations_are_of_no_model_when_there_are_several(metrics: Metrics) -> None:
    metrics.responded("/invocations", 404, 0.01)
    assert value(samples(metrics), "onnx_server_requests_total", model="", status="404") == 1


@pytest.mark.parametrize("path", ["/models/%C3%A4%20b/invoke", "/models/%c3%a4%20%62/invoke"])
def test_a_model_is_found_however_its_name_is_quoted(path: str) -> None:
    metrics = Metrics()
    metrics.loaded("ä b", 0.1, 10)
    metrics.responded(path, 200, 0.01)
    assert value(samples(metrics), "onnx_server_requests_total", model="ä b", status="200") == 1


def test_clients_cannot_make_series(metrics: Metrics) -> None:
    metrics.responded("/x", 404, 0.0)
    before = len(samples(metrics))
    for i in range(1000):
        metrics.responded(f"/models/{i}/invoke", 404, 0.0)
    assert len(samples(metrics)) == before


def test_an_unloaded_model_leaves_no_series_and_late_observations_make_none(
    metrics: Metrics,
) -> None:
    metrics.responded("/models/a/invoke", 200, 0.003)
    metrics.queued("a", 0.001)
    metrics.inferred("a", 0.002, 4)
    metrics.unloaded("a")
    metrics.queued("a", 0.001)
    metrics.inferred("a", 0.002, 4)
    metrics.responded("/models/a/invoke", 200, 0.003)
    models = {dict(labels).get("model") for _, labels in samples(metrics)}
    assert models == {None, "b", ""}


def test_a_model_that_comes_back_counts_from_zero(metrics: Metrics) -> None:
    metrics.inferred("a", 0.002, 4)
    metrics.unloaded("a")
    metrics.loaded("a", 0.75, 4000)
    metrics.inferred("a", 0.002, 4)
    found = samples(metrics)
    assert value(found, "onnx_server_inference_seconds_count", model="a") == 1
    assert value(found, "onnx_server_model_load_seconds", model="a") == 0.75
    assert value(found, "onnx_server_model_memory_bytes", model="a") == 4000


def test_gauges_are_asked_on_each_scrape() -> None:
    waiting = iter([5, 7])
    metrics = Metrics()
    metrics.watch(queue=lambda: next(waiting), models=lambda: 1)
    assert value(samples(metrics), "onnx_server_queue_length") == 5
    assert value(samples(metrics), "onnx_server_queue_length") == 7


def test_cache_hits_and_rejections_count() -> None:
    metrics = Metrics()
    assert value(samples(metrics), "onnx_server_cache_hits_total") == 0
    metrics.cache_hit()
    metrics.rejected("queue_full")
    metrics.rejected("deadline")
    metrics.rejected("deadline")
    found = samples(metrics)
    assert value(found, "onnx_server_cache_hits_total") == 1
    assert value(found, "onnx_server_rejected_total", reason="queue_full") == 1
    assert value(found, "onnx_server_rejected_total", reason="deadline") == 2


def test_the_process_tells_its_memory_cpu_time_and_start() -> None:
    found = samples(Metrics())
    assert 5e6 < value(found, "process_resident_memory_bytes") < 1e11
    assert 0 < value(found, "process_cpu_seconds_total") <= time.process_time()
    age = time.time() - value(found, "process_start_time_seconds")
    assert -1 < age < 24 * 3600


def test_buckets_are_cumulative_and_their_bounds_belong_to_them() -> None:
    family = Family("rows", "histogram", "Rows.", (), lambda: Histogram((1, 2.5)))
    for observed in (0.5, 1, 2, 2.5, 3):
        family.child().observe(observed)
    assert family.lines()[2:] == [
        'rows_bucket{le="1"} 2',
        'rows_bucket{le="2.5"} 4',
        'rows_bucket{le="+Inf"} 5',
        "rows_sum 9",
        "rows_count 5",
    ]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", 'a"} 1\nforged 2', "ä", "\\n", "", "日本"])
def test_any_name_of_a_model_survives_the_text(name: str) -> None:
    metrics = Metrics()
    metrics.loaded(name, 0.5, 7)
    found = samples(metrics)
    assert value(found, "onnx_server_model_memory_bytes", model=name) == 7
    assert not [key for key, _ in found if key.startswith("forged")]


def test_half_a_surrogate_pair_in_a_name_does_not_break_the_scrape() -> None:
    metrics = Metrics()
    metrics.loaded("a\udc80", 0.5, 7)
    assert value(samples(metrics), "onnx_server_model_memory_bytes", model="a?") == 7


def test_the_number_of_labels_is_checked() -> None:
    family = Family("a", "gauge", "A.", ("x", "y"), Number)
    with pytest.raises(ValueError, match="zip"):
        family.child("1")


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("frequent_switches")
def test_several_threads_lose_no_observation() -> None:
    metrics = Metrics()
    metrics.loaded("a", 0.1, 10)

    def observe() -> None:
        for _ in range(20_000):
            metrics.inferred("a", 0.5, 1)
            metrics.cache_hit()

    threads = [threading.Thread(target=observe) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = samples(metrics)
    assert value(found, "onnx_server_inference_seconds_count", model="a") == 80_000
    assert value(found, "onnx_server_inference_seconds_sum", model="a") == 40_000
    assert value(found, "onnx_server_cache_hits_total") == 80_000


@pytest.mark.usefixtures("frequent_switches")
def test_models_may_come_and_go_while_it_is_scraped() -> None:
    metrics = Metrics()
    stop = threading.Event()

    def churn() -> None:
        i = 0
        while not stop.is_set():
            metrics.loaded(f"m{i % 50}", 0.1, 10)
            metrics.unloaded(f"m{(i + 25) % 50}")
            i += 1

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(50):
            assert samples(metrics)
    finally:
        stop.set()
        thread.join()


@pytest.mark.skipif("PYTEST_XDIST_WORKER" in os.environ, reason="timed alone only")
def test_an_observation_costs_about_a_microsecond() -> None:
    histogram = Histogram((0.001, 0.01, 0.1, 1))
    number = Number()

    def cost_s() -> float:
        start = time.thread_time()
        for _ in range(20_000):
            histogram.observe(0.02)
            number.add()
        return (time.thread_time() - start) / 40_000

    assert min(cost_s() for _ in range(5)) < 2e-6
