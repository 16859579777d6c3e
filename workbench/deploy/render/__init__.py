"""Deployments as files to review and to apply by other tools: a file here is a format."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from workbench.deploy.deployment import Deployment
from workbench.errors import InputError
from workbench.plugins import Plugin, plugins


class Renderer(Plugin):
    """Base of all formats; the first line of the docstring is the title."""

    name: ClassVar[str]

    @abstractmethod
    def files(self, deployment: Deployment) -> Mapping[str, str]:
        """The files, by name relative to a folder; equal deployments give equal texts.

        Raises:
            InputError: the format cannot express the deployment; the message says why.
        """

    def refusal(self, why: str, hint: str | None = None) -> InputError:
        """The error for what the format cannot express; ``why`` is the end of a sentence."""
        return InputError(f"'{self.name}' cannot express this deployment: {why}.", hint=hint)


def renderers() -> dict[str, type[Renderer]]:
    """All formats by name."""
    return plugins("workbench.deploy.render", Renderer)
