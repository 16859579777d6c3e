"""What is served, once it answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServedModel:
    """One model: where it is asked, by which target model (platform only), and an example call."""

    name: str
    url: str
    example: str
    target_model: str | None = None


@dataclass(frozen=True)
class Served:
    """Base URL and models; of a multi-model endpoint those that its source lists."""

    url: str
    models: tuple[ServedModel, ...]
