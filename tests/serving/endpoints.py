"""An endpoint of the emulator before a stub of the container."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.serving.stub import StubContainer
from workbench.serving.archives import FolderSource
from workbench.serving.container import Container
from workbench.serving.platform import TARGET, Endpoint, Limits
from workbench.serving.portfolio import Portfolio
from workbench.serving.slots import Slot


def make_endpoint(
    stub: StubContainer,
    archives: Path,
    folder: Path,
    *,
    invoke_s: float = 10.0,
    cached: bool = True,
    source: Any = None,
    say: Callable[[str], None] = print,
) -> Endpoint:
    container = Container("127.0.0.1", stub.port)
    portfolio = Portfolio(
        container,
        source or FolderSource(archives),
        folder,
        cached=cached,
        endpoint="e",
        say=say,
    )
    limits = Limits(invoke_s=invoke_s, payload_bytes=100)
    return Endpoint("e", container, portfolio, limits, say)


def ask(endpoint: Endpoint, number: int, body: bytes = b"1") -> str:
    """Name of the model that answers."""
    answer = endpoint.invoke(body, {TARGET: f"plus-{number}.tar.gz"})
    return str(json.loads(answer.body)["model"])


def name(number: int) -> str:
    return Slot(f"plus-{number}.tar.gz").name


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
