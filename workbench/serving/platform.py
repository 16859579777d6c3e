"""One endpoint of the platform: checks a request, finds its model, asks the container."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workbench.serving.answers import (
    ApiError,
    internal_failure,
    model_error,
    no_answer,
    timed_out,
    unavailable,
    validation_error,
)
from workbench.serving.container import UNREACHABLE, Answer, Container
from workbench.serving.health import Health
from workbench.serving.metrics import Metrics
from workbench.serving.portfolio import FULL, NOT_FOUND, Portfolio
from workbench.serving.slots import Slot

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


@dataclass(frozen=True)
class Limits:
    """The platform's limits; times in seconds. ``invoke_s`` holds for a whole call."""

    invoke_s: float = 60.0
    payload_bytes: int = 25 * 1024**2
    ping_every_s: float = 2.0
    ping_failures: int = 3


@dataclass(frozen=True)
class Call:
    """What the container gets of one request, and until when it may answer (monotonic clock)."""

    body: bytes
    headers: Mapping[str, str]
    deadline: float


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
        self.health = Health(container, self.limits.ping_every_s, self.limits.ping_failures, say)
        self._container, self._portfolio, self._say = container, portfolio, say

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
            call = Call(body, _checked(headers), began + self.limits.invoke_s)
            answer, away_s = self._answer(call)
        except ApiError as error:
            self.metrics.count_answer(error.counted)
            raise
        except Exception as error:  # a client gets an answer, whatever happens here
            self._say(f"The emulator failed: {type(error).__name__}: {error}")
            self.metrics.count_answer(500)
            raise internal_failure("The emulator failed; its log says more.") from error
        self.metrics.count_answer(answer.status)
        self.metrics.observe_seconds("OverheadLatency", time.monotonic() - began - away_s)
        return answer

    def _answer(self, call: Call) -> tuple[Answer, float]:
        """The answer, and the seconds of it that were not the platform's own."""
        if not self.health.good:
            raise unavailable(f"The container of endpoint {self.name} is unhealthy.")
        target = call.headers.get(TARGET, "")
        if self._portfolio is None:
            if target:
                raise validation_error("The endpoint serves one model: give no target model.")
            return self._ask(None, call)
        if not target:
            raise validation_error("A multi-model endpoint asks for a target model.")
        return self._ask_target(self._portfolio, target, call)

    def _ask_target(self, portfolio: Portfolio, target: str, call: Call) -> tuple[Answer, float]:
        """Ask a model; once more when the container lost it (404) or needs room for it (507)."""
        for last in (False, True):
            began = time.monotonic()
            with portfolio.use(target, call.deadline) as slot:
                loading_s = time.monotonic() - began
                try:
                    answer, latency_s = self._ask(slot.name, call)
                    return answer, loading_s + latency_s
                except ApiError as error:
                    failed = error
            if last or not _mended(portfolio, slot, failed, call.deadline):
                break
        raise failed

    def _ask(self, name: str | None, call: Call) -> tuple[Answer, float]:
        began = time.monotonic()
        left = call.deadline - began
        try:
            answer = self._container.invoke(name, call.body, call.headers, timeout=left)
        except TimeoutError:
            raise timed_out() from None
        except UNREACHABLE as error:
            raise no_answer(error) from error
        latency_s = time.monotonic() - began
        self.metrics.observe_seconds("ModelLatency", latency_s)
        if not 200 <= answer.status < 300:
            raise model_error(answer.status, answer.body.decode("utf-8", "replace"))
        kept = {key: answer.headers[key] for key in RETURNED if key in answer.headers}
        return Answer(answer.status, answer.body, kept), latency_s


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that reach the container."""
    passed = {name: headers[name] for name in PASSED if name in headers}
    for name, value in passed.items():
        if len(value) > PASSED[name] or not value.isascii():
            raise validation_error(f"{name} must be ASCII of at most {PASSED[name]}.")
    return passed


def _mended(portfolio: Portfolio, slot: Slot, error: ApiError, deadline: float) -> bool:
    """Whether asking again may help."""
    if error.original_status == NOT_FOUND:
        portfolio.forget(slot)
        return True
    return error.original_status == FULL and portfolio.make_room(slot, deadline)
