"""The torch module of an artifact: built by a factory or by transformers, weights loaded."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from workbench.artifact import digest
from workbench.errors import ModelError
from workbench.hugging_face import load_module
from workbench.plugins import did_you_mean
from workbench.records import Manifest
from workbench.weights import read_state

WEIGHTS = "weights.safetensors"
"""The state dict of a factory's artifact."""


def build_module(factory: str, folder: Path, arguments: dict[str, Any]) -> Any:
    """Call a factory (``module:function`` or ``file.py:function`` within ``folder``).

    Raises:
        ModelError: it cannot be imported or called, or returns no ``torch.nn.Module``.
    """
    import torch

    module_name, _, function = factory.rpartition(":")
    try:
        if module_name.endswith(".py"):
            path = folder / module_name
            spec = importlib.util.spec_from_file_location(f"_factory_{digest(str(path))[:8]}", path)
            if spec is None or spec.loader is None:
                raise ImportError(f"{path} cannot be imported")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(module_name)
        make = getattr(module, function, None)
        if make is None:
            names = [name for name, value in vars(module).items() if callable(value)]
            raise ModelError(
                f"The factory's {module_name} has no function '{function}'.",
                hint=did_you_mean(function, names),
            )
        built = make(**arguments)
    except ModelError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise ModelError(
            f"The factory {factory} failed: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(built, torch.nn.Module):
        raise ModelError(
            f"The factory {factory} returned a {type(built).__name__}, no torch module."
        )
    return built.eval()


def load_torch(folder: Path, manifest: Manifest) -> Any:
    """The torch module of a ``torch`` artifact, in eval mode on the CPU.

    Raises:
        ModelError: the weights do not fit the architecture.
    """
    source = manifest.source
    if source is None:
        raise ModelError(f"{folder} is no torch model.")
    if source.kind == "factory":
        module = build_module(source.factory or "", folder, source.arguments)
        module.load_state_dict(read_state(folder / (source.weights or WEIGHTS)), strict=True)
        return module
    return load_module(folder, source)
