"""How a check's result is written for other programs: one module a format, found by being here.

A module has ``render(result) -> str``; its docstring's first line says what it makes.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from workbench.check.records import CheckResult
from workbench.errors import InputError
from workbench.plugins import did_you_mean


@cache
def formats() -> dict[str, str]:
    """The formats by name, with what each makes."""
    return {
        info.name: (_module(info.name).__doc__ or "").strip().splitlines()[0]
        for info in pkgutil.iter_modules(__path__)
        if not info.name.startswith("_")
    }


def render(name: str, result: CheckResult) -> str:
    """A result in one format.

    Raises:
        InputError: there is no such format.
    """
    if name not in formats():
        raise InputError(f"there is no format '{name}'.", hint=did_you_mean(name, formats()))
    text: str = _module(name).render(result)
    return text


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")
