"""The torch module of an artifact: built by a factory or by transformers, weights loaded."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workbench.artifact import Artifact, digest, files_of
from workbench.errors import ModelError
from workbench.hugging_face import build_from_config, load_module
from workbench.plugins import did_you_mean
from workbench.records import Manifest, Structure, TorchSource
from workbench.torch_structure import apply_structure, attributes_that_differ, keep_children
from workbench.weights import read_state

WEIGHTS = "weights.safetensors"
"""The state dict of a factory's artifact, and of any that a step has changed."""

WEIGHT_FILES = frozenset({".safetensors", ".bin", ".pt", ".pth"})


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
    if source.kind == "huggingface" and source.weights is None:
        return load_module(folder, source)
    module = build_original(folder, source)
    state = read_state(folder / (source.weights or WEIGHTS))
    if source.structure is not None:
        apply_structure(module, source.structure, state)
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"The weights in {folder} do not fit its architecture: {reason}"
        ) from error
    return module.eval()


def build_original(folder: Path, source: TorchSource) -> Any:
    """The module as its factory or its configuration builds it, whatever steps changed later."""
    if source.kind == "factory":
        return build_module(source.factory or "", folder, source.arguments)
    return build_from_config(folder, source)


def save_torch(
    module: Any, source: Artifact, target: Path, *, kept: dict[str, tuple[int, ...]] | None = None
) -> Manifest:
    """Write a module that a step has changed as a ``torch`` artifact's files.

    Args:
        module: the changed module.
        source: the artifact it was loaded from.
        target: the folder to fill.
        kept: children of lists of layers that this step kept, by position in ``source``.

    Returns:
        The manifest, without files and lineage.
    """
    from safetensors.torch import save_file

    manifest, origin = source.manifest, source.manifest.source
    assert origin is not None
    before = origin.structure or Structure()
    positions = {
        path: tuple(before.kept[path][i] for i in chosen) if path in before.kept else chosen
        for path, chosen in (kept or {}).items()
    }
    structure = Structure(kept={**before.kept, **positions}, sparse=before.sparse)
    original = build_original(source.path, origin)
    for path, chosen in structure.kept.items():
        keep_children(original, path, chosen)
    attributes = attributes_that_differ(module, original)
    structure = structure.model_copy(update={"attributes": attributes})
    for file in files_of(source.path):
        if file.suffix not in WEIGHT_FILES:
            name = file.relative_to(source.path)
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / name)
    state = {name: tensor.contiguous().clone() for name, tensor in module.state_dict().items()}
    save_file(state, target / WEIGHTS)
    made = origin.model_copy(update={"weights": WEIGHTS, "structure": structure})
    return manifest.model_copy(update={"source": made, "files": {}})


def hold_zeros(manifest: Manifest, names: Iterable[str]) -> Manifest:
    """The manifest that says that the zeros of these parameters are to stay zeros."""
    source = manifest.source
    assert source is not None
    structure = source.structure or Structure()
    sparse = tuple(sorted({*structure.sparse, *names}))
    held = structure.model_copy(update={"sparse": sparse})
    return manifest.model_copy(update={"source": source.model_copy(update={"structure": held})})
