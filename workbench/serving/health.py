"""Whether the container answers its pings."""

from __future__ import annotations

import threading
from collections.abc import Callable

from workbench.serving.container import Container


class Health:
    """``good`` until several pings in a row fail, and again after one that succeeds."""

    def __init__(
        self, container: Container, every_s: float, failures: int, say: Callable[[str], None]
    ) -> None:
        """Ping every ``every_s`` seconds; ``failures`` in a row make it bad; ``say`` is told."""
        self.good = True
        self._container, self._every_s, self._most = container, every_s, failures
        self._say = say
        self._stopped = threading.Event()

    def watch(self) -> None:
        """Ping until ``stop``; runs in a thread of its own."""
        failures = 0
        while not self._stopped.wait(self._every_s):
            failures = 0 if self._container.ping() else failures + 1
            good = failures < self._most
            if good != self.good:
                self.good = good
                self._say(
                    "The container answers /ping again."
                    if good
                    else f"The container failed {failures} pings in a row: unhealthy."
                )

    def stop(self) -> None:
        """End ``watch``."""
        self._stopped.set()
