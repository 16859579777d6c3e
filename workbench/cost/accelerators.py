"""Which types a profile speaks for: CPUs if it was measured on one, else those with the same GPU.

What was measured on a CPU says nothing of a GPU, nor of AWS's own chips, and no GPU speaks for
another: no factor between them is known that would hold for a model that was not measured there.
"""

from __future__ import annotations

import re

from workbench.cost.catalog import InstanceType
from workbench.cost.profile import ServiceProfile

COMPILERS = {"AWS Inferentia": "Neuron", "AWS Trainium": "Neuron", "Habana Gaudi": "SynapseAI"}
"""By the beginning of the chip's name, what a model must be compiled with."""
SAME = re.compile(r"nvidia|tesla|sxm\d*|\d+gi?b|hbm\w*|blackwell|server|edition")
"""Words of a GPU's name that do not make it another one of those that AWS has."""


def unfit(profile: ServiceProfile, kind: InstanceType) -> list[str]:
    """Why the profile says nothing of an instance type; empty: it does."""
    chip, name = kind.accelerator, kind.family
    if chip is None or not kind.accelerators:
        return [f"{name} has no GPU; {_measured_on(profile)}."] if profile.gpu else []
    for start, compiler in COMPILERS.items():
        if chip.startswith(start):
            needed = f"a model compiled with {compiler} and measured there"
            return [f"{name} has {chip}: it needs {needed}."]
    if not profile.gpu:
        return [f"{name} has {chip}: it needs a measurement on that GPU; profile it there."]
    return [] if same_gpu(profile.gpu, chip) else [f"{name} has {chip}; {_measured_on(profile)}."]


def without_gpu(profile: ServiceProfile) -> list[str]:
    """Why the profile says nothing of a service without GPUs; empty: it does."""
    return [f"It has no GPU; {_measured_on(profile)}."] if profile.gpu else []


def same_gpu(measured: str, chip: str) -> bool:
    """Whether a GPU as drivers name it (``NVIDIA A100-SXM4-40GB``) is the catalog's."""
    return _words(measured) == _words(chip)


def _words(name: str) -> set[str]:
    words = re.split(r"[\s-]+", name.lower())
    return {word for word in words if word and not SAME.fullmatch(word)}


def _measured_on(profile: ServiceProfile) -> str:
    return f"{profile.name} was measured on {profile.gpu}"
