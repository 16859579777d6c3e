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
    kind = _kind(profile, target)
    entry = _table()[kind]
    factors = entry["int8" if profile.integer else "fp32"]
    basis = str(entry["basis"])
    if source := entry.get("source"):
        basis = f"{basis}: {' '.join(str(source).split())}"
    return Transfer(speed=Range[float](**factors), why=str(entry["why"]), basis=basis)


def lanes(target: InstanceType) -> int:
    """Inferences of one thread at a time: one a physical core, as threads of a core share it."""
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
