"""OpenTelemetry: spans of a real run in the SDK's own exporter, and nothing without it."""

import json
import os
import subprocess
import sys

import pytest

from tests.ui.runs import project
from workbench.errors import StepError

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")


@pytest.fixture
def exported(monkeypatch):
    """What a provider that the program around us has set exports."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


def test_a_run_is_a_span_with_one_for_each_piece_of_work(tmp_path, exported):
    import workbench
    from workbench.recipe import load_recipe
    from workbench.store import Store

    recipe = load_recipe(project(tmp_path / "project"))
    store = Store(tmp_path / "store")
    workbench.run(recipe, runs=tmp_path / "runs", store=store)
    spans = {span.name: span for span in exported.get_finished_spans()}
    run = spans.pop("run tiny")
    assert run.attributes["workbench.variants"] == ("fp32", "int8")
    assert all(span.parent.span_id == run.context.span_id for span in spans.values())
    assert {"model", "quantize dynamic-int8", "quality · int8", "latency"} <= set(spans)
    step = spans["quantize dynamic-int8"].attributes
    assert step["workbench.step"] == "quantize"
    assert step["workbench.reused"] is False
    assert step["workbench.bytes"] > 1000
    assert len(step["workbench.key"]) == 64
    assert len(spans["latency"].attributes["workbench.key"]) == 64
    exported.clear()
    workbench.run(recipe, runs=tmp_path / "runs", store=store)
    again = {span.name: span for span in exported.get_finished_spans()}
    assert again["latency"].attributes["workbench.reused"] is True
    assert (
        again["latency"].attributes["workbench.key"]
        == (spans["latency"].attributes["workbench.key"])
    )


def test_an_error_is_on_the_span_of_the_work_and_of_the_run(exported, tmp_path):
    from workbench.recipe import load_recipe
    from workbench.resolve import resolve
    from workbench.tracking.spans import trace_run

    resolved = resolve(load_recipe(project(tmp_path / "project")))

    def fail():
        with trace_run(resolved) as progress:
            progress.start("export")
            raise StepError("It cannot be exported.")

    with pytest.raises(StepError):
        fail()
    piece, run = exported.get_finished_spans()
    assert (piece.name, run.name) == ("export", "run tiny")
    for span in (piece, run):
        assert span.status.status_code.name == "ERROR"
        assert span.status.description == "It cannot be exported."
        assert span.attributes["workbench.exit_code"] == 3
        assert [event.name for event in span.events] == ["exception"]


CODE = """
import json, sys, types, warnings
from workbench.tracking.spans import trace_run
resolved = types.SimpleNamespace()
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    try:
        with trace_run(resolved) as progress:
            assert progress is None
    except AttributeError:
        pass  # a provider was made, and asked what it traces
print(json.dumps({
    "imported": sorted(name for name in sys.modules if name.startswith("opentelemetry")),
    "told": [str(one.message) for one in told],
}))
"""


def _told(**environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**clean, **environment},
    )
    return json.loads(done.stdout)


def test_nothing_is_imported_where_nobody_listens():
    assert _told() == {"imported": [], "told": []}
    disabled = _told(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_SDK_DISABLED="true")
    assert disabled == {"imported": [], "told": []}


def test_an_endpoint_without_the_exporter_is_told():
    try:
        import opentelemetry.exporter.otlp.proto.http  # noqa: F401
    except ImportError:
        told = _told(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")["told"]
        assert len(told) == 1
        assert "exporter is missing" in told[0]
    else:
        pytest.skip("the exporter is installed")
