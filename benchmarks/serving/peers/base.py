"""What the benchmark needs to know of a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
APPS = HERE / "apps"
ENVIRONMENTS = HERE / ".envs"
JSON = "application/json"


@dataclass(frozen=True)
class Launch:
    """A command to start a server; ``environment`` is added to that of the benchmark."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


def instances_body(sample: Any) -> bytes:
    """``{"instances": [sample]}``."""
    return json.dumps({"instances": [sample]}).encode()


def predictions_answer(content: bytes) -> list[float]:
    """The row of ``{"predictions": [row]}``."""
    return json.loads(content)["predictions"][0]


@dataclass(frozen=True)
class Peer:
    """A server: its packages, how it starts, and how it is asked for one sample.

    ``launch(bin, model, port, work)`` gives the command; ``bin`` is the folder of its environment's
    programs, ``work`` an empty folder for its files, in which it is started. ``answer`` reads the
    row of floats from the body of an answer. ``programs`` must be on the machine.
    ``environment`` names its environment where that is not its own.
    """

    name: str
    package: str
    requirements: tuple[str, ...]
    launch: Callable[[Path, Path, int, Path], Launch]
    path: str = "/invocations"
    ping: str = "/ping"
    body: Callable[[Any], bytes] = instances_body
    answer: Callable[[bytes], list[float]] = predictions_answer
    programs: tuple[str, ...] = ()
    environment: str = ""

    @property
    def bin(self) -> Path:
        """The programs of the peer's environment."""
        return ENVIRONMENTS / (self.environment or self.name) / "bin"
