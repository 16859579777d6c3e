"""What is checked: a server, an image, a model archive, or several of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from workbench.conformance.client import Client

Mode = Literal["single", "multi", "unknown"]


@dataclass(frozen=True)
class Sample:
    """A real request: a body that the model answers, and its content type."""

    content_type: str
    body: bytes


@dataclass(frozen=True)
class ModelFolder:
    """A model that a multi-model server can load; ``url`` is its folder as the server sees it."""

    name: str
    url: str


@dataclass(frozen=True)
class Image:
    """What is known of a container image.

    ``media_types`` are those of the index or manifest, config and layers that the archive states;
    ``files`` maps paths (no leading slash) to modes; ``size_bytes`` is uncompressed.
    """

    media_types: tuple[str, ...]
    manifests: int
    config: dict[str, Any]
    files: dict[str, int]
    size_bytes: int

    @property
    def labels(self) -> dict[str, str]:
        """The image's labels."""
        return self.config.get("Labels") or {}

    @property
    def entrypoint(self) -> list[str]:
        """The words of ENTRYPOINT; empty where there is none."""
        return list(self.config.get("Entrypoint") or [])


class Running(Protocol):
    """A server that was started for one clause."""

    url: str

    def terminate(self) -> None:
        """Send SIGTERM."""

    def wait(self, timeout_s: float) -> int | None:
        """The exit code, or none when it still runs after the timeout."""

    def kill(self) -> None:
        """End it at once and forget it; does nothing where it has ended."""


class Launcher(Protocol):
    """Starts servers of the kind that is checked."""

    def start(self, environment: dict[str, str], *, bind_port: bool = False) -> Running:
        """Start one with further variables; ``bind_port``: on a port that only they tell it."""


@dataclass
class Subject:
    """What is checked; whatever is missing leaves the clauses that need it untested.

    ``served`` is the model folder on this machine that the launched servers read, to see that
    none writes there.
    """

    url: str | None = None
    mode: Mode = "unknown"
    samples: tuple[Sample, ...] = ()
    image: Image | None = None
    archive: Path | None = None
    launcher: Launcher | None = None
    models: tuple[ModelFolder, ...] = ()
    served: Path | None = None
    invoke_path: str = "/invocations"
    empty_ping: int | None = None

    @property
    def client(self) -> Client:
        """A client of the server; only clauses that need ``url`` ask for it."""
        if self.url is None:
            raise ValueError("the subject has no URL")
        return Client(self.url)

    def sample(self, *content_types: str) -> Sample | None:
        """The first sample of one of the content types (parameters left aside)."""
        for sample in self.samples:
            if sample.content_type.partition(";")[0].strip().lower() in content_types:
                return sample
        return None
