"""Pushing images to registries and pulling them, without an engine."""

from workbench.packaging.image.registry.credentials import Credentials
from workbench.packaging.image.registry.pulling import pull
from workbench.packaging.image.registry.pushing import push
from workbench.packaging.image.registry.references import Reference, parse_reference

__all__ = ["Credentials", "Reference", "parse_reference", "pull", "push"]
