"""Registries, an image to push there, and nobody's own credentials."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.registry.fake_registry import FakeRegistry
from tests.packaging.registry.registries import debian_registry, make_image
from workbench.packaging.image.parts import Image
from workbench.packaging.image.registry import patience


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with debian_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return make_image(tmp_path / "made", 1000, 200_000)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[float]:
    """Nobody waits, and nobody's own credentials are found."""
    waited: list[float] = []
    monkeypatch.setattr(patience, "sleep", waited.append)
    for name in ("DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOST", "USER", "PASSWORD"):
        monkeypatch.delenv(f"WORKBENCH_REGISTRY_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return waited
