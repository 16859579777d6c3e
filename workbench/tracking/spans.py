"""OpenTelemetry spans of a run and of each piece of its work.

Nothing is imported and nothing is made unless the program that embeds the workbench has set a
tracer provider, or the environment names an endpoint (``OTEL_EXPORTER_OTLP_ENDPOINT`` or
``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``) and the SDK is installed.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.progress import Progress

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider as SdkProvider
    from opentelemetry.trace import Span, Tracer, TracerProvider

    from workbench.resolve import Resolved

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
NAME = "workbench"


@contextmanager
def trace_run(resolved: Resolved) -> Iterator[Progress | None]:
    """A span around a run; what it yields makes one for each piece. None where nobody listens.

    The run's span bears ``workbench.name``, ``.model``, ``.task``, ``.variants`` and ``.smoke``;
    an error is recorded on it and on the piece under way.
    """
    own = None
    provider = _embedding_provider()
    if provider is None:
        provider = own = _configured_provider()
    if provider is None:
        yield None
        return
    tracer = provider.get_tracer(NAME, version(NAME))
    attributes: dict[str, Any] = {
        "workbench.name": resolved.name,
        "workbench.model": resolved.model.name,
        "workbench.task": resolved.recipe.task.name,
        "workbench.variants": list(resolved.chains),
        "workbench.smoke": resolved.smoke,
    }
    try:
        # Ended by hand: an error is described by its sentence, and once.
        with tracer.start_as_current_span(
            f"run {resolved.name}",
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            pieces = SpanProgress(tracer)
            try:
                yield pieces
            except BaseException as error:
                pieces.fail(error)
                _fail(span, error)
                raise
    finally:
        if own is not None:
            own.shutdown()  # sends what is left


class SpanProgress(Progress):
    """A span for each piece of work, below the current one.

    Attributes: ``workbench.reused``, ``workbench.detail`` and what is noted of the piece
    (``workbench.key``, ``workbench.bytes``, ``workbench.step``).
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._span: Span | None = None

    def start(self, label: str) -> None:
        """Begin a span; the labels of a recipe are few, so they are its name."""
        self._span = self._tracer.start_span(label)

    def note(self, **facts: str | int) -> None:
        """Set attributes of the span under way."""
        if self._span is not None:
            self._span.set_attributes({f"{NAME}.{name}": fact for name, fact in facts.items()})

    def finish(self, label: str, seconds: float, *, reused: bool, detail: str = "") -> None:
        """End the span."""
        self.note(reused=reused, detail=detail)
        self._end()

    def fail(self, error: BaseException) -> None:
        """Record an error on the span under way, if there is one, and end it."""
        if self._span is not None:
            _fail(self._span, error)
            self._end()

    def _end(self) -> None:
        if self._span is not None:
            self._span.end()
            self._span = None


def _fail(span: Span, error: BaseException) -> None:
    from opentelemetry.trace import StatusCode

    span.record_exception(error)
    code = getattr(error, "exit_code", None) if isinstance(error, WorkbenchError) else None
    if code is not None:
        span.set_attribute(f"{NAME}.exit_code", int(code))
    span.set_status(StatusCode.ERROR, str(error))


def _embedding_provider() -> TracerProvider | None:
    """The provider that the program around us has set, if it has."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:  # whoever sets a provider has imported it
        return None
    provider: TracerProvider = trace.get_tracer_provider()
    return None if isinstance(provider, trace.ProxyTracerProvider) else provider


def _configured_provider() -> SdkProvider | None:
    """A provider of our own that sends to the endpoint of the environment."""
    if not any(os.environ.get(name) for name in ENDPOINTS) or _disabled():
        return None
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # type: ignore[import-not-found, unused-ignore]
            OTLPSpanExporter,
        )
    except ImportError as error:
        warnings.warn(
            f"No spans are sent: the OpenTelemetry endpoint is set, but the exporter is missing: "
            f"{error} (pip install opentelemetry-exporter-otlp-proto-http).",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    provider = TracerProvider(
        resource=Resource.create({} if named else {"service.name": NAME}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _disabled() -> bool:
    return (
        os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
        or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    )
