"""What of a torch module can be removed whole: coupled channels, neurons and attention heads.

Which channels hang together across residuals, concatenations, depthwise convolutions and norms is
traced by torch-pruning (Fang et al. 2023, DepGraph, arXiv:2301.12900).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from workbench.errors import StepError
from workbench.plugins import did_you_mean
from workbench.records import Manifest, Skipped
from workbench.steps._forward import caller, first_output, reason_of, tensors_of

if TYPE_CHECKING:
    import numpy as np

    Feed = dict[str, np.ndarray]

HEADS = ("num_attention_heads", "num_heads", "n_heads")
HEAD_WIDTHS = ("all_head_size", "embed_dim", "dim")


@dataclass(frozen=True)
class Channels:
    """Channels that are removed together, all over the model, ``unit`` at a time.

    ``deps`` are torch-pruning's (layer, function, indices) for removing every channel.
    """

    name: str
    module: Any
    width: int
    unit: int
    group: Any
    heads: tuple[Any, str] | None = None

    @property
    def units(self) -> int:
        """How many units there are: channels, or heads."""
        return self.width // self.unit

    def indices(self, units: Sequence[int]) -> list[int]:
        """The channels of some units."""
        return [unit * self.unit + i for unit in sorted(units) for i in range(self.unit)]


@dataclass(frozen=True)
class Found:
    """What can be removed of a module, what is left alone and why, and the graph behind it."""

    channels: list[Channels]
    skipped: list[Skipped]
    graph: Any


def trace(module: Any, manifest: Manifest, feed: Feed) -> Any:
    """torch-pruning's dependency graph of a module.

    Raises:
        StepError: the tracer cannot follow the model.
    """
    import torch_pruning

    logging.getLogger("torch_pruning").setLevel(logging.ERROR)
    for parameter in module.parameters():
        parameter.requires_grad_(parameter.is_floating_point())  # the tracer follows gradients
    call = caller(module, manifest)
    try:
        graph = torch_pruning.DependencyGraph()
        return graph.build_dependency(
            module,
            example_inputs=tensors_of(feed),
            forward_fn=lambda _, tensors: call(tensors),
            output_transform=first_output,
            verbose=False,
        )
    except StepError:
        raise
    except Exception as error:  # the tracer raises many unrelated types
        raise StepError(
            f"The dependencies of the model's channels cannot be traced: {reason_of(error)}",
            hint="Prune it `unstructured`, or take whole layers with `layers`.",
        ) from error


def find_channels(
    module: Any, manifest: Manifest, feed: Feed, exclude: Sequence[str], divisor: int
) -> Found:
    """All sets of channels that can be removed, and what is left alone and why.

    Args:
        module: traced in place.
        manifest: how to call it.
        feed: an example.
        exclude: names or patterns of layers whose output channels stay.
        divisor: channels are removed in multiples of this, where the width allows.

    Raises:
        StepError: the tracer cannot follow the model, nothing can be removed, or a pattern names
            nothing.
    """
    import torch

    graph = trace(module, manifest, feed)
    names = {part: name for name, part in module.named_modules()}
    layers = [name for name in names.values() if name]
    for pattern in exclude:
        if not any(fnmatchcase(name, pattern) for name in layers):
            raise StepError(f"'{pattern}' names no layer.", hint=did_you_mean(pattern, layers))
    found: list[Channels] = []
    skipped: list[Skipped] = []
    for group in graph.get_all_groups():
        root = group[0].dep.target.module
        members = [names[dep.target.module] for dep, _ in group if dep.target.module in names]
        name, width = names.get(root, "?"), graph.get_out_channels(root)
        excluded = next((m for m in members if any(fnmatchcase(m, p) for p in exclude)), None)
        if any(not dep.target.outputs and not _takes(dep) for dep, _ in group):
            skipped.append(Skipped(name=name, reason="its channels are the model's output"))
        elif excluded:
            skipped.append(Skipped(name=name, reason=f"'{excluded}' is excluded"))
        elif not any(_takes(dep) for dep, _ in group):
            skipped.append(Skipped(name=name, reason="no layer reads its channels one by one"))
        else:
            found.append(_channels(module, name, root, width, group, names, divisor))
    kinds = (torch.nn.Linear, torch.nn.modules.conv._ConvNd)
    unseen = [
        Skipped(name=name, reason="the tracer of gradients cannot see where its output goes")
        for part, name in names.items()
        if isinstance(part, kinds) and part not in graph.module2node
    ]
    skipped += unseen
    if not found:
        reasons = "; ".join(f"'{item.name}': {item.reason}" for item in (unseen + skipped)[:3])
        raise StepError(
            f"The model has no channels that could be removed. {reasons}.",
            hint="Prune it `unstructured`, or take whole layers with `layers`.",
        )
    return Found(found, skipped, graph)


def remove(module: Any, manifest: Manifest, feed: Feed, doomed: dict[str, list[int]]) -> None:
    """Remove channels from a module for good, in place.

    Args:
        module: the module.
        manifest: how to call it.
        feed: an example.
        doomed: name of the layer that makes the channels → which to remove.

    Raises:
        StepError: the result does not run, or another output shape came of it.
    """
    import torch

    call, tensors = caller(module, manifest), tensors_of(feed)
    with torch.no_grad():
        before = first_output(call(tensors)).shape
    found = find_channels(module, manifest, feed, (), 1)
    graph, by_name = found.graph, {item.name: item for item in found.channels}
    for name, indices in doomed.items():
        if not indices:
            continue
        item = by_name[name]
        part = module.get_submodule(name)
        pruner = graph.get_pruner_of_module(part)
        graph.get_pruning_group(part, pruner.prune_out_channels, idxs=indices).prune()
        if item.heads is not None:
            _tell_heads(item, len(indices))
    with torch.no_grad():
        after = first_output(call(tensors)).shape
    if before != after:
        raise StepError(
            f"Without these channels the model gives {list(after)} instead of {list(before)}."
        )


def readers(item: Channels, indices: Sequence[int]) -> list[tuple[Any, list[int]]]:
    """The layers that read some of the channels, each with the input channels that it reads."""
    wanted = set(indices)
    return [
        (
            part.dep.target.module,
            [int(i) for i, root in zip(part.idxs, part.root_idxs, strict=True) if root in wanted],
        )
        for part in item.group.items
        if _takes(part.dep)
    ]


def makers(item: Channels) -> list[Any]:
    """The layers that make the channels or keep something for each: convolutions, norms …"""
    import torch

    found = [part.dep.target.module for part in item.group.items if not _takes(part.dep)]
    return [m for m in found if isinstance(getattr(m, "weight", None), torch.nn.Parameter)]


def _takes(dep: Any) -> bool:
    """Whether a dependency removes input channels of a layer with weights [out, in, …]."""
    import torch
    import torch_pruning

    functions = (torch_pruning.prune_conv_in_channels, torch_pruning.prune_linear_in_channels)
    part = dep.target.module
    ungrouped = getattr(part, "groups", 1) == 1 and not getattr(part, "transposed", False)
    return (
        dep.pruning_fn in functions
        and isinstance(part, torch.nn.Linear | torch.nn.modules.conv._ConvNd)
        and ungrouped
    )


def _channels(
    module: Any, name: str, root: Any, width: int, group: Any, names: dict[Any, str], divisor: int
) -> Channels:
    heads = None
    for dep, _ in group:
        path = names.get(dep.target.module, "")
        parent = module.get_submodule(path.rpartition(".")[0]) if path else None
        number = next((n for n in HEADS if isinstance(getattr(parent, n, None), int)), None)
        if number is not None and width % getattr(parent, number) == 0 and not _takes(dep):
            heads = (parent, number)
            return Channels(name, root, width, width // getattr(parent, number), group, heads)
    unit = divisor if width % divisor == 0 else 1
    return Channels(name, root, width, unit, group, heads)


def _tell_heads(item: Channels, removed: int) -> None:
    assert item.heads is not None
    parent, number = item.heads
    left = item.width - removed
    setattr(parent, number, left // item.unit)
    for other in HEAD_WIDTHS:
        if getattr(parent, other, None) == item.width:
            setattr(parent, other, left)
