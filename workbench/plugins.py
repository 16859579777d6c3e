"""The folder is the registry: a module in a plug-in folder is found by being there.

A module or class whose name starts with an underscore is a helper, not a plug-in. Entry points of
the group of the same name (``workbench.steps``, ``workbench.tasks``) add those of other packages.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import pkgutil
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from workbench.errors import InputError


class Plugin(BaseModel):
    """Base of steps and tasks: the fields are the options, and thereby the YAML schema."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shorthand: ClassVar[str | None] = None
    """The option that a plain string sets: ``quantize: dynamic-int8``."""

    @classmethod
    def title(cls) -> str:
        """First line of the class's docstring."""
        return (cls.__doc__ or "").strip().splitlines()[0]


@cache
def plugins(package: str, base: type[Plugin]) -> dict[str, type[Any]]:
    """All subclasses of ``base`` in the modules of ``package`` and in its entry points, by name."""
    folder = importlib.import_module(package)
    modules = [
        importlib.import_module(f"{package}.{info.name}")
        for info in pkgutil.iter_modules(folder.__path__)
        if not info.name.startswith("_")
    ]
    found = {
        item.name: item  # type: ignore[attr-defined]
        for module in modules
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, base) and item.__module__ == module.__name__
        if not item.__name__.startswith("_")
    }
    for entry in entry_points(group=package):
        item = entry.load()
        found[item.name] = item
    return dict(sorted(found.items()))


@cache
def code_digest(plugin: type[Plugin]) -> str:
    """SHA-256 of the plug-in's module and of what it uses of its package, directly or not.

    A change of the code that makes a result is thereby a change of the result's key; a change of
    another plug-in's code is none.
    """
    return sources_digest(module_sources(importlib.import_module(plugin.__module__)))


def sources_digest(paths: Iterable[Path]) -> str:
    """SHA-256 over the contents of source files, in the given order."""
    sha = hashlib.sha256()
    for path in paths:
        sha.update(path.read_bytes())
    return sha.hexdigest()


def module_sources(module: ModuleType) -> list[Path]:
    """The module's file and those of the modules of its package that it names, and they, in order.

    Names are looked for in the text, so that an import within a function counts too.
    """
    package = module.__name__.rpartition(".")[0]
    name = re.compile(rf"\b{re.escape(package)}\.(\w+)")
    start = Path(module.__file__ or "")
    found, waiting = {start}, [start]
    while waiting:
        for used in name.findall(waiting.pop().read_text(encoding="utf-8")):
            path = start.parent / f"{used}.py"
            if path not in found and path.is_file():
                found.add(path)
                waiting.append(path)
    return sorted(found)


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word that is most likely meant, or none."""
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return close[0] if close else None


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """``Did you mean 'x'?`` or the list of what there is; ready to be an error's hint."""
    words = list(words)
    close = nearest(word, words)
    return f"Did you mean '{close}'?" if close else f"There is: {', '.join(words)}."


def parse_options(plugin: type[Any], options: dict[str, Any], what: str) -> Any:
    """Build a plug-in from its options.

    Raises:
        InputError: an option is unknown or wrong; the message names it and the nearest right one.
    """
    try:
        return plugin.model_validate(options)
    except ValidationError as error:
        raise InputError(f"{what}: {explain(error, plugin)}") from error


def telling_fault(error: ValidationError) -> ErrorDetails:
    """The fault that says most.

    A misspelt key is reported twice, as unknown and as missing: the first tells the mend. A union
    reports every branch: the one that does not merely ask for a string is of the user's type.
    """
    order = {"extra_forbidden": 0, "string_type": 2}
    return min(error.errors(), key=lambda fault: order.get(fault["type"], 1))


def make_plugin(
    known: Mapping[str, type[Any]], name: str, options: dict[str, Any] | str | None, what: str
) -> Any:
    """The plug-in of a name with its options; a plain string sets the shorthand option.

    Raises:
        InputError: no such name, or a wrong option; the message names the nearest right one.
    """
    if name not in known:
        raise InputError(f"unknown {what} '{name}'.", hint=did_you_mean(name, known))
    if isinstance(options, str):
        if known[name].shorthand is None:
            raise InputError(f"{what} '{name}' takes options, not the text '{options}'.")
        options = {known[name].shorthand: options}
    return parse_options(known[name], dict(options or {}), f"{what} '{name}'")


def option_names(model: type[BaseModel]) -> list[str]:
    """The options as a user writes them: a field's alias where its name is none in Python."""
    return [info.alias or name for name, info in model.model_fields.items()]


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """One sentence about the first fault of a pydantic validation."""
    first = telling_fault(error)
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown option '{key}'. {did_you_mean(key, option_names(model))}"
    if first["type"] == "missing":
        return f"'{key}' is missing."
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message} (got {first['input']!r})." if key else f"{message}."
