"""Small torch models for the tests of steps that change or train them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench.artifact import Artifact, seal
from workbench.datasets import TrainingSet
from workbench.machine import machine
from workbench.models import find_model
from workbench.recipe import FactoryModel, TensorInput
from workbench.records import Account
from workbench.steps import StepContext, make_step
from workbench.steps._forward import forward, tensors_of
from workbench.torch_modules import load_torch

torch.set_num_threads(1)  # these nets are too small for more, which only get into each other's way

CODE = '''
import torch
from torch import nn
from torch.nn import functional as F


class Residual(nn.Module):
    """Convolutions with a residual, a concatenation, a depthwise one, norms and a linear head."""

    def __init__(self, width=16, classes=3):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.deep = nn.Conv2d(width, width, 3, padding=1)
        self.wide = nn.Conv2d(width, 2 * width, 1)
        self.each = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.last = nn.Conv2d(3 * width, width, 1)
        self.head = nn.Linear(width, classes)

    def forward(self, image):
        x = F.relu(self.norm(self.stem(image)))
        x = x + F.relu(self.deep(x))
        y = F.relu(self.each(F.relu(self.wide(x))))
        z = F.relu(self.last(torch.cat([x, y], 1)))
        return self.head(z.mean((2, 3)))


class Mlp(nn.Module):
    """Blocks of equal layers and a classifier."""

    def __init__(self, width=16, depth=4, classes=3, inputs=8):
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = F.relu(self.first(x))
        for block in self.blocks:
            x = x + F.relu(block(x))
        return self.head(x)


class Opaque(nn.Module):
    """What no tracer of gradients can follow."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, x):
        return self.b(torch.from_numpy(F.relu(self.a(x)).detach().numpy()))


def residual(width=16): return Residual(width)
def mlp(width=16, depth=4, classes=3): return Mlp(width, depth, classes)
def opaque(): return Opaque()
'''
SHAPES = {
    "residual": ("image", ["batch", 1, 8, 8]),
    "mlp": ("x", ["batch", 8]),
    "opaque": ("x", ["batch", 8]),
}


def factory(name: str, **arguments: Any) -> FactoryModel:
    """A recipe's model of one of the nets, whose file lies beside the recipe."""
    given, shape = SHAPES[name]
    inputs = (TensorInput(name=given, shape=tuple(shape)),)
    return FactoryModel(factory=f"nets.py:{name}", arguments=arguments, inputs=inputs)


def artifact(folder: Path, name: str, **arguments: Any) -> Artifact:
    """A sealed torch artifact of one of the nets, weights by seed 0."""
    (folder / "nets.py").write_text(CODE)
    place = folder / f"{name}-source"
    place.mkdir()
    model = find_model(factory(name, **arguments), folder=folder)
    return seal(place, model.materialize(place))


def samples(source: Artifact, count: int = 120, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of three kinds that a small net can tell apart, float32, and their classes."""
    random = np.random.default_rng(0)
    shape = source.manifest.signature.inputs[0].shape[1:]
    means = random.normal(size=(classes, *shape))
    labels = random.integers(0, classes, count)
    values = means[labels] + 0.7 * random.normal(size=(count, *shape))
    return values.astype(np.float32), labels.astype(np.int64)


def context(
    source: Artifact,
    *,
    labelled: bool = True,
    scratch: Path | None = None,
    spoil: Callable[[Any, Any], Any] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> StepContext:
    """A context with calibration and training samples for one of the nets."""
    values, labels = samples(source)
    name = source.manifest.signature.inputs[0].name

    def feed(positions: Sequence[int]) -> dict[str, np.ndarray]:
        return {name: values[list(positions)]}

    def calibration(_: Artifact) -> Iterator[dict[str, np.ndarray]]:
        yield feed(range(64))

    def training(_: Artifact) -> TrainingSet:
        return TrainingSet(
            feed=feed,
            hashes=[f"{i * 7919 % 100_003:08x}" for i in range(len(values))],
            digest="nets",
            sizes=[0] * len(values),
            targets=labels if labelled else None,
            loss=(spoil or torch.nn.functional.cross_entropy) if labelled else None,
        )

    return StepContext(
        machine=machine(),
        calibration=calibration,
        training=training,
        model=source,
        folder=source.path.parent,
        scratch=scratch,
        say=say,
    )


def apply(
    source: Artifact, step: str, given: StepContext | None = None, **options: Any
) -> tuple[Artifact, Account]:
    """Apply a step beside the source; the sealed result and its account."""
    target = source.path.with_name(f"{source.path.name}-{len(list(source.path.parent.iterdir()))}")
    target.mkdir()
    manifest, account = make_step(step, options).apply(source, target, given or context(source))
    return seal(target, manifest), account


def outputs(what: Artifact) -> np.ndarray:
    """The first output of a torch artifact on its samples, read back from disk."""
    values, _ = samples(what)
    run = forward(load_torch(what.path, what.manifest), what.manifest)
    with torch.inference_mode():
        return np.asarray(run(tensors_of({what.manifest.signature.inputs[0].name: values})))


def state(what: Artifact) -> dict[str, Any]:
    """The weights of a torch artifact."""
    return dict(load_torch(what.path, what.manifest).state_dict())


def accuracy(what: Artifact) -> float:
    """Share of the samples that a torch artifact puts in the right class."""
    return float((outputs(what).argmax(1) == samples(what)[1]).mean())
