"""From the machine that a profile was measured on to an instance type that was not: a range.

Speed is that of one core at one inference. What the factors rest on stands in transfer.yaml; a
measurement on the type itself replaces them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from workbench.cost.catalog import InstanceType
from workbench.cost.profile import ServiceProfile
from workbench.cost.ranges import Range, exactly
from workbench.records import Record
from workbench.yaml_source import read_yaml

UNTOLD = Range[float](low=0.5, mid=0.9, high=1.34)
"""Speed of a serverless function: what runs it is not told, any CPU of the provider's may."""
ARM = ("arm64", "aarch64")
ARM_SETS = ("neon", "asimd", "sve", "i8mm")
"""What instruction sets of Arm are called."""


class Transfer(Record):
    """How many times the measured machine's core the target's is, and what that rests on."""

    speed: Range[float]
    why: str
    basis: str


def transfer(profile: ServiceProfile, target: InstanceType) -> Transfer:
    """The speed of one core of the target against one of the measured machine."""
    if _family(profile.cpu) == target.family:
        return Transfer(speed=exactly(1.0), why="measured on this family", basis="measured")
    return _predicted(_kind(profile, target), profile.integer)


@cache
def _predicted(kind: str, integer: bool) -> Transfer:
    entry = _table()[kind]
    factors = entry["int8" if integer else "fp32"]
    basis = str(entry["basis"])
    if source := entry.get("source"):
        basis = f"{basis}: {' '.join(str(source).split())}"
    return Transfer(speed=Range[float](**factors), why=str(entry["why"]), basis=basis)


def physical_cores(target: InstanceType) -> int:
    """Cores, which two vCPUs share where it is not told otherwise."""
    return max(1, target.cores if target.cores is not None else target.vcpus // 2)


def _kind(profile: ServiceProfile, target: InstanceType) -> str:
    measured_arm = any(name.startswith(ARM_SETS) for name in profile.isa)
    if (target.architecture in ARM) != measured_arm:
        return "other_architecture"
    if target.isa is None:
        return "unknown"
    ours, theirs = _class(profile.isa), _class(target.isa)
    if ours == theirs:
        return "same_class"
    if theirs == "amx":
        return "to_amx"
    if ours == "amx":
        return "from_amx"
    return "to_vnni" if theirs == "vnni" else "from_vnni"


def _class(isa: tuple[str, ...]) -> str:
    joined = " ".join(isa).lower()
    return next((name for name in ("amx", "vnni") if name in joined), "plain")


def _family(cpu: str) -> str:
    """The family where a profile names an instance type as its CPU: ``ml.c6i.large`` is c6i."""
    parts = cpu.removeprefix("ml.").split(".")
    return parts[0] if len(parts) == 2 and " " not in cpu else ""


@cache
def _table() -> dict[str, Any]:
    data: dict[str, Any] = read_yaml(Path(__file__).with_name("transfer.yaml")).data
    return data
