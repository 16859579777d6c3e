"""One endpoint of the platform: checks a request, finds its model, asks the container."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workbench.serving.answers import (
    ApiError,
    model_error,
    timed_out,
    unavailable,
    validation_error,
)
from workbench.serving.container import Answer, Container
from workbench.serving.metrics import Metrics
from workbench.serving.portfolio import FULL, Portfolio

PREFIX = "x-amzn-sagemaker-"
TARGET = f"{PREFIX}target-model"
PASSED = {
    "content-type": 1024,
    "accept": 1024,
    f"{PREFIX}custom-attributes": 1024,
    f"{PREFIX}inference-id": 64,
    f"{PREFIX}session-id": 256,
    TARGET: 1024,
}
"""The headers that reach the container (C15), and how long each may be."""
RETURNED = (
    "content-type",
    f"{PREFIX}custom-attributes",
    f"{PREFIX}new-session-id",
    f"{PREFIX}closed-session-id",
)
NOT_FOUND = 404


@dataclass(frozen=True)
class Limits:
    """The platform's limits; times in seconds."""

    invoke_s: float = 60.0
    payload_bytes: int = 25 * 1024**2
    ping_every_s: float = 2.0
    ping_failures: int = 3


class Endpoint:
    """A single-model endpoint, or with a portfolio a multi-model one. Thread-safe."""

    def __init__(
        self,
        name: str,
        container: Container,
        portfolio: Portfolio | None = None,
        limits: Limits | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        """``say`` is told when the container becomes unhealthy, and when it recovers."""
        self.name, self.limits = name, limits or Limits()
        self.metrics = portfolio.metrics if portfolio else Metrics(name, lambda: 1)
        self.healthy = True
        self._container, self._portfolio, self._say = container, portfolio, say
        self._stopped = threading.Event()

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Answer one InvokeEndpoint.

        Args:
            body: the payload.
            headers: the request's, names in lower case.

        Raises:
            ApiError: any answer but the container's 2xx.
        """
        began = time.monotonic()
        try:
            answer, away = self._invoke(body, headers, began)
        except ApiError as error:
            self.metrics.count_answer(error.counted)
            raise
        self.metrics.count_answer(answer.status)
        self.metrics.observe_seconds("OverheadLatency", time.monotonic() - began - away)
        return answer

    def watch(self) -> None:
        """Ping the container until ``stop``; runs in a thread of its own."""
        failures = 0
        while not self._stopped.wait(self.limits.ping_every_s):
            failures = 0 if self._container.ping() else failures + 1
            healthy = failures < self.limits.ping_failures
            if healthy != self.healthy:
                self.healthy = healthy
                self._say(
                    "The container answers /ping again."
                    if healthy
                    else f"The container failed {failures} pings in a row: unhealthy."
                )

    def stop(self) -> None:
        """End ``watch``."""
        self._stopped.set()

    def _invoke(
        self, body: bytes, headers: Mapping[str, str], began: float
    ) -> tuple[Answer, float]:
        """The answer, and the seconds of it that were not the platform's own."""
        passed, target = self._checked(body, headers)
        if not self.healthy:
            raise unavailable(f"The container of endpoint {self.name} is unhealthy.")
        if self._portfolio is None:
            if target:
                raise validation_error("The endpoint serves one model: give no target model.")
            return self._ask(None, body, passed)
        if not target:
            raise validation_error("A multi-model endpoint asks for a target model.")
        return self._ask_target(self._portfolio, target, body, passed, began)

    def _checked(self, body: bytes, headers: Mapping[str, str]) -> tuple[dict[str, str], str]:
        if len(body) > self.limits.payload_bytes:
            raise validation_error(
                f"The payload is larger than {self.limits.payload_bytes} bytes.", status=413
            )
        passed = {name: headers[name] for name in PASSED if name in headers}
        for name, value in passed.items():
            if len(value) > PASSED[name] or not value.isascii():
                raise validation_error(f"{name} must be ASCII of at most {PASSED[name]}.")
        return passed, passed.get(TARGET, "")

    def _ask_target(
        self,
        portfolio: Portfolio,
        target: str,
        body: bytes,
        passed: Mapping[str, str],
        began: float,
    ) -> tuple[Answer, float]:
        """Ask a model; once more when the container lost it (404) or needs room for it (507)."""
        loading = 0.0
        for last in (False, True):
            waiting = time.monotonic()
            try:
                with portfolio.use(target, began + self.limits.invoke_s) as name:
                    loading += time.monotonic() - waiting
                    answer, latency = self._ask(name, body, passed)
                    return answer, latency + loading
            except ApiError as error:
                status = error.body.get("OriginalStatusCode")
                if last or not self._mended(portfolio, target, status):
                    raise
        raise AssertionError("the last round returns or raises")

    def _mended(self, portfolio: Portfolio, target: str, status: object) -> bool:
        if status == NOT_FOUND:
            portfolio.forget(target)
            return True
        return status == FULL and portfolio.make_room()

    def _ask(
        self, name: str | None, body: bytes, passed: Mapping[str, str]
    ) -> tuple[Answer, float]:
        began = time.monotonic()
        try:
            answer = self._container.invoke(name, body, passed, timeout=self.limits.invoke_s)
        except TimeoutError:
            raise timed_out() from None
        except (OSError, http.client.HTTPException) as error:
            raise model_error(0, f"The container gave no answer: {error}") from error
        latency = time.monotonic() - began
        self.metrics.observe_seconds("ModelLatency", latency)
        if not 200 <= answer.status < 300:
            raise model_error(answer.status, answer.body.decode("utf-8", "replace"))
        kept = {key: answer.headers[key] for key in RETURNED if key in answer.headers}
        return Answer(answer.status, answer.body, kept), latency
