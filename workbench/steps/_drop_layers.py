"""Whole layers removed: greedily those without which the output changes least."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import StepError
from workbench.records import Account, Manifest
from workbench.steps._forward import forward, tensors_of
from workbench.steps._layers import layer_list
from workbench.steps._observe import batches
from workbench.torch_modules import load_torch, save_torch
from workbench.torch_structure import keep_children

if TYPE_CHECKING:
    from workbench.artifact import Artifact
    from workbench.steps import StepContext
    from workbench.steps.prune import Prune


def drop_layers(
    options: Prune, source: Artifact, target: Path, context: StepContext
) -> tuple[Manifest, Account]:
    """Keep some layers of the model's list of layers.

    Raises:
        StepError: there is no list of layers, or not so many.
    """
    import torch

    module = load_torch(source.path, source.manifest)
    path, total = layer_list(module, options.of)
    kept = options.keep
    assert kept is not None
    if isinstance(kept, int) and not 1 <= kept < total:
        raise StepError(f"'{path}' has {total} layers: {kept} of them cannot be kept.")
    feeds = batches(context.calibration(source), options.samples, lambda done, total: None)
    samples = [tensors_of(feed) for feed in feeds]
    with torch.inference_mode():
        exact = [forward(module, source.manifest)(batch) for batch in samples]
    scale = sum(float(output.double().square().sum()) for output in exact)

    def damage(chosen: tuple[int, ...]) -> float:
        part = load_torch(source.path, source.manifest)
        keep_children(part, path, chosen)
        run = forward(part, source.manifest)
        with torch.inference_mode():
            pairs = zip(samples, exact, strict=True)
            return sum(float((run(b) - e).double().square().sum()) for b, e in pairs) / scale

    rounds: list[dict[str, Any]] = []
    if isinstance(kept, int):
        chosen = tuple(range(total))
        while len(chosen) > kept:
            tried = {out: damage(tuple(i for i in chosen if i != out)) for out in chosen}
            worst = min(tried, key=tried.__getitem__)
            chosen = tuple(i for i in chosen if i != worst)
            rounds.append({"removed": worst, "damage_of_each": _rounded(tried)})
            context.progress(total - len(chosen), total - kept)
        kept = chosen
    before = sum(p.numel() for p in module.parameters())
    keep_children(module, path, kept)
    after = sum(p.numel() for p in module.parameters())
    manifest = save_torch(module, source, target, kept={path: kept})
    if manifest.architecture is not None:
        fewer = manifest.architecture.model_copy(update={"layers": len(kept)})
        manifest = manifest.model_copy(update={"architecture": fewer})
    error = damage(kept) if samples else float("nan")
    return manifest, Account(
        summary=f"{len(kept)} of {total} layers of '{path}' kept ({', '.join(map(str, kept))}); "
        f"{before / 1e6:.3g} M → {after / 1e6:.3g} M parameters; the output's relative squared "
        f"error is {error:.3g} before any training",
        changed={"layers removed": total - len(kept)},
        choices={"kept": list(kept), "rounds": rounds, "damage": error},
    )


def _rounded(values: dict[int, float]) -> dict[str, float]:
    return {str(name): round(value, 6) for name, value in values.items()}
