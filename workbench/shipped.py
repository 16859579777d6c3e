"""Where the shipped recipes, reference models and containers lie: in a checkout or in the wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from workbench.errors import InputError
from workbench.plugins import did_you_mean

Kind = Literal["recipes", "models", "serving_containers", "ci"]


def shipped(kind: Kind) -> Path:
    """The folder of shipped files of a kind."""
    package = Path(__file__).parent
    installed = package / "_shipped" / kind
    return installed if installed.is_dir() else package.parent / kind


def find_recipe(name: str) -> Path:
    """The file of a recipe given by path, or by the name of a shipped one.

    The path wins; ``minilm-int8`` and ``recipes/minilm-int8.yaml`` find the shipped recipe from
    any folder. A path that does not exist comes back as it is, for the reader to refuse.

    Raises:
        InputError: a bare name is no shipped recipe; the message names the nearest.
    """
    path = Path(name)
    if path.is_file():
        return path
    candidate = shipped("recipes") / f"{path.stem if path.suffix else path.name}.yaml"
    bare = len(path.parts) == 1 or path.parts[:-1] == ("recipes",)
    if bare and candidate.is_file():
        return candidate
    if bare and not path.suffix:
        known = [file.stem for file in sorted(shipped("recipes").glob("*.yaml"))]
        raise InputError(f"There is no recipe '{name}'.", hint=did_you_mean(name, known))
    return path
