"""Reading weights and configurations that came from elsewhere, without running their code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workbench.errors import ModelError


def read_state(path: Path) -> dict[str, Any]:
    """A state dict from ``.safetensors`` or from a torch checkpoint, without unpickling code.

    A checkpoint that wraps the state dict (``state_dict``, ``model_state_dict``, ``model_state``,
    ``model``) is unwrapped.

    Raises:
        ModelError: it is truncated, holds no tensors, or is a pickle that needs more.
    """
    import torch

    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} is no whole safetensors file: {error}.") from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and runtime errors of many kinds
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "weights_only" in str(error) or "WeightsUnpickler" in str(error):
            first = next((ln for ln in str(error).splitlines() if "GLOBAL" in ln), first).strip()
            raise ModelError(
                f"{path} is a pickle that runs code when it is loaded, so it is refused: {first}",
                hint="Save its state_dict as .safetensors where you trust the file, and give that.",
            ) from error
        raise ModelError(f"{path} is no whole torch checkpoint: {first}") from error
    for key in ("state_dict", "model_state_dict", "model_state", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    tensors = isinstance(loaded, dict) and loaded
    if not tensors or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise ModelError(f"{path} holds no state dict of tensors.")
    return {key.removeprefix("module."): value for key, value in loaded.items()}


def check_finite(path: Path) -> None:
    """Refuse weights with NaN or infinity.

    Raises:
        ModelError: a tensor is not finite, or the file is truncated.
    """
    import torch

    for name, tensor in read_state(path).items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelError(
                f"The weights of {path.name} are not finite: '{name}' holds NaN or infinity.",
                hint="The training diverged or the file is damaged: take an earlier checkpoint.",
            )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ModelError: it is missing or no JSON object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}.") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path} holds no JSON object.")
    return data
